"""How much of what is new a node should take, against others (pure).

By its free space: a node with as much as most has full weight, one with half of that half; so those with little left
fill more slowly, while one that is huge is no more often chosen than others, which would put it into every list. By
its reputation: full for one that never failed an audit, an eighth where it is about to be disqualified. Weights go in
eighths, since each change of one is a new pool for everybody. Nodes of this box all weigh the same.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from cyxcloud.meta.rows import NodeRow

STEPS = 8
# Room that is left to what a node's repairs and deletes need for themselves.
FULL_SHARE = 0.05
# Where a node is disqualified.
LEAST_REPUTATION = 0.96


def usual_free_bytes(rows: Iterable[NodeRow]) -> float:
    """The median of the nodes on other boxes that have said it."""
    return statistics.median([row.free_bytes for row in rows if _has_told(row)] or [0])


def is_full(row: NodeRow) -> bool:
    return _has_told(row) and row.free_bytes < FULL_SHARE * row.total_bytes


def weight(row: NodeRow, usual_bytes: float, reputation: float) -> float:
    room = row.free_bytes / usual_bytes if _has_told(row) and usual_bytes else 1.0
    trust = (reputation - LEAST_REPUTATION) / (1 - LEAST_REPUTATION)
    exact = _clamped(room) * _clamped(trust)
    return max(1, math.ceil(exact * STEPS - 1e-9)) / STEPS


def _has_told(row: NodeRow) -> bool:
    return row.is_remote and row.total_bytes > 0 and (row.free_bytes > 0 or row.used_bytes > 0)


def _clamped(value: float) -> float:
    return min(1.0, max(0.0, value))
