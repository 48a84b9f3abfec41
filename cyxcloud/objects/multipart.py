"""Multipart uploads: parts are durable and referenced as they arrive, completing them only moves references.

Completing freezes the upload (a row), checks the list against the parts outside any transaction, and commits version
and answer together. A process that dies in between leaves it frozen by a session that is closed later, from which the
next attempt takes it over. The same completion sent again within 24 h is given the remembered answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cyxcloud.core.ids import AccountId, BucketId, UploadId
from cyxcloud.meta import parts, segments, uploads
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NewPart, NewUpload, PartRow, SegmentRow, UploadRow, UploadState
from cyxcloud.objects import attributes as attributes_codec
from cyxcloud.objects import intake, put
from cyxcloud.objects.attributes import Attributes, Checksum, Lock, PartInfo, layout_beside
from cyxcloud.objects.body import Body
from cyxcloud.objects.conditions import WriteConditions
from cyxcloud.objects.encryption import BY_KEYRING, Sealing
from cyxcloud.objects.errors import (
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchUpload,
    PartTooSmall,
    StillCompleting,
)
from cyxcloud.objects.intake import Taken
from cyxcloud.objects.part_checksums import ChecksumPlan, of_whole
from cyxcloud.objects.put import Stored, Target
from cyxcloud.objects.store import Store

MIN_PART_BYTES = 5 << 20
# Moving more parts than these would hold the event loop up for milliseconds.
FEW_PARTS = 50


@dataclass(frozen=True, slots=True)
class ListedPart:
    """One line of the client's list. `etag` unquoted; `checksums` by algorithm, base64."""

    number: int
    etag: str
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Completion:
    """What the client asks for. `expected` is the checksum it claims for the whole, `size` the size it claims."""

    parts: tuple[ListedPart, ...]
    conditions: WriteConditions
    expected: Checksum | None = None
    size: int | None = None

    def fingerprint(self) -> bytes:
        listed = [(part.number, part.etag) for part in self.parts]
        claimed = (self.expected.algorithm, self.expected.value) if self.expected else None
        return hashlib.sha256(json.dumps([listed, claimed]).encode()).digest()


@dataclass(frozen=True, slots=True)
class Content:
    """Segments that a part or a copy gets, and what a client is told of them. `taken`: they are of a new blob, which
    has no rows yet."""

    segments: tuple[SegmentRow, ...]
    etag: str
    checksum: Checksum | None
    taken: Taken | None = None


async def create(store: Store, target: Target, attributes: Attributes, plan: ChecksumPlan) -> UploadId:
    """The target's conditions are those of the completion, so none are looked at here."""
    upload = UploadId(store.ids.next())
    attributes = replace(attributes, encryption=target.sealing.encryption)
    encoded = _encode(attributes, plan, target.storage_class)
    row = NewUpload(upload, target.bucket, target.key, target.account, store.clock.now_ms(), encoded)
    await store.change(lambda conn: uploads.create(conn, row))
    return upload


def find(store: Store, bucket: BucketId, key: bytes, upload: UploadId) -> UploadRow:
    """An upload that takes parts. Raises NoSuchUpload."""
    row = uploads.read(store.reader, upload)
    if row is None or (row.bucket, row.key) != (bucket, key) or row.state not in (UploadState.OPEN, _FROZEN):
        raise NoSuchUpload
    return row


def find_begun(store: Store, bucket: BucketId, key: bytes, upload: UploadId) -> UploadRow:
    """An upload in whatever state. Raises NoSuchUpload."""
    row = uploads.read(store.reader, upload)
    if row is None or (row.bucket, row.key) != (bucket, key):
        raise NoSuchUpload
    return row


_FROZEN = UploadState.COMPLETING


@dataclass(frozen=True, slots=True)
class PartTarget:
    """Where a part goes, and under whose key."""

    upload: UploadRow
    number: int
    sealing: Sealing = BY_KEYRING


async def put_part(
    store: Store, upload: UploadRow, number: int, body: Body, sealing: Sealing = BY_KEYRING
) -> tuple[str, Checksum | None]:
    """Its ETag and checksum. Raises NoSuchUpload where the upload ended meanwhile."""
    taken = await intake.take(store, body, sealing, store.topology.profile_of(storage_class(upload)))
    content = Content((taken.segment,), taken.etag, taken.digests.checksum)
    row = new_part(store, upload, number, content)

    def commit(conn: Connection) -> None:
        intake.insert(conn, store, taken)
        commit_part(conn, store, row)

    try:
        await store.change(commit)
    except BaseException:
        await intake.discard(store, taken)
        raise
    return content.etag, content.checksum


