"""Copies write no bytes where they can: the new version or part gets segments of its own on the same blobs.

A blob is shared where source and target are under the same key, neither of them a customer's, and of one profile; else
its bytes are encrypted anew into a blob of the target's (recoding.py). Of a shared one bytes are read, once, only for
what cannot be derived: the ETag, checksum and CID of a range, or a checksum newly asked for.
Between the read of the source's rows and the commit its blob may lose its last reference; the transaction then finds no
row to count up, and the copy fails as if the source had not been there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from cyxcloud.core import checksums
from cyxcloud.core.checksums import Algorithm, Hasher
from cyxcloud.core.profile import Profile
from cyxcloud.meta import blobs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BlobGone
from cyxcloud.meta.rows import SegmentRow, Versioning
from cyxcloud.objects import get, intake, multipart, put, recoding
from cyxcloud.objects.attributes import Attributes, Checksum, layout_beside
from cyxcloud.objects.encryption import Sealing, shares_key
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.multipart import Content, PartTarget
from cyxcloud.objects.put import Stored, Target
from cyxcloud.objects.store import Store
from cyxcloud.shards.cid import SegmentCid
from cyxcloud.shards.frames import Buffer
from cyxcloud.shards.plane import INLINE_BYTES as HASH_IN_LOOP_BYTES

T = TypeVar("T")


async def copy_object(
    store: Store, source: ObjectView, target: Target, attributes: Attributes, algorithm: Algorithm | None
) -> Stored:
    """`attributes` are the copy's headers and metadata; checksum and parts come from the source or are computed."""
    content = await _whole(store, source, target, algorithm)
    keeps_parts = content.taken is None and content.checksum == source.attributes.checksum
    parts = source.attributes.parts if keeps_parts else ()
    layout = layout_beside(parts, [each.length for each in content.segments])
    attributes = replace(attributes, checksum=content.checksum, parts=parts, layout=layout)
    attributes = replace(attributes, encryption=target.sealing.encryption)
    new = put.new_version(store, target, content.segments, content.etag, attributes)

    def commit(conn: Connection) -> Versioning:
        _hold(conn, store, content)
        return put.make_current(conn, store, new, target.conditions)

    versioning = await _change(store, content, commit)
    return put.stored(new, content.checksum, versioning)


async def copy_part(
    store: Store, source: ObjectView, span: tuple[int, int], target: PartTarget
) -> tuple[str, int, Checksum | None]:
    """Source bytes [start, end) become a part. Its ETag, modification time and checksum."""
    wanted = multipart.checksum_plan(target.upload).algorithm
    algorithm = Algorithm(wanted) if wanted else None
    profile = store.topology.profile_of(multipart.storage_class(target.upload))
    if _may_share(store, get.all_segments(store, source), target.sealing, profile):
        content = await _range(store, source, span, algorithm)
    else:
        content = await recoding.encrypt_anew(store, source, span, algorithm, target.sealing, profile)
    row = multipart.new_part(store, target.upload, target.number, content)

    def commit(conn: Connection) -> None:
        _hold(conn, store, content)
        multipart.commit_part(conn, store, row)

    await _change(store, content, commit)
    return content.etag, row.mtime_ms, content.checksum


def _hold(conn: Connection, store: Store, content: Content) -> None:
    """In the transaction: the references that the copy holds, of shared blobs or of its own new one."""
    if content.taken is None:
        blobs.share(conn, content.segments)
    else:
        intake.insert(conn, store, content.taken)


async def _change(store: Store, content: Content, commit: Callable[[Connection], T]) -> T:
    try:
        return await store.change(commit)
    except BlobGone:
        raise NoSuchKey from None
    except BaseException:
        if content.taken is not None:
            await intake.discard(store, content.taken)
        raise


async def _whole(store: Store, source: ObjectView, target: Target, algorithm: Algorithm | None) -> Content:
    profile = store.topology.profile_of(target.storage_class)
    segments, checksum = get.all_segments(store, source), source.attributes.checksum
    if not _may_share(store, segments, target.sealing, profile):
        if algorithm is None and checksum is not None:
            algorithm = Algorithm(checksum.algorithm)
        return await recoding.encrypt_anew(store, source, (0, source.version.size), algorithm, target.sealing, profile)
    if algorithm is not None and (checksum is None or checksum.algorithm != algorithm.value):
        hasher = checksums.new_hasher(algorithm)
        async for piece in get.read_range(store, source, 0, source.version.size):
            await _feed(store, [hasher], piece)
        checksum = Checksum(algorithm.value, checksums.encode_digest(hasher.digest()))
    return Content(segments, source.version.etag, checksum)


def _may_share(store: Store, segments: tuple[SegmentRow, ...], sealing: Sealing, profile: Profile | None) -> bool:
    """Under the same key, and coded as the target's storage class is."""
    if not shares_key(sealing, segments):
        return False
    if profile is None:
        return True
    found = (blobs.read(store.reader, each.blob) for each in segments if each.length)
    return all(row is None or (row.k, row.m) == profile for row in found)


async def _range(store: Store, source: ObjectView, span: tuple[int, int], algorithm: Algorithm | None) -> Content:
    """A range of each segment that the span touches, read once for its digests."""
    md5: Hasher = hashlib.md5(usedforsecurity=False)
    hashers = [md5] + ([checksums.new_hasher(algorithm)] if algorithm is not None else [])
    start, end = span
    cut: list[SegmentRow] = []
    at = 0
    for segment in get.all_segments(store, source):
        first, last = max(start, at) - at, min(end, at + segment.length) - at
        if first < last:
            cid = SegmentCid()
            async for piece in get.read_segment(store, segment, source.customer, first, last):
                await _feed(store, hashers, piece)
                await _feed(store, [cid], piece)
            cut.append(segment._replace(offset=segment.offset + first, length=last - first, cid=cid.finish()))
        at += segment.length
    checksum = None
    if algorithm is not None:
        checksum = Checksum(algorithm.value, checksums.encode_digest(hashers[1].digest()))
    return Content(tuple(cut) or (intake.empty_segment(),), md5.digest().hex(), checksum)


async def _feed(store: Store, hashers: list[Hasher] | list[SegmentCid], piece: Buffer) -> None:
    def update() -> None:
        for hasher in hashers:
            hasher.update(piece)

    if len(piece) <= HASH_IN_LOOP_BYTES:
        update()
    else:
        await asyncio.get_running_loop().run_in_executor(store.plane.threads, update)
