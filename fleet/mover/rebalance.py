"""Which placements get a successor so that empty nodes fill up (pure).

A node's load is what the metadata places on it, moves under way counted as done, so a report that is late misleads
nobody. Every swap takes from a node above the mean fill and gives to one below it, and carries neither across it; so
each step leaves the nodes more even, none ever swings back, and the work ends. It begins where a node is further from
the mean than the tolerance and, once begun, goes on to half of it: what writes and deletions change in between starts
nothing. No disk, host, subnet, operator or zone comes to hold more of a chunk than its limit, or than it did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.rows import PlacementRow
from fleet.mover.plan import Move
from fleet.placement.candidate import Candidate

TOLERANCE = 0.1
# A chunk is read and coded once however many of its shards move; more of them at once would put whole groups of new
# nodes into the same placements.
MOST_SWAPS = 2
MOST_MOVES = 50
DAY_SECONDS = 86400.0
# A store of any size may move so much a day, or a small one would never be done.
LEAST_A_DAY = 64 << 30
BURST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Stock:
    """A node and what is placed on it. `readable`: what it holds can be taken from there."""

    candidate: Candidate
    capacity_bytes: int
    load_bytes: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A placement that holds chunks; `shard_bytes` of them lie on each of its nodes."""

    placement: PlacementRow
    shard_bytes: int


@dataclass(frozen=True, slots=True)
class Levels:
    """By how many bytes each node is above its share of the mean fill, or below it (negative)."""

    surplus: Mapping[NodeNumber, float]
    share: Mapping[NodeNumber, float]

    @property
    def spread(self) -> float:
        """How far the node that is furthest off is from its share."""
        return max(
            (abs(over) / self.share[node] for node, over in self.surplus.items() if self.share[node]), default=0.0
        )

    def uneven(self, tolerance: float, least_bytes: int) -> bool:
        return any(abs(over) > max(tolerance * self.share[node], least_bytes) for node, over in self.surplus.items())


def levels(stocks: Iterable[Stock]) -> Levels:
    known = [stock for stock in stocks if stock.capacity_bytes > 0 and stock.readable]
    capacity = sum(stock.capacity_bytes for stock in known)
    fill = sum(stock.load_bytes for stock in known) / capacity if capacity else 0.0
    share = {stock.candidate.number: fill * stock.capacity_bytes for stock in known}
    return Levels({each.candidate.number: each.load_bytes - share[each.candidate.number] for each in known}, share)


def plan_rebalance(
    stocks: Mapping[NodeNumber, Stock], stored: Sequence[Stored], room_bytes: float, *, least_bytes: int, begun: bool
) -> list[Move]:
    """Moves of no more than so many bytes, the biggest placements first; none where the nodes are even."""
    found = levels(stocks.values())
    if not found.uneven(TOLERANCE / 2 if begun else TOLERANCE, least_bytes):
        return []
    surplus = dict(found.surplus)
    moves: list[Move] = []
    for each in sorted(stored, key=lambda each: (-each.shard_bytes, each.placement.id)):
        if room_bytes <= 0 or len(moves) >= MOST_MOVES:
            break
        if each.shard_bytes == 0 or not all(stocks[number].readable for number in each.placement.nodes):
            continue
        nodes = _swapped(stocks, each, surplus)
        swaps = sum(was != becomes for was, becomes in zip(each.placement.nodes, nodes, strict=True))
        if swaps:
            moves.append(Move(each.placement, nodes, len(nodes)))
            room_bytes -= swaps * each.shard_bytes
    return moves


class Allowance:
    """How many bytes may be moved now, of so many a day; the start does not count as a day gone by."""

    def __init__(self, now: float) -> None:
        self._at, self._room = now, BURST_SECONDS

    def room_bytes(self, now: float, a_day: float) -> float:
        """`a_day` follows what the store holds, so what is saved up is time."""
        self._room = min(BURST_SECONDS, self._room + max(0.0, now - self._at))
        self._at = now
        return self._room * a_day / DAY_SECONDS

    def take(self, size_bytes: float, a_day: float) -> None:
        self._room -= size_bytes * DAY_SECONDS / a_day


def _swapped(
    stocks: Mapping[NodeNumber, Stock], stored: Stored, surplus: dict[NodeNumber, float]
) -> tuple[NodeNumber, ...]:
    """Its nodes, with the fullest of them swapped for the emptiest others; `surplus` follows."""
    nodes, size = list(stored.placement.nodes), stored.shard_bytes
    for _ in range(MOST_SWAPS):
        donors = sorted(
            (at for at in range(len(nodes)) if surplus[nodes[at]] >= size), key=lambda at: -surplus[nodes[at]]
        )
        found = next(((at, taker) for at in donors if (taker := _taker(stocks, nodes, at, size, surplus))), None)
        if found is None:
            break
        at, taker = found
        surplus[nodes[at]] -= size
        surplus[taker] += size
        nodes[at] = taker
    return tuple(nodes)


def _taker(
    stocks: Mapping[NodeNumber, Stock],
    nodes: Sequence[NodeNumber],
    at: int,
    size: int,
    surplus: dict[NodeNumber, float],
) -> NodeNumber | None:
    """The node furthest below its share that may stand in this place."""
    others = [stocks[number].candidate for each, number in enumerate(nodes) if each != at]
    before = [*others, stocks[nodes[at]].candidate]
    members = set(nodes)
    best = min(
        (
            (over / max(1, stocks[number].capacity_bytes), number)
            for number, over in surplus.items()
            if over + size <= 0 and number not in members and _may_stand(stocks[number].candidate, others, before)
        ),
        default=None,
    )
    return None if best is None else best[1]


def _may_stand(candidate: Candidate, others: Sequence[Candidate], before: Sequence[Candidate]) -> bool:
    """Whether no domain holds more of the chunk than the fullest did before."""
    if not candidate.available or candidate.vetting:
        return False
    return all(
        _shared(candidate, others, domain) < max(1, _fullest(before, domain))
        for domain in ("disk", "host", "subnet", "operator", "zone")
    )


def _shared(candidate: Candidate, others: Sequence[Candidate], domain: str) -> int:
    name = getattr(candidate, domain)
    return sum(getattr(each, domain) == name for each in others) if name else 0


def _fullest(nodes: Sequence[Candidate], domain: str) -> int:
    return max(Counter(getattr(each, domain) for each in nodes if getattr(each, domain)).values(), default=0)
