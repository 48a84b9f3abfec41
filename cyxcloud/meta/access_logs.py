"""Lines of access logs on their way: gateways append them in batches, the coordinator takes them together, bucket by
bucket, in the transaction that makes the object that holds them. `bucket` is the one that the requests were for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BucketId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema import access_log
from cyxcloud.meta.statement import prepare

_L = access_log.c
_insert = prepare(insert(access_log).on_conflict_do_nothing())
_next_bucket = prepare(select(func.min(_L.bucket)).where(_L.bucket > bindparam("after")))
_last = prepare(select(func.max(_L.id)).where(_L.bucket == bindparam("of_bucket")))
_page = prepare(
    select(_L.id, _L.at_ms, _L.line)
    .where(_L.bucket == bindparam("of_bucket"))
    .order_by(_L.id)
    .limit(bindparam("at_most"))
)
_remove = prepare(delete(access_log).where(_L.bucket == bindparam("of_bucket"), _L.id == bindparam("at")))
_remove_all = prepare(delete(access_log).where(_L.bucket == bindparam("of_bucket")))


class LogRow(NamedTuple):
    id: int
    at_ms: int
    line: bytes


def append(conn: Connection, rows: Sequence[tuple[BucketId, LogRow]]) -> None:
    """May be repeated by one who does not know whether it was done."""
    for bucket, row in rows:
        conn.run(_insert, {"bucket": bucket, "id": row.id, "at_ms": row.at_ms, "line": row.line})


def waiting(conn: Connection) -> list[tuple[BucketId, int]]:
    """Buckets with lines, each with the greatest id of one: two seeks a bucket, however many lines there are."""
    found: list[tuple[BucketId, int]] = []
    after = -1
    while True:
        row = conn.one(_next_bucket, {"after": after})
        if row is None or row[0] is None:
            return found
        last = conn.one(_last, {"of_bucket": row[0]})
        if last is not None and last[0] is not None:
            found.append((BucketId(row[0]), last[0]))
        after = row[0]


def page(conn: Connection, bucket: BucketId, limit: int) -> list[LogRow]:
    return [LogRow._make(row) for row in conn.rows(_page, {"of_bucket": bucket, "at_most": limit})]


def remove(conn: Connection, bucket: BucketId, ids: Sequence[int]) -> int:
    """How many were there: whoever removes all that he has read knows that nobody else delivered them."""
    return sum(conn.run(_remove, {"of_bucket": bucket, "at": each}) for each in ids)


def remove_all(conn: Connection, bucket: BucketId) -> int:
    return conn.run(_remove_all, {"of_bucket": bucket})
