"""Rows for tests, and the object transactions that callers of this package compose."""

from __future__ import annotations

from cyxcloud.core.ids import AccountId, BlobId, BucketId, PlacementId, VersionId
from cyxcloud.meta import blobs, buckets, heads, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, BucketRow, ChunkRow, NewVersion, SegmentRow, Versioning

BUCKET = BucketId(11)
ACCOUNT = AccountId(7)
DUE_MS = 5000


def segment(blob: int, length: int = 100, offset: int = 0) -> SegmentRow:
    return SegmentRow(BlobId(blob), offset, length, b"d" * 40, 1, 1, b"c" * 32)


def bucket_row(number: int = BUCKET, name: str = "bucket", account: int = ACCOUNT) -> BucketRow:
    return BucketRow(BucketId(number), name, AccountId(account), "us-east-1", 1, Versioning.OFF, 1)


def add_bucket(conn: Connection, number: int = BUCKET, name: str = "bucket") -> bool:
    return buckets.create(conn, bucket_row(number, name))


def new_version(
    number: int,
    key: bytes,
    *segments: SegmentRow,
    is_null: bool = True,
    marker: bool = False,
    bucket: int = BUCKET,
) -> NewVersion:
    return NewVersion(
        id=VersionId(number),
        bucket=BucketId(bucket),
        key=key,
        is_null=is_null,
        is_delete_marker=marker,
        size=sum(each.length for each in segments),
        etag=f"etag-{number}",
        mtime_ms=number,
        account=ACCOUNT,
        storage_class="STANDARD",
        checksum=0,
        content_cid=None if marker else b"o" * 32,
        attributes=b"attributes of %d" % number,
        segments=segments,
    )


def add_blob(conn: Connection, number: int, refs: int = 1, chunks: int = 2) -> None:
    row = BlobRow(BlobId(number), refs, 1_000_000, 10, 4, 1, chunks)
    blobs.insert_chunked(conn, row, [ChunkRow(n, bytes([n]) * 32, PlacementId(n + 1)) for n in range(chunks)])


def put(conn: Connection, new: NewVersion) -> versions.Removed | None:
    """The metadata half of a PutObject or CopyObject whose references are held already."""
    chain = heads.lock(conn, new.bucket, new.key)
    replaced = versions.insert_current(conn, new, chain.head)
    if replaced is not None:
        blobs.release(conn, replaced.segments, DUE_MS)
    return replaced


def put_inline(conn: Connection, number: int, key: bytes, body: bytes = b"body", *, is_null: bool = True) -> None:
    blobs.insert_inline(conn, BlobId(number), body)
    put(conn, new_version(number, key, segment(number, len(body)), is_null=is_null))


def delete(conn: Connection, key: bytes, number: int, bucket: int = BUCKET) -> versions.Removed | None:
    head = heads.lock(conn, BucketId(bucket), key).head
    if head is None:
        return None
    removed = versions.remove(conn, BucketId(bucket), head, VersionId(number))
    if removed is not None:
        blobs.release(conn, removed.segments, DUE_MS)
    return removed
