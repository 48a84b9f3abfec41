"""The mass-offline breaker (pure): many nodes that go together are likely to come back together.

More than a tenth of the nodes, and more than m, gone within five minutes make a cohort, whether of all nodes or of one
zone's; it is not repaired for a while, so a switch, a shelf or a reboot moves nothing. Nodes that were down when the
coordinator started, or went in its first ten minutes, went together as far as it can tell. A cohort that stayed away is
late: what it held is made anew a little at a time, the most at risk first, and no more once it returns. A node whose
host reports its disk lost, one that was replaced and one that is disqualified are never in a cohort, nor is one that
joined and never came: such nodes hold nothing, and must not keep the loss of others from being made good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.rows import DISQUALIFIED, DOWN, GONE, NodeRow

WINDOW_MS = 5 * 60 * 1000
# A restart of many machines, the coordinator's among them, is one event.
START_MS = 10 * 60 * 1000
SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Cohort:
    """Nodes that went together: `nodes` are waited for until then, `late` were waited for and did not come. `zones`:
    where they went, empty where it was everywhere."""

    nodes: frozenset[NodeNumber] = frozenset()
    until_ms: int = 0
    late: frozenset[NodeNumber] = frozenset()
    zones: tuple[str, ...] = ()


def cohort(nodes: Sequence[NodeRow], now_ms: int, *, started_ms: int, m: int, hold_ms: int) -> Cohort:
    """`started_ms`: when the coordinator began to watch."""
    known = [row for row in nodes if row.state != GONE and not _never_came(row)]
    by_zone: defaultdict[str, list[NodeRow]] = defaultdict(list)
    for row in known:
        by_zone[row.zone].append(row)
    held: set[NodeNumber] = set()
    late: set[NodeNumber] = set()
    zones: set[str] = set()
    until_ms = 0
    for zone, group in ((None, known), *by_zone.items()):
        for members, ends_ms in _together(group, started_ms, m, hold_ms):
            if now_ms >= ends_ms:
                late.update(members)
                continue
            if zone is not None and not held.issuperset(members):
                zones.add(zone)
            held.update(members)
            until_ms = max(until_ms, ends_ms)
    return Cohort(frozenset(held), until_ms, frozenset(late - held), tuple(sorted(zones)))


def _together(
    group: Iterable[NodeRow], started_ms: int, m: int, hold_ms: int
) -> list[tuple[frozenset[NodeNumber], int]]:
    """The cohorts of a group, each with the end of its wait."""
    rows = list(group)
    limit = max(len(rows) * SHARE, m)
    went = sorted(
        (_went_ms(row, started_ms), row.number) for row in rows if row.state == DOWN and row.standing != DISQUALIFIED
    )
    found = []
    last = reached = 0
    for first, (began_ms, _) in enumerate(went):
        last = max(last, first)
        while last < len(went) and went[last][0] - began_ms <= WINDOW_MS:
            last += 1
        if last > reached and last - first > limit:
            reached = last
            found.append((frozenset(number for _, number in went[first:last]), went[last - 1][0] + hold_ms))
    return found


def _never_came(row: NodeRow) -> bool:
    """It has the state that it joined with."""
    return row.is_remote and row.state == DOWN and row.since_ms == row.joined_at_ms


def _went_ms(row: NodeRow, started_ms: int) -> int:
    return started_ms if row.since_ms <= started_ms + START_MS else row.since_ms
