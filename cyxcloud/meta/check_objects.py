"""Heads, versions, segments, uploads and usage against each other.

What a head repeats of its version, which version is current and what a bucket holds are derived from the versions, and
mended. A version's own columns are the only place that says what it is: where they disagree, nothing tells which is
right.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial

from sqlalchemy import and_, bindparam, delete, func, select

from cyxcloud.core.ids import BlobId, BucketId, VersionId
from cyxcloud.meta import blobs, heads, usage, versions
from cyxcloud.meta.check import Check, Context, Finding, Kind, key_named, named
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.errors import BucketGone
from cyxcloud.meta.rows import HeadRow, SegmentRow
from cyxcloud.meta.schema import bucket, part, segment, version
from cyxcloud.meta.statement import prepare

_HEAD_COLUMNS = """
SELECT h.bucket, h.key FROM head h LEFT JOIN version v ON v.id = h.version
WHERE v.id IS NULL OR v.bucket <> h.bucket OR v.key <> h.key OR h.live = v.is_delete_marker OR h.size <> v.size
   OR h.etag <> v.etag OR h.mtime_ms <> v.mtime_ms OR h.account <> v.account OR h.storage_class <> v.storage_class
   OR h.checksum <> v.checksum"""
_HEAD_CHAIN = """
SELECT h.bucket, h.key FROM head h JOIN version v ON v.id = h.version
WHERE h.next_seq <= v.seq
   OR EXISTS (SELECT 1 FROM version c WHERE c.bucket = h.bucket AND c.key = h.key AND c.seq > v.seq)"""
_HEAD_NULL = """
SELECT h.bucket, h.key FROM head h
WHERE COALESCE(h.null_version, -1) <> COALESCE(
  (SELECT max(c.id) FROM version c WHERE c.bucket = h.bucket AND c.key = h.key AND c.is_null = 1), -1)"""
_HEAD_MISSING = """
SELECT DISTINCT v.bucket, v.key FROM version v LEFT JOIN head h ON h.bucket = v.bucket AND h.key = v.key
WHERE h.version IS NULL"""
_NULLS = """
SELECT bucket, key FROM version WHERE is_null = 1 GROUP BY bucket, key HAVING count(*) > 1"""


def _owner_disagrees(table: str, owner: str, condition: str) -> str:
    """Rows whose size or number of segments is not that of their segments."""
    # All three come from this file.
    return f"""
