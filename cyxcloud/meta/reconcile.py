"""What reconciliation asks of the metadata and remembers in it: which shards chunk rows place on a node, which sessions
are closed, and per node what the last pass found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BlobId, NodeNumber, PlacementId, SessionNumber, ShardId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import PlacementRow, ReconcileRow, ReconcileState
from cyxcloud.meta.schema import chunk, reconcile, session, stray
from cyxcloud.meta.statement import prepare

_R = reconcile.c
_chunks = prepare(
    select(chunk.c.n, chunk.c.placement).where(
        chunk.c.blob == bindparam("of_blob"), chunk.c.n >= bindparam("first"), chunk.c.n <= bindparam("last")
    )
)
_waiting = prepare(
    select(stray.c.chunk, stray.c.shard_index).where(
        stray.c.node == bindparam("of_node"), stray.c.blob == bindparam("of_blob")
    )
)
_closed = prepare(select(session.c.number, session.c.closed_at_ms).where(session.c.closed_at_ms.is_not(None)))
_known = prepare(select(session.c.number).where(session.c.number == bindparam("at")))
_insert = insert(reconcile)
_put = prepare(
    _insert.on_conflict_do_update(
        index_elements=["node"], set_={each.name: _insert.excluded[each.name] for each in _R if each.name != "node"}
    )
)
_all = prepare(select(reconcile).order_by(_R.node))
_allow = prepare(update(reconcile).where(_R.state != str(ReconcileState.DONE)).values(allowed=1))
_forget = prepare(delete(reconcile).where(_R.node == bindparam("of_node")))
_NAMES = tuple(each.name for each in fields(ReconcileRow))

Homes = Mapping[PlacementId, Sequence[Sequence[NodeNumber]]]


def homes(rows: Iterable[PlacementRow]) -> dict[PlacementId, list[tuple[NodeNumber, ...]]]:
    """For each placement its own nodes and those of its successors: where a chunk that lies in it may have shards. The
    mover names a successor before it writes anything there, so what it has under way always lies in one of these
    (pure)."""
    by_id = {row.id: row for row in rows}
    found: dict[PlacementId, list[tuple[NodeNumber, ...]]] = {}
    for row in by_id.values():
        lists, at = [row.nodes], row.successor
        while at is not None and at in by_id and len(lists) <= len(by_id):
            lists.append(by_id[at].nodes)
            at = by_id[at].successor
        found[row.id] = lists
    return found


def placed(conn: Connection, node: NodeNumber, shards: Sequence[ShardId], where: Homes) -> set[ShardId]:
    """Those of these shards that a chunk row places on this node, now or by what is being moved."""
    found: set[ShardId] = set()
    for blob, some in by_blob(shards).items():
        lists = _lists(conn, blob, some, where)
        for each in some:
            if any(nodes[each.index] == node for nodes in lists.get(each.chunk, ()) if each.index < len(nodes)):
                found.add(each)
    return found


def waiting(conn: Connection, node: NodeNumber, shards: Sequence[ShardId]) -> set[ShardId]:
    """Those of these shards that wait in the trash already."""
    return {
        ShardId(blob, n, index)
        for blob in by_blob(shards)
        for n, index in conn.rows(_waiting, {"of_node": node, "of_blob": blob})
    }


def closed_sessions(conn: Connection) -> dict[SessionNumber, int]:
    """When each closed session was closed."""
    return {SessionNumber(number): at_ms for number, at_ms in conn.rows(_closed)}


def is_known(conn: Connection, number: SessionNumber) -> bool:
    """Whether this database has ever heard of the session."""
    return conn.one(_known, {"at": number}) is not None


def put(conn: Connection, rows: Iterable[ReconcileRow]) -> None:
    for row in rows:
        values = {name: getattr(row, name) for name in _NAMES}
        conn.run(_put, values | {"state": str(row.state), "allowed": int(row.allowed)})


def read_all(conn: Connection) -> list[ReconcileRow]:
    return [
        ReconcileRow(node, ReconcileState(state), size, count, at_ms, bool(allowed))
        for node, state, size, count, at_ms, allowed in conn.rows(_all)
    ]


def allow(conn: Connection) -> int:
    """The next pass may go on, however much it finds; gives the number of nodes that were held."""
    return conn.run(_allow)


def forget(conn: Connection, node: NodeNumber) -> bool:
    """It was replaced or removed."""
    return conn.run(_forget, {"of_node": node}) == 1


def by_blob(shards: Iterable[ShardId]) -> dict[BlobId, list[ShardId]]:
    found: dict[BlobId, list[ShardId]] = {}
    for each in shards:
        found.setdefault(each.blob, []).append(each)
    return found


def _lists(
    conn: Connection, blob: BlobId, shards: Sequence[ShardId], where: Homes
) -> dict[int, Sequence[Sequence[NodeNumber]]]:
    numbers = [each.chunk for each in shards]
    rows = conn.rows(_chunks, {"of_blob": blob, "first": min(numbers), "last": max(numbers)})
    return {n: where[placement] for n, placement in rows}
