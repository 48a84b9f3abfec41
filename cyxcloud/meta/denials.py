"""Keys whose certificates are refused before they expire; a change is told by Epoch.TRUST."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import NodeId
from cyxcloud.meta import cluster
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import denial
from cyxcloud.meta.statement import prepare

_insert = prepare(insert(denial).on_conflict_do_nothing())
_all = prepare(select(denial.c.subject).order_by(denial.c.subject))


def add(conn: Connection, subject: NodeId, at_ms: int, reason: str) -> bool:
    """False when it was denied already."""
    added = conn.run(_insert, {"subject": subject, "at_ms": at_ms, "reason": reason}) == 1
    if added:
        cluster.bump(conn, Epoch.TRUST)
    return added


def read_all(conn: Connection) -> frozenset[NodeId]:
    return frozenset(NodeId(row[0]) for row in conn.rows(_all))