def new_part(store: Store, upload: UploadRow, number: int, content: Content) -> NewPart:
    segments, encoded = content.segments, Attributes(checksum=content.checksum).encode()
    size = sum(each.length for each in segments)
    return NewPart(upload.id, number, store.ids.next(), size, content.etag, store.clock.now_ms(), encoded, segments)


def commit_part(conn: Connection, store: Store, row: NewPart) -> None:
    """In the caller's transaction; the references of its segments are held already."""
    upload = uploads.lock(conn, row.upload)
    if upload is None or upload.state is not UploadState.OPEN:
        raise NoSuchUpload
    replaced = parts.put(conn, row)
    store.release(conn, replaced)


async def abort(store: Store, upload: UploadRow) -> None:
    now_ms = store.clock.now_ms()
    if not await store.change(lambda conn: uploads.abort(conn, upload.id, now_ms)):
        raise NoSuchUpload


async def complete(store: Store, upload: UploadId, target: Target, completion: Completion) -> Stored:
    """The object is his for whom the upload was begun, whoever completes it.

    Raises NoSuchUpload, InvalidPart, InvalidPartOrder, PartTooSmall, ChecksumMismatch, StillCompleting, and what a
    put raises."""
    request = completion.fingerprint()
    async with _turn(store, upload):
        for pause in _PAUSES:
            known = uploads.read(store.reader, upload)
            if known is None or (known.bucket, known.key) != (target.bucket, target.key):
                raise NoSuchUpload
            if known.state is UploadState.ABORTED:
                raise NoSuchUpload
            if known.state is UploadState.COMPLETED:
                return _remembered(known, request)
            row = await _freeze(store, upload, request)
            if row is not None:
                return await _complete_frozen(store, row, target, completion)
            await asyncio.sleep(pause)
    raise StillCompleting


# A twin of this request (a client's retry) may be under way in another process; it takes some milliseconds.
_PAUSES = (0.01, 0.05, 0.25, 1.0, 3.0)


@asynccontextmanager
async def _turn(store: Store, upload: UploadId) -> AsyncIterator[None]:
    """One completion of an upload at a time in this process: its session may freeze again what it has frozen itself."""
    while (other := store.completing.get(upload)) is not None:
        await other.wait()
    mine = store.completing[upload] = asyncio.Event()
    try:
        yield
    finally:
        del store.completing[upload]
        mine.set()


async def _freeze(store: Store, upload: UploadId, request: bytes) -> UploadRow | None:
    now_ms = store.clock.now_ms()
    return await store.change(lambda conn: uploads.freeze(conn, upload, store.ids.session, request, now_ms))


async def _complete_frozen(store: Store, row: UploadRow, target: Target, completion: Completion) -> Stored:
    try:
        return await _commit(store, row, target, completion)
    except BaseException:
        await store.change(lambda conn: uploads.thaw(conn, row.id, store.ids.session, store.clock.now_ms()))
        raise


async def _commit(store: Store, upload: UploadRow, target: Target, completion: Completion) -> Stored:
    """The upload is frozen for this session, so its parts stay what they are."""
    rows = {row.number: row for row in parts.all_of(store.reader, upload.id)}
    chosen = _choose(rows, completion.parts)
    content = segments.of_parts(store.reader, upload.id, list(rows.values()))
    kept = tuple(each for row in chosen for each in content[row.number])
    unused = [each for number in rows.keys() - {row.number for row in chosen} for each in content[number]]
    begun = attributes_codec.decode(upload.attributes)
    infos, checksum = _checksums(chosen, completion, checksum_plan(upload))
    layout = layout_beside(infos, [each.length for each in kept])
    attributes = replace(begun, checksum=checksum, parts=infos, storage_class="", layout=layout, initiator=0)
    target = replace(target, account=upload.account, storage_class=storage_class(upload))
    new = put.new_version(store, target, kept, multipart_etag(chosen), attributes)
    if completion.size is not None and completion.size != new.size:
        raise InvalidRequest(f"The size named is {completion.size} bytes, the parts have {new.size}.")

    def commit(conn: Connection) -> Stored:
        versioning = put.make_current(conn, store, new, target.conditions)
        parts.take_all(conn, upload.id)
        store.release(conn, unused)
        answer = put.stored(new, checksum, versioning)
        held = uploads.complete(conn, upload.id, store.ids.session, _remember(answer), store.clock.now_ms())
        if not held:
            raise NoSuchUpload
        return answer

    return await store.change(commit, is_long=len(rows) > FEW_PARTS)


