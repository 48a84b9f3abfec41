"""The last heartbeat of each node, with its signature, as it was written down; only the coordinator writes here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import heartbeat
from cyxcloud.meta.statement import prepare

_insert = insert(heartbeat)
# An older sequence never takes the place of a newer one, whoever writes it.
_save = prepare(
    _insert.on_conflict_do_update(
        index_elements=["node"],
        set_={each.name: _insert.excluded[each.name] for each in heartbeat.c if each.name != "node"},
        where=heartbeat.c.sequence < _insert.excluded.sequence,
    )
)
_all = prepare(select(heartbeat).order_by(heartbeat.c.node))


@dataclass(frozen=True, slots=True)
class HeartbeatRow:
    """`at_ms`: when the coordinator took it, by the store's clock. `body` is what was signed."""

    node: NodeNumber
    sequence: int
    at_ms: int
    body: bytes
    signature: bytes


def save(conn: Connection, rows: Iterable[HeartbeatRow]) -> None:
    conn.run_many(_save, [asdict(row) for row in rows])


def read_all(conn: Connection) -> list[HeartbeatRow]:
    return [HeartbeatRow(*row) for row in conn.rows(_all)]
