"""A bucket's configurations: one row each, in a format that the caller encodes. Every change raises the bucket's
revision in the same transaction, so what was parsed under a revision stays right as long as it stands."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BucketId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BucketGone
from cyxcloud.meta.rows import BucketFlags
from cyxcloud.meta.schema import bucket, bucket_config
from cyxcloud.meta.statement import prepare

_C = bucket_config.c
_B = bucket.c
_this = (_C.bucket == bindparam("of_bucket"), _C.name == bindparam("named"))
_all = prepare(select(_C.name, _C.value).where(_C.bucket == bindparam("of_bucket")))
_one = prepare(select(_C.value).where(*_this))
_insert = insert(bucket_config)
_put = prepare(_insert.on_conflict_do_update(index_elements=["bucket", "name"], set_={"value": _insert.excluded.value}))
_remove = prepare(delete(bucket_config).where(*_this))
_remove_all = prepare(delete(bucket_config).where(_C.bucket == bindparam("of_bucket")))
_raise_revision = prepare(update(bucket).where(_B.id == bindparam("of_bucket")).values(revision=_B.revision + 1))
_flags = prepare(select(_B.flags).where(_B.id == bindparam("of_bucket")).with_for_update())
_set_flags = prepare(update(bucket).where(_B.id == bindparam("of_bucket")).values(flags=bindparam("flags")))
_having = prepare(
    select(_C.bucket, _C.value)
    .where(_C.name == bindparam("named"), _C.bucket > bindparam("after"))
    .order_by(_C.bucket)
    .limit(bindparam("at_most"))
)


def read_all(conn: Connection, bucket_id: BucketId) -> dict[str, bytes]:
    return dict(conn.rows(_all, {"of_bucket": bucket_id}))


def read(conn: Connection, bucket_id: BucketId, name: str) -> bytes | None:
    row = conn.one(_one, {"of_bucket": bucket_id, "named": name})
    return None if row is None else row[0]


def put(conn: Connection, bucket_id: BucketId, name: str, value: bytes) -> None:
    """Raises BucketGone."""
    _changed(conn, bucket_id)
    conn.run(_put, {"bucket": bucket_id, "name": name, "value": value})


def remove(conn: Connection, bucket_id: BucketId, name: str) -> bool:
    """False when there was none. Raises BucketGone."""
    _changed(conn, bucket_id)
    return conn.run(_remove, {"of_bucket": bucket_id, "named": name}) == 1


def set_flag(conn: Connection, bucket_id: BucketId, flag: BucketFlags, *, on: bool) -> None:
    """Raises BucketGone."""
    _changed(conn, bucket_id)
    row = conn.one(_flags, {"of_bucket": bucket_id})
    assert row is not None
    flags = BucketFlags(row[0]) | flag if on else BucketFlags(row[0]) & ~flag
    conn.run(_set_flags, {"of_bucket": bucket_id, "flags": int(flags)})


def remove_all(conn: Connection, bucket_id: BucketId) -> None:
    """The bucket goes."""
    conn.run(_remove_all, {"of_bucket": bucket_id})


def having(conn: Connection, name: str, *, after: int = -1, limit: int = 1000) -> list[tuple[BucketId, bytes]]:
    """Buckets that have this configuration, by id (walks the table of configurations: not for requests)."""
    params = {"named": name, "after": after, "at_most": limit}
    return [(BucketId(row[0]), row[1]) for row in conn.rows(_having, params)]


def _changed(conn: Connection, bucket_id: BucketId) -> None:
    conn.changed_buckets = True
    if conn.run(_raise_revision, {"of_bucket": bucket_id}) != 1:
        raise BucketGone(bucket_id)
