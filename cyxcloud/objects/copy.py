"""Copies write no bytes: the new version or part gets segments of its own on the same blobs.

A blob is shared where nothing about its key changes; all that is stored now is under the keyring, so all of it is.
Bytes are read, once, only for what cannot be derived: the ETag, checksum and CID of a range, or a checksum newly asked
for.
Between the read of the source's rows and the commit its blob may lose its last reference; the transaction then finds no
row to count up, and the copy fails as if the source had not been there.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

from cyxcloud.core import checksums
from cyxcloud.core.checksums import Algorithm, Hasher
from cyxcloud.meta import blobs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BlobGone
from cyxcloud.meta.rows import SegmentRow, UploadRow, Versioning
from cyxcloud.objects import get, intake, multipart, put
from cyxcloud.objects.attributes import Attributes, Checksum, layout_beside
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.multipart import Content
from cyxcloud.objects.put import Stored, Target
from cyxcloud.objects.store import Store
from cyxcloud.shards.cid import SegmentCid
from cyxcloud.shards.frames import Buffer
from cyxcloud.shards.plane import INLINE_BYTES as HASH_IN_LOOP_BYTES


async def copy_object(
    store: Store, source: ObjectView, target: Target, attributes: Attributes, algorithm: Algorithm | None
) -> Stored:
    """`attributes` are the copy's headers and metadata; checksum and parts come from the source or are computed."""
    content = await _whole(store, source, algorithm)
    parts = source.attributes.parts if content.checksum == source.attributes.checksum else ()
    layout = layout_beside(parts, [each.length for each in content.segments])
    attributes = replace(attributes, checksum=content.checksum, parts=parts, layout=layout)
    new = put.new_version(store, target, content.segments, content.etag, attributes)

    def commit(conn: Connection) -> Versioning:
        blobs.share(conn, content.segments)
        return put.make_current(conn, store, new, target.conditions)

    try:
        versioning = await store.change(commit)
    except BlobGone:
        raise NoSuchKey from None
    return put.stored(new, content.checksum, versioning)


async def copy_part(
    store: Store, source: ObjectView, span: tuple[int, int], upload: UploadRow, number: int
) -> tuple[str, int, Checksum | None]:
    """Source bytes [start, end) become a part. Its ETag, modification time and checksum."""
    wanted = multipart.checksum_plan(upload).algorithm
    content = await _range(store, source, span, Algorithm(wanted) if wanted else None)
    row = multipart.new_part(store, upload, number, content)

    def commit(conn: Connection) -> None:
        blobs.share(conn, content.segments)
        multipart.commit_part(conn, store, row)

    try:
        await store.change(commit)
    except BlobGone:
        raise NoSuchKey from None
    return content.etag, row.mtime_ms, content.checksum


async def _whole(store: Store, source: ObjectView, algorithm: Algorithm | None) -> Content:
    segments, checksum = get.all_segments(store, source), source.attributes.checksum
    if algorithm is not None and (checksum is None or checksum.algorithm != algorithm.value):
        hasher = checksums.new_hasher(algorithm)
        async for piece in get.read_range(store, source, 0, source.version.size):
            await _feed(store, [hasher], piece)
        checksum = Checksum(algorithm.value, checksums.encode_digest(hasher.digest()))
    return Content(segments, source.version.etag, checksum)


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
            async for piece in get.read_segment(store, segment, first, last):
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
