"""The pool of open placements that a writer picks from.

A placement is an immutable list of k+m nodes, published by the coordinator; writing inserts none. Picking takes the
better of two random ones: fewer nodes that cannot be written to now, then the less loaded. A placement that could not
reach the write quorum is not picked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from cyxcloud.core.ids import NodeId, PlacementId
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
    def quorum(self) -> int:
        return write_quorum(self.k, self.m)


class NoPlacement(Exception):
    """No open placement has enough nodes that can be written to."""


class PlacementPool:
    def __init__(self, hosts: HostMap, placements: Iterable[Placement] = (), rng: random.Random | None = None) -> None:
        self._hosts = hosts
        self._random = rng or random.SystemRandom()
        self._placements: list[Placement] = []
        self._load: dict[NodeId, int] = {}
        self.replace(placements)

    def replace(self, placements: Iterable[Placement]) -> None:
        """Take over the pool that the coordinator now publishes."""
        self._placements = list(placements)

    @property
    def is_published(self) -> bool:
        """False before the store has had nodes enough for its profile."""
        return bool(self._placements)

    def pick(self, exclude: Placement | None = None) -> Placement:
        """A placement that can be written to; the excluded one only where it is the last."""
        writable = self._hosts.writable
        open_ones = self._placements
        if len(open_ones) > 2:
            # SystemRandom's choice costs a system call; two indexes come cheaper from one random number.
            chosen = [open_ones[int(self._random.random() * len(open_ones))] for _ in range(2)]
            best = self._best(chosen, writable, exclude)
            if best is not None and best.node_set <= writable:
                return best
        best = self._best(open_ones, writable, exclude) or self._best(open_ones, writable, None)
        if best is None:
            raise NoPlacement(f"none of {len(open_ones)} open placements can be written to")
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
        fit = [
            (unavailable, self._busiest(placement), at)
            for at, placement in enumerate(candidates)
            if placement is not exclude
            and (unavailable := len(placement.node_set - writable)) <= len(placement.nodes) - placement.quorum
        ]
        return candidates[min(fit)[2]] if fit else None

    def _busiest(self, placement: Placement) -> int:
        load = self._load
        return max([load.get(node, 0) for node in placement.nodes]) if load else 0
