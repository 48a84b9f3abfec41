"""Which lists of nodes a profile's chunks may be put on (pure).

The coordinator publishes a pool of placements; a PUT takes one of them and inserts none. A pool holds about
nodes x 80 / n lists, so that losing a node spreads its repair over all others; where fewer lists exist, all of them.
At most m shards of a chunk stand on one disk while there are disks enough, so that losing a disk is survived.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from fleet.placement.candidate import Candidate

__all__ = ("Candidate", "Profile", "TooFewNodes", "choose_pool", "disks_survived", "make_pool")

ENOUGH_SHARE = 4  # a pool of a quarter of the lists that could be made anew spreads well enough
LISTS_PER_NODE = 80  # placements a node should take part in: its successor traffic then spreads over all others


class TooFewNodes(Exception):
    """The profile cannot be written on these nodes."""


def make_pool(nodes: Sequence[Candidate], profile: Profile, rng: random.Random) -> list[tuple[NodeNumber, ...]]:
    """Lists of n distinct nodes. With fewer than n available, lists that miss as few as the write quorum allows.

    Raises TooFewNodes where no list reaches the quorum.
    """
    up = [node for node in nodes if node.available]
    if len(nodes) < profile.n or len(up) < profile.write_quorum:
        raise TooFewNodes(f"{len(up)} of {len(nodes)} nodes take writes; {profile.k}+{profile.m} needs {profile.n}")
    down = [node for node in nodes if not node.available]
    rng.shuffle(down)
    members = up if len(up) >= profile.n else up + down[: profile.n - len(up)]
    wanted = math.ceil(len(members) * LISTS_PER_NODE / profile.n)
    cap = _disk_cap(members, profile)
    if math.comb(len(members), profile.n) <= wanted * 2:
        lists = [list(each) for each in combinations(members, profile.n) if _within(each, cap)]
        rng.shuffle(lists)
    else:
        lists = _draw(members, profile.n, cap, wanted, rng)
    return [_ordered(each, turn, rng) for turn, each in enumerate(lists)]


def choose_pool(
    existing: Mapping[PlacementId, tuple[NodeNumber, ...]],
    nodes: Sequence[Candidate],
    profile: Profile,
    rng: random.Random,
) -> tuple[frozenset[PlacementId], list[tuple[NodeNumber, ...]]]:
    """The pool for these nodes: which existing placements are open, and new lists where those are too few.

    Lists are kept for good, so a node that goes and comes back must not leave a new set of them behind each time.
    Raises TooFewNodes.
    """
    fresh = make_pool(nodes, profile, rng)
    up = {node.number for node in nodes if node.available}
    disks = {node.number: node.disk for node in nodes}
    missing = min(len(set(each) - up) for each in fresh)
    cap = max(max(Counter(disks[number] for number in each).values()) for each in fresh)
    kept = {
        placement
        for placement, each in existing.items()
        if len(each) == profile.n
        and disks.keys() >= set(each)
        and len(set(each) - up) <= missing
        and max(Counter(disks[number] for number in each).values()) <= cap
    }
    covered = {number for placement in kept for number in existing[placement]}
    if up <= covered and len(kept) * ENOUGH_SHARE >= len(fresh):
        return frozenset(kept), []
    return frozenset(kept), fresh


def disks_survived(lists: Sequence[Sequence[str]], m: int) -> int:
    """How many disks may be lost, whichever they are; each placement is given as its nodes' disks."""
    if not lists:
        return 0
    return min(_disks_of_one(disks, m) for disks in lists)


def _disks_of_one(disks: Sequence[str], m: int) -> int:
    lost = survived = 0
    for _, shards in Counter(disks).most_common():
        lost += shards
        if lost > m:
            break
        survived += 1
    return survived


def _disk_cap(members: Sequence[Candidate], profile: Profile) -> int:
    """The fewest shards a disk must be allowed to take: m where that is possible, else as even as it gets."""
    per_disk = Counter(node.disk for node in members)
    cap = profile.m
    while sum(min(cap, count) for count in per_disk.values()) < profile.n:
        cap += 1
    return cap


def _within(nodes: Sequence[Candidate], cap: int) -> bool:
    return max(Counter(node.disk for node in nodes).values()) <= cap


def _draw(members: Sequence[Candidate], n: int, cap: int, wanted: int, rng: random.Random) -> list[list[Candidate]]:
    """Random lists in which every node takes part about equally often."""
    used: Counter[NodeNumber] = Counter()
    lists: list[list[Candidate]] = []
    for _ in range(wanted):
        chosen: list[Candidate] = []
        on_disk: Counter[str] = Counter()
        for node in sorted(members, key=lambda node: (used[node.number], rng.random())):
            if len(chosen) < n and on_disk[node.disk] < cap:
                chosen.append(node)
                on_disk[node.disk] += 1
        if len(chosen) == n:
            used.update(node.number for node in chosen)
            lists.append(chosen)
    return lists


def _ordered(nodes: Sequence[Candidate], turn: int, rng: random.Random) -> tuple[NodeNumber, ...]:
    """The list's order decides who holds data and who parity: shuffled, then turned, so that each node holds both."""
    numbers = [node.number for node in nodes]
    rng.shuffle(numbers)
    turn %= len(numbers)
    return tuple(numbers[turn:] + numbers[:turn])
