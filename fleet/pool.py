"""Which lists of nodes a profile's chunks may be put on (pure).

The coordinator publishes a pool of placements; a PUT takes one of them and inserts none. A pool holds about
nodes x 80 / n lists, so that losing a node spreads its repair over all others; where fewer lists exist, all of them.
What the nodes of a list may share is in placement/rules.py. A node takes part as often as its weight says, and those
that are still being vetted hold 5 % of the pool's shards at most.

Lists are kept for good, since chunks name them: a pool is changed by opening and closing those there are, and new ones
are made only for nodes that are in none, or where too few are left.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from fleet.placement.candidate import Candidate
from fleet.placement.draw import Draw
from fleet.placement.rules import may_stand
from fleet.placement.terms import LISTS_PER_NODE, Terms, TooFewNodes, terms_of

__all__ = ("Candidate", "Pool", "Profile", "TooFewNodes", "choose_pool", "make_pool")

ENOUGH_SHARE = 4  # a pool of a quarter of the lists that could be made anew spreads well enough
# Up to so many lists a pool is made whole to see what is lacking; a larger one gets lists for its new nodes only.
SMALL_POOL = 1000
_SCATTER = 2_654_435_761  # odd, about 2^32 over the golden ratio: neighbouring numbers come to lie far apart


@dataclass(frozen=True, slots=True)
class Pool:
    """`kept`: the existing placements that are open; `fresh`: lists to be added."""

    kept: frozenset[PlacementId]
    fresh: list[tuple[NodeNumber, ...]]


def make_pool(nodes: Sequence[Candidate], profile: Profile, rng: random.Random) -> list[tuple[NodeNumber, ...]]:
    """Lists of n distinct nodes. Raises TooFewNodes where no list reaches the write quorum."""
    terms = terms_of(nodes, profile, rng)
    return _make(terms, rng)


def choose_pool(
    existing: Mapping[PlacementId, tuple[NodeNumber, ...]],
    nodes: Sequence[Candidate],
    profile: Profile,
    rng: random.Random,
) -> Pool:
    """The pool for these nodes. A node that goes and comes back leaves no new set of lists behind. TooFewNodes."""
    terms = terms_of(nodes, profile, rng)
    allowed = {placement: each for placement, each in existing.items() if terms.allow(each)}
    return Pool(_opened(terms, allowed), _additions(terms, allowed, rng))


def _additions(
    terms: Terms, allowed: Mapping[PlacementId, tuple[NodeNumber, ...]], rng: random.Random
) -> list[tuple[NodeNumber, ...]]:
    """A whole pool where a small one has too few lists, or none for a node; a large one gets what it lacks."""
    parts = Counter(number for each in allowed.values() for number in each)
    if terms.wanted <= SMALL_POOL:
        made = _make(terms, rng)
        reached = {number for each in made for number in each} & terms.up
        return [] if reached <= parts.keys() and len(allowed) * ENOUGH_SHARE >= len(made) else made
    if len(allowed) * ENOUGH_SHARE < terms.wanted:
        return _make(terms, rng)
    lacking = [number for number in terms.up if parts[number] * ENOUGH_SHARE < LISTS_PER_NODE]
    if not lacking:
        return []
    vetted = sum(not terms.vetting.isdisjoint(each) for each in allowed.values())
    drawn = Draw(terms, rng, before=len(allowed), vetted=vetted).with_each(lacking, LISTS_PER_NODE)
    return [_ordered(each, turn, rng) for turn, each in enumerate(drawn)]


def _opened(terms: Terms, allowed: Mapping[PlacementId, tuple[NodeNumber, ...]]) -> frozenset[PlacementId]:
    """As many of a node's lists as its weight says, the same ones each time; never so few that nothing is spread."""
    weights = terms.weights
    rank = {
        placement: _scattered(placement) / min([weights[number] for number in each])
        for placement, each in allowed.items()
    }
    order = sorted(allowed, key=rank.__getitem__)
    least = math.ceil(terms.wanted / ENOUGH_SHARE)
    opened = [placement for at, placement in enumerate(order) if at < least or rank[placement] < 1]
    vetting = [each for each in opened if not terms.vetting.isdisjoint(allowed[each])]
    plain = len(opened) - len(vetting)
    room = max(_room_for_vetting(terms, plain), least - plain)
    return frozenset(opened).difference(vetting[room:])


def _scattered(placement: PlacementId) -> float:
    """Below 1, and for each placement always the same."""
    return (placement * _SCATTER & 0xFFFFFFFF) / 2**32


def _room_for_vetting(terms: Terms, plain: int) -> int:
    """How many lists may have a vetting node beside so many that have none."""
    share = terms.vetting_a_list
    return math.floor(plain * share / (1 - share)) if share < 1 else len(terms.limits) * LISTS_PER_NODE


def _make(terms: Terms, rng: random.Random) -> list[tuple[NodeNumber, ...]]:
    members, n = terms.members, terms.profile.n
    if math.comb(len(members), n) <= terms.wanted * 2 and not terms.vetting:
        lists = [list(each) for each in combinations(members, n) if may_stand(_numbers(each), terms.limits)]
        rng.shuffle(lists)
    else:
        lists = Draw(terms, rng).lists(terms.wanted)
    return [_ordered(each, turn, rng) for turn, each in enumerate(lists)]


def _numbers(nodes: Sequence[Candidate]) -> list[NodeNumber]:
    return [node.number for node in nodes]


def _ordered(nodes: Sequence[Candidate], turn: int, rng: random.Random) -> tuple[NodeNumber, ...]:
    """The list's order decides who holds data and who parity: shuffled, then turned, so that each node holds both."""
    numbers = _numbers(nodes)
    rng.shuffle(numbers)
    turn %= len(numbers)
    return tuple(numbers[turn:] + numbers[:turn])
