"""The pool of open placements that a writer picks from.

A placement is an immutable list of k+m nodes, published by the coordinator; writing inserts none. All chunks of a blob
are of one profile, so one is picked among the placements of that: the better of two random ones, with fewer nodes that
cannot be written to now, then fewer slow ones, then the less loaded. A placement that could not reach the write quorum
is not picked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from cyxcloud.core.ids import NodeId, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.shards.hosts import HostMap


def write_quorum(k: int, m: int) -> int:
    """Shards of a chunk that must be durable before it counts as written."""
    return k + -(-m // 2)


@dataclass(frozen=True, slots=True)
class Placement:
    """Shard i of each chunk placed here is on node i."""

    id: PlacementId
    k: int
    m: int
    nodes: tuple[NodeId, ...]
    node_set: frozenset[NodeId] = field(init=False, repr=False, compare=False)
    indexes: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "node_set", frozenset(self.nodes))
        object.__setattr__(self, "indexes", tuple(range(len(self.nodes))))
        assert len(self.nodes) == len(self.node_set) == self.k + self.m

    @property
    def profile(self) -> Profile:
        return Profile(self.k, self.m)

    @property
    def quorum(self) -> int:
        return write_quorum(self.k, self.m)


class NoPlacement(Exception):
    """No open placement has enough nodes that can be written to."""


class PlacementPool:
    def __init__(self, hosts: HostMap, placements: Iterable[Placement] = (), rng: random.Random | None = None) -> None:
        self._hosts = hosts
        self._random = rng or random.SystemRandom()
        self._placements: dict[Profile, list[Placement]] = {}
        self._default = Profile(0, 0)
        self._load: dict[NodeId, int] = {}
        self.replace(placements)

    def replace(self, placements: Iterable[Placement], default: Profile | None = None) -> None:
        """Take over the pools that the coordinator now publishes. `default`: the profile of a writer that asks for
        none; without it, that of the first placement."""
        pools: dict[Profile, list[Placement]] = {}
        for each in placements:
            pools.setdefault(each.profile, []).append(each)
        self._placements = pools
        self._default = default or next(iter(pools), self._default)

    @property
    def is_published(self) -> bool:
        """False before the store has had nodes enough for its profile."""
        return self._default in self._placements

    def pick(self, exclude: Placement | None = None, profile: Profile | None = None) -> Placement:
        """A placement that can be written to; the excluded one only where it is the last."""
        writable = self._hosts.writable
        wanted = profile or self._default
        open_ones = self._placements.get(wanted, [])
        if len(open_ones) > 2:
            # SystemRandom's choice costs a system call; two indexes come cheaper from one random number.
            chosen = [open_ones[int(self._random.random() * len(open_ones))] for _ in range(2)]
            best = self._best(chosen, writable, exclude)
            if best is not None and best.node_set <= writable:
                return best
        best = self._best(open_ones, writable, exclude) or self._best(open_ones, writable, None)
        if best is None:
            raise NoPlacement(f"none of {len(open_ones)} open placements of {wanted} can be written to")
        return best

    def began(self, placement: Placement) -> None:
        """A chunk is on its way there: counts as load until `ended`."""
        for node in placement.nodes:
            self._load[node] = self._load.get(node, 0) + 1

    def ended(self, placement: Placement) -> None:
        for node in placement.nodes:
            left = self._load[node] - 1
            if left:
                self._load[node] = left
            else:
                del self._load[node]

    def _best(
        self, candidates: list[Placement], writable: frozenset[NodeId], exclude: Placement | None
    ) -> Placement | None:
        slow = self._hosts.slow
        fit = [
            (unavailable, len(placement.node_set & slow), self._busiest(placement), at)
            for at, placement in enumerate(candidates)
            if placement is not exclude
            and (unavailable := len(placement.node_set - writable)) <= len(placement.nodes) - placement.quorum
        ]
        return candidates[min(fit)[-1]] if fit else None

    def _busiest(self, placement: Placement) -> int:
        load = self._load
        return max([load.get(node, 0) for node in placement.nodes]) if load else 0