SELECT {owner} FROM {table} o
WHERE {condition}
   OR (o.segment_count <= 1 AND (o.size <> COALESCE(o.seg_length, 0)
       OR o.segment_count <> CASE WHEN o.seg_blob IS NULL THEN 0 ELSE 1 END))
   OR (o.segment_count > 1 AND (
       o.size <> o.seg_length + (SELECT COALESCE(sum(s.length), 0) FROM segment s WHERE s.owner = o.id)
    OR o.segment_count - 1 <> (SELECT count(*) FROM segment s WHERE s.owner = o.id)
    OR o.segment_count - 1 <> (SELECT COALESCE(max(s.n), 0) FROM segment s WHERE s.owner = o.id)))"""  # noqa: S608


_VERSION_SIZES = _owner_disagrees(
    "version",
    "o.bucket, o.key",
    "(o.is_delete_marker = 1 AND o.segment_count > 0) OR (o.is_delete_marker = 0 AND o.segment_count = 0)",
)
_PART_SIZES = _owner_disagrees("part", "o.upload, o.number", "o.segment_count = 0")
_OWNERLESS = """
SELECT s.owner, s.n, s.blob FROM segment s
LEFT JOIN version v ON v.id = s.owner AND v.segment_count > 1
LEFT JOIN part p ON p.id = s.owner AND p.segment_count > 1
WHERE v.id IS NULL AND p.id IS NULL"""
_EVERY_SEGMENT = """(
  SELECT id AS owner, seg_blob AS blob, seg_offset AS first, seg_length AS length, seg_key_id AS key_id,
         seg_mode AS mode FROM version WHERE seg_length > 0
  UNION ALL SELECT owner, blob, "offset", length, key_id, mode FROM segment WHERE length > 0
  UNION ALL SELECT id, seg_blob, seg_offset, seg_length, seg_key_id, seg_mode
    FROM part WHERE seg_length > 0) AS every"""
# An inline body is one sealed frame: its ciphertext is 16 bytes longer than what it holds (shards/frames.py).
_BEYOND = f"""
SELECT every.owner, every.blob FROM {_EVERY_SEGMENT}
LEFT JOIN blob b ON b.id = every.blob LEFT JOIN inline i ON i.blob = every.blob
WHERE every.first < 0 OR every.first + every.length > COALESCE(b.size, length(i.body) - 16)"""  # noqa: S608
_KEY_IDS = f"SELECT every.key_id, count(*) FROM {_EVERY_SEGMENT} WHERE every.mode = 1 GROUP BY every.key_id"  # noqa: S608
_KMS_KEYS = f"""
SELECT every.key_id, count(*) FROM {_EVERY_SEGMENT} LEFT JOIN kms_key k ON k.number = every.key_id
WHERE every.mode = 2 AND k.number IS NULL GROUP BY every.key_id"""  # noqa: S608
_UPLOADLESS = """
SELECT DISTINCT p.upload FROM part p LEFT JOIN upload u ON u.id = p.upload WHERE u.id IS NULL"""
_HOLDERLESS = """
SELECT u.id FROM upload u LEFT JOIN session s ON s.number = u.holder
WHERE u.state = 2 AND (u.holder IS NULL OR s.number IS NULL)"""
_USAGE = """
SELECT bucket, CAST(sum(objects) AS BIGINT), CAST(sum(bytes) AS BIGINT) FROM (
  SELECT bucket, 1 AS objects, size AS bytes FROM version
  UNION ALL SELECT bucket, -objects, -bytes FROM usage
  UNION ALL SELECT bucket, -objects, -bytes FROM usage_delta) AS every
