"""Shards on a node where no chunk row places them: what the mover leaves behind, what a closed session never committed.

A stray that is due is ordered gone; the row stays, with the order's sequence, until the node's receipt. So whoever is
about to make that node the shard's home again sees one of three: no row, a row that it takes away in the transaction
of the move, or an order on its way, which it has to wait out. Nothing that a chunk row names is ever ordered gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import NodeNumber, ShardId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import StrayRow
from cyxcloud.meta.schema import stray
from cyxcloud.meta.statement import prepare

_S = stray.c
_KEYS = ("node", "blob", "chunk", "shard_index")
_this = (
    _S.node == bindparam("of_node"),
    _S.blob == bindparam("of_blob"),
    _S.chunk == bindparam("of_chunk"),
    _S.shard_index == bindparam("of_index"),
)
_add = prepare(insert(stray).on_conflict_do_nothing(index_elements=_KEYS))
_due = prepare(
    select(stray)
    .where(_S.node == bindparam("of_node"), _S.due_at_ms <= bindparam("now_ms"), _S.sequence.is_(None))
    .order_by(_S.due_at_ms, _S.blob, _S.chunk, _S.shard_index)
    .limit(bindparam("at_most"))
)
_read = prepare(select(stray).where(*_this))
_ordered = prepare(update(stray).where(*_this).values(sequence=bindparam("by_order")))
_remove = prepare(delete(stray).where(*_this))
_settled = prepare(delete(stray).where(_S.node == bindparam("of_node"), _S.sequence == bindparam("by_order")))
_not_ordered = prepare(
    update(stray).where(_S.node == bindparam("of_node"), _S.sequence == bindparam("by_order")).values(sequence=None)
)
_of_node = prepare(delete(stray).where(_S.node == bindparam("of_node")))
_count = prepare(select(func.count()).select_from(stray))


def add(conn: Connection, rows: Iterable[StrayRow]) -> None:
    """One that is known already keeps its due time."""
    conn.run_many(
        _add,
        [
            {
                "node": row.node,
                "blob": row.blob,
                "chunk": row.chunk,
                "shard_index": row.shard_index,
                "due_at_ms": row.due_at_ms,
                "sequence": row.sequence,
            }
            for row in rows
        ],
    )


def due(conn: Connection, node: NodeNumber, now_ms: int, limit: int = 1000) -> list[StrayRow]:
    """Those whose time has come and that no order names yet."""
    return [StrayRow(*row) for row in conn.rows(_due, {"of_node": node, "now_ms": now_ms, "at_most": limit})]


def set_ordered(conn: Connection, rows: Iterable[StrayRow], sequence: int) -> None:
    """In the transaction that writes the order down."""
    conn.run_many(_ordered, [{**_key(row.node, _shard(row)), "by_order": sequence} for row in rows])


def set_settled(conn: Connection, node: NodeNumber, sequence: int) -> int:
    """The node has carried out that order."""
    return conn.run(_settled, {"of_node": node, "by_order": sequence})


def set_unordered(conn: Connection, node: NodeNumber, sequence: int) -> int:
    """That order will never be carried out: those it names fall due again."""
    return conn.run(_not_ordered, {"of_node": node, "by_order": sequence})


def remove(conn: Connection, rows: Iterable[StrayRow]) -> None:
    conn.run_many(_remove, [_key(row.node, _shard(row)) for row in rows])


def remove_node(conn: Connection, node: NodeNumber) -> int:
    """It never comes back: nothing can be ordered there."""
    return conn.run(_of_node, {"of_node": node})


def find(conn: Connection, node: NodeNumber, shard: ShardId) -> StrayRow | None:
    """What is known of this shard on this node. One with a `sequence` may be deleted at any moment until the receipt
    is here, so the node cannot become its home before."""
    row = conn.one(_read, _key(node, shard))
    return None if row is None else StrayRow(*row)


def count(conn: Connection) -> int:
    row = conn.one(_count)
    assert row is not None
    found: int = row[0]
    return found


def _key(node: NodeNumber, shard: ShardId) -> dict[str, int]:
    return {"of_node": node, "of_blob": shard.blob, "of_chunk": shard.chunk, "of_index": shard.index}


def _shard(row: StrayRow) -> ShardId:
    return ShardId(row.blob, row.chunk, row.shard_index)
