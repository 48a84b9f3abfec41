"""Whose clock is wrong (pure): a node's, or this coordinator's?

A node is measured against the fleet's clock, and where most nodes agree with each other but not with the coordinator,
the coordinator is the one that is wrong: a clock set by mistake must not take a whole fleet off-line.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection

# Fewer are no majority: two nodes of one provider may share a wrong clock.
LEAST_WITNESSES = 3


def common_offset_ms(offsets_ms: Collection[int]) -> int:
    """How far the nodes' clocks are, together, from the coordinator's; 0 where too few say anything."""
    return int(statistics.median_low(offsets_ms)) if len(offsets_ms) >= LEAST_WITNESSES else 0


def said(offset_ms: int) -> str:
    """The same words for as long as it is about as far off: a reason that changed each second would be news each
    second."""
    off = abs(offset_ms) // 1000
    size = f"{off // 60} min" if off >= 60 else f"{off} s"
    return f"its clock is {size} {'ahead of' if offset_ms > 0 else 'behind'} the fleet's"
