"""What `status` and `meta adopt` say of reconciliation."""

from __future__ import annotations

from typing import Any

from cyxcloud.meta import cluster, nodes, reconcile
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import ReconcileRow, ReconcileState


def reconcile_status(conn: Connection) -> dict[str, Any]:
    """`state`: waiting (no pass yet), done, held (too much looks unreferenced on `node`), restored (nothing goes before
    `meta adopt --confirm`)."""
    names = {row.number: row.name for row in nodes.read_all(conn)}
    rows = [row for row in reconcile.read_all(conn) if row.node in names]
    held = max((row for row in rows if is_held(row)), key=lambda row: row.unreferenced_bytes, default=None)
    return {
        "state": _state(conn, rows),
        "unreferenced_bytes": sum(row.unreferenced_bytes for row in rows) if held is None else held.unreferenced_bytes,
        "node": None if held is None else names[held.node],
    }


def is_held(row: ReconcileRow) -> bool:
    return row.state is ReconcileState.HELD and not row.allowed


def _state(conn: Connection, rows: list[ReconcileRow]) -> str:
    store = cluster.read(conn)
    if store is not None and not store.adopted:
        return "restored"
    if any(is_held(row) for row in rows):
        return "held"
    return "done" if rows else "waiting"
