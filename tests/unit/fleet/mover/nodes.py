"""Node and placement rows for the mover's pure parts."""

from __future__ import annotations

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.meta.rows import UP, NodeRow, PlacementRow, PlacementState

HOUR_MS = 3_600_000


def node(number: int, state: str = UP, since_ms: int = 0, disk: str = "d", name: str = "") -> NodeRow:
    return NodeRow(
        number=NodeNumber(number),
        node_id=NodeId(number.to_bytes(32, "big")),
        name=name or f"n{number}",
        endpoint="",
        host="local",
        disk=disk,
        zone="",
        operator="",
        state=state,
        reason="",
        total_bytes=0,
        used_bytes=0,
        free_bytes=0,
        shard_count=0,
        seen_at_ms=0,
        joined_at_ms=0,
        since_ms=since_ms,
    )


def placement(*numbers: int, m: int = 4, number: int = 1) -> PlacementRow:
    members = tuple(NodeNumber(each) for each in numbers)
    return PlacementRow(PlacementId(number), len(members) - m, m, members, PlacementState.OPEN, None)
