"""Placements: immutable lists of k+m nodes, named by a small integer that chunk rows hold.

The node numbers are kept as big-endian 16-bit integers, shard 0 first. Only state and successor ever change; a
successor is given once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from sqlalchemy import bindparam, case, exists, func, insert, select, update

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import PlacementRow, PlacementState
from cyxcloud.meta.schema import blob, chunk, placement
from cyxcloud.meta.statement import prepare

_P = placement.c
_insert = prepare(insert(placement))
_all = prepare(select(placement).order_by(_P.id))
_read = prepare(select(placement).where(_P.id == bindparam("at")))
_in_use = prepare(select(_P.id).where(exists().where(chunk.c.placement == _P.id)).order_by(_P.id))
_left = blob.c.size - chunk.c.n * bindparam("chunk_bytes")
_plaintext = prepare(
    select(chunk.c.placement, func.sum(case((_left > bindparam("chunk_bytes"), bindparam("chunk_bytes")), else_=_left)))
    .join(blob, blob.c.id == chunk.c.blob)
    .where(blob.c.refs > 0)
    .group_by(chunk.c.placement)
)
_next = prepare(select(func.coalesce(func.max(_P.id), 0) + 1))
_state = prepare(
    update(placement).where(_P.id == bindparam("at"), _P.successor.is_(None)).values(state=bindparam("state"))
)
_succeed = prepare(
    update(placement)
    .where(_P.id == bindparam("at"), _P.successor.is_(None))
    .values(state=int(PlacementState.REPLACED), successor=bindparam("successor"))
)


def next_id(conn: Connection) -> PlacementId:
    """The first free id; only the coordinator makes placements."""
    row = conn.one(_next)
    assert row is not None
    return PlacementId(row[0])


def add(conn: Connection, rows: Iterable[PlacementRow]) -> None:
    conn.run_many(
        _insert,
        [
            {
                "id": row.id,
                "k": row.k,
                "m": row.m,
                "nodes": pack_nodes(row.nodes),
                "state": int(row.state),
                "successor": row.successor,
            }
            for row in rows
        ],
    )


def read(conn: Connection, placement_id: PlacementId) -> PlacementRow | None:
    row = conn.one(_read, {"at": placement_id})
    return None if row is None else _row(row)


def read_all(conn: Connection) -> list[PlacementRow]:
    return [_row(row) for row in conn.rows(_all)]


def in_use(conn: Connection) -> list[PlacementId]:
    """Those that hold chunks; one index look-up each."""
    return [PlacementId(row[0]) for row in conn.rows(_in_use)]


def plaintext_bytes(conn: Connection, chunk_bytes: int) -> dict[PlacementId, int]:
    """What lies in each placement; walks the chunk table."""
    return {PlacementId(row[0]): int(row[1]) for row in conn.rows(_plaintext, {"chunk_bytes": chunk_bytes})}


def set_state(conn: Connection, placement_id: PlacementId, state: PlacementState) -> bool:
    """Into or out of the pool; False when it was replaced."""
    assert state is not PlacementState.REPLACED
    return conn.run(_state, {"at": placement_id, "state": int(state)}) == 1


def succeed(conn: Connection, placement_id: PlacementId, successor: PlacementId) -> bool:
    """Name its successor; False when it has one."""
    return conn.run(_succeed, {"at": placement_id, "successor": successor}) == 1


def pack_nodes(nodes: tuple[NodeNumber, ...]) -> bytes:
    assert len(set(nodes)) == len(nodes), "two shards of a chunk on one node"
    return struct.pack(f">{len(nodes)}H", *nodes)


def unpack_nodes(packed: bytes) -> tuple[NodeNumber, ...]:
    return tuple(NodeNumber(each) for each in struct.unpack(f">{len(packed) // 2}H", packed))


def _row(row: Row) -> PlacementRow:
    return PlacementRow(row[0], row[1], row[2], unpack_nodes(row[3]), PlacementState(row[4]), row[5])
