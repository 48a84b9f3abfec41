"""Messages that wait to be taken by a webhook. Of one key of a bucket only the oldest is ever given out, so the next
goes when that one was taken or given up; those of other keys do not wait for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import and_, bindparam, delete, exists, func, insert, select, update

from cyxcloud.core.ids import BucketId
from cyxcloud.meta import changes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema import delivery
from cyxcloud.meta.statement import prepare

# No bucket has it: the counter that gives deliveries their ids.
COUNTER = BucketId(-1)

_D = delivery.c
_before = delivery.alias()
_insert = prepare(insert(delivery))
_due = prepare(
    select(delivery)
    .where(
        _D.target == bindparam("to"),
        _D.due_at_ms <= bindparam("now_ms"),
        ~exists().where(
            and_(
                _before.c.target == _D.target,
                _before.c.bucket == _D.bucket,
                _before.c.key == _D.key,
                _before.c.id < _D.id,
            )
        ),
    )
    .order_by(_D.due_at_ms, _D.id)
    .limit(bindparam("at_most"))
)
_next = prepare(
    select(delivery)
    .where(
        _D.target == bindparam("to"),
        _D.bucket == bindparam("of_bucket"),
        _D.key == bindparam("at_key"),
        _D.id > bindparam("after"),
    )
    .order_by(_D.id)
    .limit(1)
)
_taken = prepare(delete(delivery).where(_D.id == bindparam("delivery")))
_postpone = prepare(
    update(delivery)
    .where(_D.id == bindparam("delivery"))
    .values(due_at_ms=bindparam("due_ms"), attempts=_D.attempts + 1)
)
_older = prepare(
    select(_D.id)
    .where(_D.target == bindparam("to"), _D.created_at_ms <= bindparam("then_ms"))
    .limit(bindparam("at_most"))
)
_failed = prepare(select(_D.id).where(_D.target == bindparam("to"), _D.attempts > 0).limit(1))
_waiting = prepare(select(_D.target, func.count(), func.min(_D.created_at_ms)).group_by(_D.target))
_remove_all = prepare(delete(delivery).where(_D.target == bindparam("to")))


class NewDelivery(NamedTuple):
    target: str
    bucket: BucketId
    key: bytes
    created_at_ms: int
    body: bytes


class DeliveryRow(NamedTuple):
    id: int
    target: str
    bucket: BucketId
    key: bytes
    created_at_ms: int
    due_at_ms: int
    attempts: int
    body: bytes


class Waiting(NamedTuple):
    messages: int
    oldest_at_ms: int


def add(conn: Connection, new: Iterable[NewDelivery]) -> None:
    """Due at once, in this order."""
    for each in new:
        number = changes.next_number(conn, COUNTER)
        conn.run(_insert, each._asdict() | {"id": number, "due_at_ms": each.created_at_ms, "attempts": 0})


def due(conn: Connection, target: str, now_ms: int, limit: int) -> list[DeliveryRow]:
    """At most one of each key."""
    return [DeliveryRow(*row) for row in conn.rows(_due, {"to": target, "now_ms": now_ms, "at_most": limit})]


def following(conn: Connection, row: DeliveryRow) -> DeliveryRow | None:
    """The next one of its key."""
    params = {"to": row.target, "of_bucket": row.bucket, "at_key": row.key, "after": row.id}
    found = conn.one(_next, params)
    return None if found is None else DeliveryRow(*found)


def taken(conn: Connection, ids: Iterable[int]) -> None:
    """Or given up."""
    for number in ids:
        conn.run(_taken, {"delivery": number})


def postpone(conn: Connection, number: int, due_ms: int) -> None:
    conn.run(_postpone, {"delivery": number, "due_ms": due_ms})


def older(conn: Connection, target: str, then_ms: int, limit: int) -> list[int]:
    """Ids of those that wait since before then."""
    return [row[0] for row in conn.rows(_older, {"to": target, "then_ms": then_ms, "at_most": limit})]


def any_failed(conn: Connection, target: str) -> bool:
    """Whether one waits that was tried in vain (walks what waits)."""
    return conn.one(_failed, {"to": target}) is not None


def waiting(conn: Connection) -> dict[str, Waiting]:
    """By webhook (walks the table: not for requests)."""
    return {row[0]: Waiting(row[1], row[2]) for row in conn.rows(_waiting)}


def remove_all(conn: Connection, target: str) -> None:
    conn.run(_remove_all, {"to": target})
