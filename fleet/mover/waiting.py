"""What is not whole, or not where it belongs, and what it waits for: as the plan sees it, for people.

Placements, not chunks: a node's loss touches some hundred of the one and a million of the other. Counting chunks walks
an index, so this is for `status` and the API, not for the mover itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from cyxcloud.core.ids import PlacementId
from cyxcloud.meta import blobs, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import READABLE, PlacementRow
from fleet.mover.plan import Fleet, due_ms
from fleet.mover.succession import Situation
from fleet.mover.view import Rank, View, read_view

MOST_LISTED = 10_000
_WHY = {
    Rank.REPAIR: "in line to be made anew: {}",
    Rank.DRAIN: "in line to leave {}",
    Rank.REBALANCE: "in line behind everything else to go from {} to emptier nodes",
}


class Kind(StrEnum):
    """IN_LINE moves as soon as its turn comes; LISTED are shards found bad or missing on nodes that stay."""

    IN_LINE = "in line"
    AWAY = "away"
    GRACE = "grace"
    BREAKER = "breaker"
    LATE = "late"
    STUCK = "stuck"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class Waiting:
    """`chunks` of a placement (None: listed shards, wherever they are) of whose `width` shards so many can be had.
    `until_ms`: when it waits no longer, where that is known."""

    placement: PlacementId | None
    chunks: int
    reachable: int
    width: int
    kind: Kind
    reason: str
    until_ms: int | None = None


def waiting(conn: Connection, situation: Situation) -> list[Waiting]:
    """The most at risk first."""
    view = read_view(conn)
    fleet = situation.fleet(view)
    found: list[Waiting] = []
    for placement, chunks in blobs.count_by_placement(conn).items():
        target = view.target(placement)
        if target.id != placement and not view.rests(placement):
            found.append(_in_line(view, placement, chunks))
        missing = [number for number in target.nodes if view.nodes[number].state not in READABLE]
        if missing or any(fleet.is_emptied(number) for number in target.nodes):
            kind, reason, until_ms = _why(fleet, situation, target)
            found.append(
                Waiting(placement, chunks, view.reachable(placement), len(target.nodes), kind, reason, until_ms)
            )
    found.sort(key=lambda each: (each.reachable - each.width, each.placement or 0))
    return [*found, *_listed(conn, view)]


def _in_line(view: View, placement: PlacementId, chunks: int) -> Waiting:
    row, target = view.placements[placement], view.target(placement)
    left = [view.nodes[was].name for was, now in zip(row.nodes, target.nodes, strict=True) if was != now]
    reason = _WHY[view.rank(placement)].format(", ".join(left))
    return Waiting(placement, chunks, view.reachable(placement), len(row.nodes), Kind.IN_LINE, reason)


def _why(fleet: Fleet, situation: Situation, target: PlacementRow) -> tuple[Kind, str, int | None]:
    """Why a placement whose nodes are not all there has no successor yet."""
    rows = [fleet.rows[number] for number in target.nodes]
    names = ", ".join(row.name for row in rows if row.state not in READABLE or fleet.is_emptied(row.number))
    due = due_ms(fleet, target)
    if due is not None and fleet.now_ms < due:
        return Kind.GRACE, f"{names} may come back", due
    if due is None and not any(fleet.is_emptied(row.number) for row in rows):
        if fleet.held.intersection(target.nodes):
            return Kind.BREAKER, f"{names} went together with others", situation.waited.until_ms
        ends_ms = min(max(row.since_ms, fleet.started_ms) for row in rows if row.state not in READABLE)
        return Kind.AWAY, f"{names} cannot be reached", ends_ms + fleet.terms.away_ms
    if fleet.late.intersection(target.nodes):
        return Kind.LATE, f"{names} went together with others: repaired a little at a time", None
    return Kind.STUCK, f"no node can take over from {names}, or it is about to begin", None


def _listed(conn: Connection, view: View) -> list[Waiting]:
    """Shards that reads, scrub and audits found, by what was found and whether their node can be asked."""
    found: Counter[str] = Counter()
    reasons = {(row.blob, row.chunk, row.shard_index): row.reason for row in repairs.page(conn, limit=MOST_LISTED)}
    for row in repairs.placed(conn, limit=MOST_LISTED):
        node = view.nodes[view.placements[row.placement].nodes[row.shard_index]]
        reason = reasons.get((row.blob, row.chunk, row.shard_index), "listed")
        found[reason if view.can_read(node.number) else f"{reason}, and {node.name} is away"] += 1
    return [Waiting(None, count, 0, 0, Kind.LISTED, reason) for reason, count in sorted(found.items())]
