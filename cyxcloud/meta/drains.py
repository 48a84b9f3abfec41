"""Nodes that are emptied, or were: what they held, what has moved, and at the end the signed receipt.

A node has one row, however often its drain is cancelled and resumed. What has moved is counted in the transaction that
moves it, so a chunk counts once and a crash counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import bindparam, exists, insert, select, tuple_, update

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import NodeRow
from cyxcloud.meta.schema import blob, chunk, delete_order, stray
from cyxcloud.meta.schema_fleet import drain
from cyxcloud.meta.statement import prepare

_D = drain.c


class DrainState(StrEnum):
    """DRAINING until nothing is left; CANCELLED can be resumed; DRAINED is for ever."""

    DRAINING = "draining"
    CANCELLED = "cancelled"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class DrainRow:
    """`shards` and their `size_bytes` lay on the node when it began, without what was written there since."""

    node: NodeNumber
    state: DrainState
    begun_at_ms: int
    ended_at_ms: int | None
    shards: int
    size_bytes: int
    shards_moved: int
    bytes_moved: int
    receipt: bytes | None = None
    signature: bytes | None = None


_this = _D.node == bindparam("of_node")
_insert = prepare(insert(drain))
_read = prepare(select(drain).where(_this))
_all = prepare(select(drain).order_by(_D.node))
_state = prepare(update(drain).where(_this, _D.state == bindparam("before")).values(state=bindparam("after")))
_moved = prepare(
    update(drain)
    .where(_this, _D.state == DrainState.DRAINING)
    .values(shards_moved=_D.shards_moved + bindparam("more_shards"), bytes_moved=_D.bytes_moved + bindparam("more"))
)
_end = prepare(
    update(drain)
    .where(_this, _D.state == DrainState.DRAINING)
    .values(
        state=DrainState.DRAINED,
        ended_at_ms=bindparam("now_ms"),
        receipt=bindparam("body"),
        signature=bindparam("signed"),
    )
)
_held = prepare(
    select(chunk.c.blob, chunk.c.n, blob.c.size, blob.c.k, blob.c.m)
    .join(blob, blob.c.id == chunk.c.blob)
    .where(
        chunk.c.placement == bindparam("placement"),
        blob.c.refs > 0,
        tuple_(chunk.c.blob, chunk.c.n) > tuple_(bindparam("after_blob"), bindparam("after_n")),
    )
    .order_by(chunk.c.blob, chunk.c.n)
    .limit(bindparam("at_most"))
)
_unsettled = prepare(
    select(
        exists().where(stray.c.node == bindparam("of_node")),
        exists().where(delete_order.c.node == bindparam("of_node"), delete_order.c.settled_at_ms.is_(None)),
    )
)


def begin(conn: Connection, node: NodeNumber, *, now_ms: int, shards: int, size_bytes: int) -> None:
    """For a node that has no row yet."""
    conn.run(
        _insert,
        {
            "node": node,
            "state": DrainState.DRAINING,
            "begun_at_ms": now_ms,
            "ended_at_ms": None,
            "shards": shards,
            "bytes": size_bytes,
            "shards_moved": 0,
            "bytes_moved": 0,
            "receipt": None,
            "signature": None,
        },
    )


def read(conn: Connection, node: NodeNumber) -> DrainRow | None:
    row = conn.one(_read, {"of_node": node})
    return None if row is None else _row(row)


def read_all(conn: Connection) -> list[DrainRow]:
    return [_row(row) for row in conn.rows(_all)]


def cancel(conn: Connection, node: NodeNumber) -> bool:
    return conn.run(_state, {"of_node": node, "before": DrainState.DRAINING, "after": DrainState.CANCELLED}) == 1


def resume(conn: Connection, node: NodeNumber) -> bool:
    return conn.run(_state, {"of_node": node, "before": DrainState.CANCELLED, "after": DrainState.DRAINING}) == 1


def staying(conn: Connection, nodes: Iterable[NodeRow]) -> frozenset[NodeNumber]:
    """Nodes that were to be emptied and stay after all."""
    cancelled = {row.node for row in read_all(conn) if row.state is DrainState.CANCELLED}
    return frozenset(row.number for row in nodes if row.number in cancelled and not row.leaving)


def add_moved(conn: Connection, moved: Iterable[tuple[NodeNumber, int, int]]) -> None:
    """Shards and bytes that lie elsewhere now, by node; nothing for a node that is not being drained."""
    for node, shards, size_bytes in sorted(moved):
        conn.run(_moved, {"of_node": node, "more_shards": shards, "more": size_bytes})


def end(conn: Connection, node: NodeNumber, *, now_ms: int, receipt: bytes, signature: bytes) -> bool:
    return conn.run(_end, {"of_node": node, "now_ms": now_ms, "body": receipt, "signed": signature}) == 1


def chunks_held(
    conn: Connection, placement: PlacementId, after: tuple[int, int] = (-1, -1), limit: int = 1000
) -> list[tuple[int, int, int, int, int]]:
    """Chunks in a placement that have to move: blob, number, and the blob's size, k and m."""
    params = {"placement": placement, "after_blob": after[0], "after_n": after[1], "at_most": limit}
    return [(row[0], row[1], row[2], row[3], row[4]) for row in conn.rows(_held, params)]


def has_leftovers(conn: Connection, node: NodeNumber) -> bool:
    """Whether shards are still to be deleted there: strays, or orders without a receipt."""
    row = conn.one(_unsettled, {"of_node": node})
    assert row is not None
    return bool(row[0] or row[1])


def _row(row: Row) -> DrainRow:
    return DrainRow(row[0], DrainState(row[1]), *row[2:])
