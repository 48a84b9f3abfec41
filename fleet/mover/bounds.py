"""How much movement there may be, in all and at each node (pure).

The whole is bounded in plaintext rebuilt, a node in the bytes that go in and those that come out, so that a provider's
line, or one busy disk, is never filled by many placements that happen to share it. What is read comes from k of the
nodes that can be read, and nobody knows beforehand from which: each is charged its share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from fleet.mover.pace import Bucket


@dataclass(frozen=True, slots=True)
class Use:
    """What one chunk costs: its plaintext, and bytes into and out of nodes."""

    plaintext: int
    into: Mapping[NodeNumber, float]
    out_of: Mapping[NodeNumber, float]


class Bounds:
    def __init__(self, bytes_per_second: float, node_bytes_per_second: float, now: float) -> None:
        self._all = Bucket(bytes_per_second, now)
        self._of_each, self._began = node_bytes_per_second, now
        self._into: dict[NodeNumber, Bucket] = {}
        self._out_of: dict[NodeNumber, Bucket] = {}

    def has_room(self, now: float) -> bool:
        return self._all.room(now) > 0

    def allows(self, use: Use, now: float) -> bool:
        """Whether none of its nodes is at its bound."""
        return all(bucket.room(now) > 0 for bucket in self._buckets(use))

    def take(self, use: Use) -> None:
        self._all.take(use.plaintext)
        for number, size in use.into.items():
            self._bucket(self._into, number).take(size)
        for number, size in use.out_of.items():
            self._bucket(self._out_of, number).take(size)

    def ready_at(self, uses: Iterable[Use] = ()) -> float:
        """When the whole has room again and one of these has."""
        each = [max((bucket.ready_at() for bucket in self._buckets(use)), default=0.0) for use in uses]
        return max(self._all.ready_at(), min(each, default=0.0))

    def _buckets(self, use: Use) -> list[Bucket]:
        into = [self._bucket(self._into, number) for number in use.into]
        return into + [self._bucket(self._out_of, number) for number in use.out_of]

    def _bucket(self, buckets: dict[NodeNumber, Bucket], number: NodeNumber) -> Bucket:
        found = buckets.get(number)
        if found is None:
            found = buckets[number] = Bucket(self._of_each, self._began)
        return found
