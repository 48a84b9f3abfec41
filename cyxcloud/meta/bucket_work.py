"""Where standing work on a bucket is, so that it goes on there after a restart. The worker encodes its state."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BucketId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema import bucket_work
from cyxcloud.meta.statement import prepare

_W = bucket_work.c
_this = and_(_W.bucket == bindparam("of_bucket"), _W.name == bindparam("named"))
_read = prepare(select(_W.at_ms, _W.state).where(_this))
_insert = insert(bucket_work)
_put = prepare(
    _insert.on_conflict_do_update(
        index_elements=["bucket", "name"], set_={"at_ms": _insert.excluded.at_ms, "state": _insert.excluded.state}
    )
)
_remove = prepare(delete(bucket_work).where(_this))
_remove_all = prepare(delete(bucket_work).where(_W.bucket == bindparam("of_bucket")))


def read(conn: Connection, bucket_id: BucketId, name: str) -> tuple[int, bytes] | None:
    """When it was noted, and the state."""
    row = conn.one(_read, {"of_bucket": bucket_id, "named": name})
    return None if row is None else (row[0], row[1])


def put(conn: Connection, bucket_id: BucketId, name: str, at_ms: int, state: bytes) -> None:
    conn.run(_put, {"bucket": bucket_id, "name": name, "at_ms": at_ms, "state": state})


def remove(conn: Connection, bucket_id: BucketId, name: str) -> None:
    conn.run(_remove, {"of_bucket": bucket_id, "named": name})


def remove_all(conn: Connection, bucket_id: BucketId) -> None:
    """The bucket goes."""
    conn.run(_remove_all, {"of_bucket": bucket_id})
