"""The mass-offline breaker (pure): many nodes that go together are likely to come back together.

More than a tenth of the nodes, or more than m, gone within five minutes make a cohort, which is not repaired for a
while; so a switch, a shelf or a reboot moves nothing. Nodes that were down when the coordinator started went, as far as
it can tell, at that moment. A node whose host reports its disk lost, or that was replaced, is never in a cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.rows import DOWN, GONE, NodeRow

WINDOW_MS = 5 * 60 * 1000
SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Cohort:
    """Nodes that went together and are waited for until then; none where `nodes` is empty."""

    nodes: frozenset[NodeNumber] = frozenset()
    until_ms: int = 0


def cohort(nodes: Sequence[NodeRow], now_ms: int, *, started_ms: int, m: int, hold_ms: int) -> Cohort:
    """`started_ms`: when the coordinator began to watch."""
    known = sum(row.state != GONE for row in nodes)
    limit = max(known * SHARE, m)
    went = sorted((max(row.since_ms, started_ms), row.number) for row in nodes if row.state == DOWN)
    held: set[NodeNumber] = set()
    until_ms = 0
    for first, (began_ms, _) in enumerate(went):
        together = [(at_ms, number) for at_ms, number in went[first:] if at_ms - began_ms <= WINDOW_MS]
        ends_ms = together[-1][0] + hold_ms
        if len(together) > limit and now_ms < ends_ms:
            held.update(number for _, number in together)
            until_ms = max(until_ms, ends_ms)
    return Cohort(frozenset(held), until_ms)