GROUP BY bucket HAVING sum(objects) <> 0 OR sum(bytes) <> 0"""
_BUCKETLESS = """
SELECT DISTINCT h.bucket FROM head h LEFT JOIN bucket b ON b.id = h.bucket WHERE b.id IS NULL"""

_newest = prepare(
    select(version)
    .where(version.c.bucket == bindparam("of_bucket"), version.c.key == bindparam("at_key"))
    .order_by(version.c.seq.desc())
    .limit(1)
)
_null = prepare(
    select(func.max(version.c.id)).where(
        version.c.bucket == bindparam("of_bucket"), version.c.key == bindparam("at_key"), version.c.is_null == 1
    )
)
_has_owner = prepare(
    select(version.c.id)
    .where(version.c.id == bindparam("owner"))
    .union(select(part.c.id).where(part.c.id == bindparam("owner")))
)
_take = prepare(
    delete(segment)
    .where(and_(segment.c.owner == bindparam("of_owner"), segment.c.n == bindparam("at_n")))
    .returning(segment.c.blob, segment.c.length)
)
_bucket = prepare(select(bucket.c.id).where(bucket.c.id == bindparam("of_bucket")))


def findings(conn: Connection, context: Context) -> Iterator[Finding]:
    checks = (
        Check.of(_HEAD_COLUMNS, partial(_head, "shows other than its version says, or a version that is not there")),
        Check.of(_HEAD_CHAIN, partial(_head, "does not point at the latest version")),
        Check.of(_HEAD_NULL, partial(_head, "names another null version than the chain has")),
        Check.of(_HEAD_MISSING, partial(_head, "has versions and no head")),
        Check.of(_NULLS, lambda row: Finding(Kind.VERSION, key_named(*row), "has more than one null version")),
        Check.of(_VERSION_SIZES, _explain_sizes),
        Check.of(_PART_SIZES, lambda row: _upload(row[0], f"part {row[1]}: its size is not that of its segments")),
        Check.of(_OWNERLESS, partial(_explain_ownerless, context.due_at_ms)),
        Check.of(_BEYOND, _explain_beyond),
        Check.of(_KMS_KEYS, _explain_kms_key),
        Check.of(_UPLOADLESS, lambda row: _upload(row[0], "has parts and no row")),
        Check.of(_HOLDERLESS, lambda row: _upload(row[0], "is being completed by a session that never was")),
        Check.of(_USAGE, _explain_usage),
        Check.of(_BUCKETLESS, lambda row: Finding(Kind.BUCKET, f"bucket {named(row[0])}", "has keys and no row")),
    )
    for check in checks:
        yield from check.run(conn)
    for key_id, count in conn.rows(Check.of(_KEY_IDS, _explain_usage).statement):
        if key_id not in context.key_ids:
            yield Finding(Kind.KEY, f"wrapping key {key_id}", f"is not in the keyring; {count} segments are under it")


def rebuild_head(bucket_id: BucketId, key: bytes, conn: Connection) -> bool:
    """The head of a key as its versions say."""
    try:
        known = heads.lock(conn, bucket_id, key).head
    except BucketGone:
        return False
    at = {"of_bucket": bucket_id, "at_key": key}
    row = conn.one(_newest, at)
    if row is None:
        heads.remove(conn, bucket_id, key)
        return known is not None
    newest, null = versions.row_of(row), conn.one(_null, at)
    right = HeadRow(
        key=key,
        version=newest.id,
        null_version=VersionId(null[0]) if null is not None and null[0] is not None else None,
        live=not newest.is_delete_marker,
        size=newest.size,
        etag=newest.etag,
        mtime_ms=newest.mtime_ms,
        account=newest.account,
        storage_class=newest.storage_class,
        checksum=newest.checksum,
        next_seq=max(newest.seq + 1, known.next_seq if known is not None else 0),
    )
    if right == known:
        return False
    heads.put(conn, bucket_id, right, is_new=known is None)
    return True


def _head(problem: str, row: Row) -> Finding:
    bucket_id, key = row
    return Finding(Kind.HEAD, key_named(bucket_id, key), problem, partial(rebuild_head, bucket_id, bytes(key)))


def _explain_sizes(row: Row) -> Finding:
    return Finding(Kind.VERSION, key_named(*row), "a version's size or number of segments is not that of its segments")


def _upload(upload: int, problem: str) -> Finding:
    return Finding(Kind.UPLOAD, f"upload {named(upload)}", problem)


def _explain_ownerless(due_at_ms: int, row: Row) -> Finding:
    owner, n, blob = row
    where = f"segment {n} of {named(owner)}"
    repair = partial(_drop_ownerless, owner, n, due_at_ms)
    return Finding(Kind.SEGMENT, where, f"belongs to nothing and keeps blob {named(blob)}", repair)


def _drop_ownerless(owner: int, n: int, due_at_ms: int, conn: Connection) -> bool:
    if conn.rows(_has_owner, {"owner": owner}):
        return False
    row = conn.one(_take, {"of_owner": owner, "at_n": n})
    if row is None:
        return False
    blobs.release(conn, [SegmentRow(BlobId(row[0]), 0, row[1], b"", 0, 0, b"")], due_at_ms)
    return True


def _explain_beyond(row: Row) -> Finding:
    return Finding(Kind.SEGMENT, f"a segment of {named(row[0])}", f"reaches beyond its blob {named(row[1])}")


def _explain_kms_key(row: Row) -> Finding:
    return Finding(Kind.KEY, f"named key {row[0]}", f"is not there; {row[1]} segments are under it")


def _explain_usage(row: Row) -> Finding:
    bucket_id, objects, size_bytes = row
    problem = f"its usage is off by {-objects} objects and {-size_bytes} bytes"
    repair = partial(_mend_usage, bucket_id, objects, size_bytes)
    return Finding(Kind.USAGE, f"bucket {named(bucket_id)}", problem, repair)


def _mend_usage(bucket_id: BucketId, objects: int, size_bytes: int, conn: Connection) -> bool:
    """By a delta, as requests do; its id is below those of every session."""
    if conn.one(_bucket, {"of_bucket": bucket_id}) is None:
        usage.remove(conn, bucket_id)
    else:
        usage.add(conn, bucket_id, -1 - secrets.randbits(62), objects=objects, size_bytes=size_bytes)
    return True
