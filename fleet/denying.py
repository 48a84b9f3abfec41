"""Shutting a key out before its certificate expires: a node's that is stolen or lies, or that of a process.

One transaction with its event; the epoch that it moves tells gateways within a second and nodes with their next
heartbeat. A denied node renews nothing, reports nothing and is dialled by nobody, so it is down for good, and what it
held is made anew elsewhere. Denying is never taken back: the box joins again with a new key.
"""

from __future__ import annotations

from cyxcloud.core.ids import NodeId
from cyxcloud.meta import cluster, denials, node_events, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED, GONE

DENIED = "denied"


def deny(conn: Connection, subject: NodeId, now_ms: int, reason: str) -> bool:
    """False when it was denied already. To be called within a transaction."""
    if not denials.add(conn, subject, now_ms, reason):
        return False
    row = next((row for row in nodes.read_all(conn) if row.node_id == subject and row.state != GONE), None)
    if row is not None:
        nodes.set_standing(conn, row.number, DISQUALIFIED)
        node_events.record(conn, row.number, now_ms, DENIED, {"reason": reason, "standing": row.standing})
        cluster.bump(conn, Epoch.TOPOLOGY)
    return True