def _choose(rows: Mapping[int, PartRow], listed: Sequence[ListedPart]) -> list[PartRow]:
    chosen: list[PartRow] = []
    before = 0
    for each in listed:
        if each.number <= before:
            raise InvalidPartOrder
        before = each.number
        row = rows.get(each.number)
        if row is None or each.etag != row.etag:
            raise InvalidPart
        chosen.append(row)
    if not chosen:
        raise InvalidPart
    for row in chosen[:-1]:
        if row.size < MIN_PART_BYTES:
            raise PartTooSmall(row.number, row.size, row.etag)
    return chosen


def _checksums(
    chosen: Sequence[PartRow], completion: Completion, plan: ChecksumPlan
) -> tuple[tuple[PartInfo, ...], Checksum | None]:
    """Each part's own line and the whole object's checksum, checked against what the client claims of either."""
    infos = []
    for row, listed in zip(chosen, completion.parts, strict=True):
        own = attributes_codec.decode(row.attributes).checksum
        for algorithm, value in listed.checksums.items():
            if own is None or own.algorithm != algorithm or own.value != value:
                raise InvalidPart
        infos.append(PartInfo(row.number, row.size, own.value if own and own.algorithm == plan.algorithm else ""))
    return tuple(infos), of_whole(plan, infos, completion.expected)


def multipart_etag(chosen: Sequence[PartRow]) -> str:
    """MD5 of the parts' MD5s, and how many: what S3 has always given and clients recompute."""
    joined = b"".join(bytes.fromhex(row.etag) for row in chosen)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(chosen)}"


def part_checksum(row: PartRow) -> Checksum | None:
    return attributes_codec.decode(row.attributes).checksum


def has_checksums(store: Store, row: UploadRow) -> bool:
    """Whether the upload, or a part of it, was sent with a checksum."""
    if checksum_plan(row).algorithm:
        return True
    return any(part_checksum(each) is not None for each in parts.all_of(store.reader, row.id))


def checksum_plan(row: UploadRow) -> ChecksumPlan:
    claimed = attributes_codec.decode(row.attributes).checksum
    return ChecksumPlan(claimed.algorithm, claimed.type) if claimed else ChecksumPlan()


def initiator(row: UploadRow) -> AccountId:
    return AccountId(attributes_codec.decode(row.attributes).initiator or row.account)


def begun_lock(row: UploadRow) -> Lock | None:
    return attributes_codec.decode(row.attributes).lock


def begun_with(row: UploadRow) -> Attributes:
    return attributes_codec.decode(row.attributes)


def storage_class(row: UploadRow) -> str:
    return attributes_codec.decode(row.attributes).storage_class or put.STANDARD


def _encode(attributes: Attributes, plan: ChecksumPlan, storage_class: str) -> bytes:
    """The plan rides in the checksum's place: an upload has no checksum value of its own."""
    claimed = Checksum(plan.algorithm, "", plan.type) if plan.algorithm else None
    named = "" if storage_class == put.STANDARD else storage_class
    return replace(attributes, checksum=claimed, storage_class=named).encode()


def _remember(answer: Stored) -> bytes:
    checksum = answer.checksum
    fields = {
        "v": 1,
        "etag": answer.etag,
        "size": answer.size,
        "mtime_ms": answer.mtime_ms,
        "cid": answer.content_cid.hex(),
        "layout": answer.layout,
        "checksum": [checksum.algorithm, checksum.value, checksum.type] if checksum else None,
        "version": answer.version,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def _remembered(row: UploadRow, request: bytes) -> Stored:
    if row.request != request or row.answer is None:
        raise NoSuchUpload
    fields = json.loads(row.answer)
    checksum = Checksum(*fields["checksum"]) if fields["checksum"] else None
    cid, layout = bytes.fromhex(fields["cid"]), tuple(fields["layout"])
    return Stored(fields["etag"], fields["size"], fields["mtime_ms"], cid, layout, checksum, fields["version"])
