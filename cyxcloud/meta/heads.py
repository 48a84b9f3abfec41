"""Heads: one row a key, locked by every change of its chain of versions.

Under SQLite the writer's BEGIN IMMEDIATE is the lock. On PostgreSQL the bucket's row is taken FOR SHARE (deleting it
waits) and the key by an advisory lock of the transaction, because a key without a row has nothing to lock.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, delete, func, insert, literal, select, update

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.errors import BucketGone
from cyxcloud.meta.rows import BUCKET_FLAGS, VERSIONING, BucketFlags, HeadRow, Versioning
from cyxcloud.meta.schema import bucket, head
from cyxcloud.meta.statement import POSTGRESQL, prepare

_H = head.c
_FIELDS = (
    _H.key,
    _H.version,
    _H.null_version,
    _H.live,
    _H.size,
    _H.etag,
    _H.mtime_ms,
    _H.account,
    _H.storage_class,
    _H.checksum,
    _H.next_seq,
)
_at_key = and_(_H.bucket == bindparam("of_bucket"), _H.key == bindparam("at_key"))
_read = prepare(select(*_FIELDS).where(_at_key))
_with_bucket = prepare(
    select(bucket.c.versioning, bucket.c.flags, *_FIELDS)
    .join_from(bucket, head, and_(_H.bucket == bucket.c.id, _H.key == bindparam("at_key")), isouter=True)
    .where(bucket.c.id == bindparam("of_bucket"))
)
_share_bucket = prepare(select(bucket.c.id).where(bucket.c.id == bindparam("of_bucket")).with_for_update(read=True))
_lock_key = prepare(select(func.pg_advisory_xact_lock(bindparam("name", type_=BigInteger))))
_any = prepare(select(literal(1)).where(select(_H.key).where(_H.bucket == bindparam("of_bucket")).exists()))
_count = prepare(select(func.count()).where(_H.live == 1, _H.bucket != bindparam("but")))
_insert = prepare(insert(head))
_update = prepare(
    update(head)
    .where(_at_key)
    .values({name: bindparam(name) for name in head.c.keys() if name not in ("bucket", "key")})  # noqa: SIM118
)
_clear_null = prepare(update(head).where(_at_key).values(null_version=None))
_remove = prepare(delete(head).where(_at_key))


class Chain(NamedTuple):
    """A key locked for change: its bucket's versioning and flags now, and its head, if it has any version."""

    versioning: Versioning
    flags: BucketFlags
    head: HeadRow | None


def lock(conn: Connection, bucket_id: BucketId, key: bytes) -> Chain:
    """Lock a key until the transaction ends; BucketGone when its bucket was deleted meanwhile."""
    if conn.dialect == POSTGRESQL:
        conn.one(_share_bucket, {"of_bucket": bucket_id})
        conn.one(_lock_key, {"name": _lock_name(bucket_id, key)})
    row = conn.one(_with_bucket, {"of_bucket": bucket_id, "at_key": key})
    if row is None:
        raise BucketGone(bucket_id)
    return Chain(VERSIONING[row[0]], BUCKET_FLAGS[row[1]], None if row[2] is None else _row(row[2:]))


def read(conn: Connection, bucket_id: BucketId, key: bytes) -> HeadRow | None:
    row = conn.one(_read, {"of_bucket": bucket_id, "at_key": key})
    return None if row is None else _row(row)


def any_in(conn: Connection, bucket_id: BucketId) -> bool:
    """Whether the bucket holds any version of any key, delete markers included."""
    return conn.one(_any, {"of_bucket": bucket_id}) is not None


def count(conn: Connection, *, but: BucketId) -> int:
    """Objects in all buckets but one (walks the table: not for requests)."""
    row = conn.one(_count, {"but": but})
    assert row is not None
    found: int = row[0]
    return found


def put(conn: Connection, bucket_id: BucketId, row: HeadRow, *, is_new: bool) -> None:
    """Write a key's head under its lock; `is_new` when the key had none."""
    params = {
        "version": row.version,
        "null_version": row.null_version,
        "live": int(row.live),
        "size": row.size,
        "etag": row.etag,
        "mtime_ms": row.mtime_ms,
        "account": row.account,
        "storage_class": row.storage_class,
        "checksum": row.checksum,
        "next_seq": row.next_seq,
    }
    if is_new:
        conn.run(_insert, params | {"bucket": bucket_id, "key": row.key})
    else:
        conn.run(_update, params | {"of_bucket": bucket_id, "at_key": row.key})


def clear_null(conn: Connection, bucket_id: BucketId, key: bytes) -> None:
    conn.run(_clear_null, {"of_bucket": bucket_id, "at_key": key})


def remove(conn: Connection, bucket_id: BucketId, key: bytes) -> None:
    """The key's last version is gone; the next one starts a new chain."""
    conn.run(_remove, {"of_bucket": bucket_id, "at_key": key})


def _row(row: Row) -> HeadRow:
    key, version, null_version, live, *rest = row
    return HeadRow(key, VersionId(version), null_version, bool(live), *rest)


def _lock_name(bucket_id: BucketId, key: bytes) -> int:
    """Two keys may share a name, which costs a wait and nothing else."""
    digest = blake2b(bucket_id.to_bytes(8, "big") + key, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
