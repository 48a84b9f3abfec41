"""Reading an object: one metadata read, then its bytes, each verified before it is given out.

A view holds what one statement saw. Removing or overwriting the object afterwards does not disturb a running read: an
inline body is in hand, and shards stay for the delete grace. Where a chunk lies may change meanwhile: a read that does
not find its shards forgets the cached map and asks once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property

from cyxcloud.meta import blobs, reads, segments
from cyxcloud.meta.reads import ObjectRead, VersionRef
from cyxcloud.meta.rows import BucketRow, SegmentRow, VersionRow
from cyxcloud.objects import attributes as attributes_codec
from cyxcloud.objects import encryption
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.encryption import CustomerKey
from cyxcloud.objects.errors import InvalidPartNumber, NoSuchBucket, NoSuchKey
from cyxcloud.objects.store import BlobMap, Store
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher, Buffer


@dataclass(frozen=True)
class ObjectView:
    """One version of one key, as a single statement saw it. `sealed` is the ciphertext of a single inline segment;
    `customer` the key that the reader has given for it, and that was proven."""

    bucket: BucketRow
    version: VersionRow
    sealed: bytes | None = field(repr=False)
    customer: CustomerKey | None = field(default=None, repr=False)

    @cached_property
    def attributes(self) -> Attributes:
        return attributes_codec.decode(self.version.attributes)

    def part(self, number: int) -> tuple[int, int, int]:
        """(first byte, byte after the last, parts in all) of a part; raises InvalidPartNumber."""
        parts = self.attributes.parts
        if not parts:
            if number != 1:
                raise InvalidPartNumber
            return 0, self.version.size, 0
        start = 0
        for each in parts:
            if each.number == number:
                return start, start + each.size, len(parts)
            start += each.size
        raise InvalidPartNumber


def find(store: Store, bucket_name: str, key: bytes, *, with_body: bool, named: VersionRef | None = None) -> ObjectRead:
    """Bucket and version, the current one where none is named, in one statement, before anybody was asked whether it
    may be seen."""
    if named is None:
        return reads.read_object(store.reader, bucket_name, key, with_body=with_body)
    if named.id is None:
        return reads.read_null(store.reader, bucket_name, key, with_body=with_body)
    found = reads.read_version(store.reader, bucket_name, key, named.id, with_body=with_body)
    # A null version is had as such alone: its own id is never told.
    hidden = found.version is not None and found.version.is_null
    return ObjectRead(found.bucket, None, None) if hidden else found


def view_of(found: ObjectRead) -> ObjectView:
    """Raises NoSuchBucket, NoSuchKey (also for a delete marker)."""
    if found.bucket is None:
        raise NoSuchBucket
    if found.version is None or found.version.is_delete_marker:
        raise NoSuchKey
    return ObjectView(found.bucket, found.version, found.body)


def open_object(store: Store, bucket_name: str, key: bytes) -> ObjectView:
    """The key's current version."""
    return view_of(find(store, bucket_name, key, with_body=True))


def all_segments(store: Store, view: ObjectView) -> tuple[SegmentRow, ...]:
    return segments.of(store.reader, view.version)


async def read_range(store: Store, view: ObjectView, start: int, end: int) -> AsyncIterator[Buffer]:
    """Plaintext [start, end) of a view, in pieces of at most a chunk. Close the iterator when it is left early."""
    if view.sealed is not None:
        yield read_small(store, view, start, end)
        return
    at = 0
    for segment in all_segments(store, view):
        first, last = max(start, at), min(end, at + segment.length)
        if first < last:
            async for piece in read_segment(store, segment, view.customer, first - at, last - at):
                yield piece
        at += segment.length
        if at >= end:
            return


def read_small(store: Store, view: ObjectView, start: int, end: int) -> Buffer:
    """The same for an inline body, without waiting for anything."""
    assert view.sealed is not None
    segment = view.version.segment
    assert segment is not None
    return _open_inline(segment, _cipher(store, segment, view.customer), view.sealed, start, end)


async def read_segment(
    store: Store, segment: SegmentRow, customer: CustomerKey | None, start: int, end: int
) -> AsyncIterator[Buffer]:
    """Plaintext [start, end) counted from the segment's own first byte."""
    start, end = start + segment.offset, end + segment.offset
    found = blob_map(store, segment)
    if found is None:
        sealed = blobs.body(store.reader, segment.blob)
        if sealed is None:
            raise NoSuchKey  # removed between two statements: as if the request had come after
        offset = segment.offset
        yield _open_inline(segment, _cipher(store, segment, customer), sealed, start - offset, end - offset)
        return
    refs = (store.chunk_ref(found, index) for index in range(start // CHUNK_BYTES, -(-end // CHUNK_BYTES)))
    pieces = store.chunk_reader.read_blob(refs, _cipher(store, segment, customer), start, end)
    try:
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()


def blob_map(store: Store, segment: SegmentRow) -> BlobMap | None:
    """Where a segment's blob lies; None where it is inline."""
    cached = store.maps.get(segment.blob)
    if cached is not None or not segment.length:
        return cached
    rows = blobs.chunks(store.reader, segment.blob)
    if rows is None:
        return None
    found = BlobMap(*rows)
    store.maps.put(found)
    return found


def _cipher(store: Store, segment: SegmentRow, customer: CustomerKey | None) -> BlobCipher:
    return BlobCipher(segment.blob, encryption.unwrap(store, segment, customer))


def _open_inline(segment: SegmentRow, cipher: BlobCipher, sealed: bytes, start: int, end: int) -> Buffer:
    opened = cipher.open(0, 0, sealed)
    start, end = start + segment.offset, end + segment.offset
    return opened if end - start == len(opened) else memoryview(opened)[start:end]
