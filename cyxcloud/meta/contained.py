"""Audits that were not answered in time, and are asked again before they count."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BlobId, NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import contained
from cyxcloud.meta.statement import prepare

_C = contained.c
_this = (
    _C.node == bindparam("of_node"),
    _C.blob == bindparam("of_blob"),
    _C.chunk == bindparam("of_chunk"),
    _C.shard_index == bindparam("of_index"),
)
_insert = insert(contained)
_save = prepare(
    _insert.on_conflict_do_update(
        index_elements=["node", "blob", "chunk", "shard_index"],
        set_={"due_at_ms": _insert.excluded.due_at_ms, "tries": _insert.excluded.tries},
    )
)
_due = prepare(
    select(contained).where(_C.due_at_ms <= bindparam("now_ms")).order_by(_C.due_at_ms).limit(bindparam("at_most"))
)
_remove = prepare(delete(contained).where(*_this))
_of_node = prepare(delete(contained).where(_C.node == bindparam("of_node")))


@dataclass(frozen=True, slots=True)
class ContainedRow:
    node: NodeNumber
    blob: BlobId
    chunk: int
    shard_index: int
    block: int
    first_asked_ms: int
    due_at_ms: int
    tries: int


def save(conn: Connection, row: ContainedRow) -> None:
    conn.run(_save, asdict(row))


def due(conn: Connection, now_ms: int, limit: int = 100) -> list[ContainedRow]:
    return [ContainedRow(*row) for row in conn.rows(_due, {"now_ms": now_ms, "at_most": limit})]


def remove(conn: Connection, row: ContainedRow) -> bool:
    params = {"of_node": row.node, "of_blob": row.blob, "of_chunk": row.chunk, "of_index": row.shard_index}
    return conn.run(_remove, params) == 1


def forget(conn: Connection, node: NodeNumber) -> int:
    """All of a node that is gone."""
    return conn.run(_of_node, {"of_node": node})
