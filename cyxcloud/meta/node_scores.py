"""What audits have made of each node; only the coordinator writes here."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import node_score
from cyxcloud.meta.statement import prepare

_insert = insert(node_score)
_save = prepare(
    _insert.on_conflict_do_update(
        index_elements=["node"],
        set_={each.name: _insert.excluded[each.name] for each in node_score.c if each.name != "node"},
    )
)
_all = prepare(select(node_score).order_by(node_score.c.node))
_read = prepare(select(node_score).where(node_score.c.node == bindparam("of_node")))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """`alpha` and `beta` in millionths; `audits` that were answered in the end, `failed` of them, `late` at first."""

    node: NodeNumber
    alpha: int
    beta: int
    audits: int = 0
    failed: int = 0
    late: int = 0
    vetted_at_ms: int | None = None


def save(conn: Connection, row: ScoreRow) -> None:
    conn.run(_save, asdict(row))


def read(conn: Connection, node: NodeNumber) -> ScoreRow | None:
    row = conn.one(_read, {"of_node": node})
    return None if row is None else ScoreRow(*row)


def read_all(conn: Connection) -> dict[NodeNumber, ScoreRow]:
    return {row[0]: ScoreRow(*row) for row in conn.rows(_all)}
