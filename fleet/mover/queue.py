"""What the mover does next: chunks in placements that have a successor, and chunks with shards listed for repair.

The lists in the database are walked round and round, a bounded stretch at a time, and each stretch is put in order:
repair before drains before rebalancing, and within each the fewest good shards first. Chunks that could not be helped
are left alone for a growing while; shards on nodes that cannot be read are left to the placements' successors, or to
the node's return. Nothing here has to survive a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cyxcloud.core.ids import BlobId, PlacementId
from cyxcloud.meta import blobs, placements, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import PlacementState
from fleet.mover.view import Rank, View

# A stretch: so many chunks are listed at most, so many rows looked at.
MOST_LISTED = 512
# What only makes nodes more even must not be in the way of what is found damaged meanwhile.
MOST_LISTED_TO_REBALANCE = 32
MOST_ROWS = 10_000
PAGE = 1000
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
# Beyond so many nobody is remembered, only tried again sooner.
MOST_PAUSED = 100_000

Key = tuple[BlobId, int]  # blob and number of a chunk
_START = (-1, -1, -1)


class Wound(NamedTuple):
    """A chunk, why it is listed and how many of its shards are thought to be good."""

    rank: Rank
    good: int
    blob: BlobId
    chunk: int


class _Pause(NamedTuple):
    until: float
    seconds: float


class Queue:
    def __init__(self, reader: Connection, owns: Callable[[PlacementId], bool] = lambda _: True) -> None:
        """`owns`: whether the chunks of a placement are this mover's."""
        self._reader, self._owns = reader, owns
        self._listed: list[Wound] = []  # the worst last
        self._paused: dict[Key, _Pause] = {}
        self._walked: dict[PlacementId, tuple[int, int]] = {}
        self._repairs_walked = _START

    def fill(self, view: View, now: float) -> None:
        """List the next stretch, once the one before is used up. Not in the midst of a batch: what has been taken and
        is not done yet would be listed again."""
        if not self._listed:
            self._refill(view, now)

    def next(self) -> Wound | None:
        """The chunk most at risk of this stretch."""
        return self._listed.pop() if self._listed else None

    def put_back(self, wounds: Sequence[Wound]) -> None:
        """What was taken and may not be begun yet, in the order in which it was taken."""
        self._listed.extend(reversed(wounds))

    def reconsider(self) -> None:
        """Nodes have changed: what could not be helped before may be now, and the order is another."""
        self._listed.clear()
        self._paused.clear()
        self._walked.clear()
        self._repairs_walked = _START

    def pause(self, key: Key, now: float) -> None:
        """It could not be helped: not again at once."""
        before = self._paused.get(key)
        seconds = FIRST_PAUSE_SECONDS if before is None else min(2 * before.seconds, LONGEST_PAUSE_SECONDS)
        if len(self._paused) >= MOST_PAUSED:
            self._paused.clear()
        self._paused[key] = _Pause(now + seconds, seconds)

    def resolved(self, key: Key) -> None:
        self._paused.pop(key, None)

    @property
    def paused(self) -> int:
        """Chunks that could not be helped when they were last tried."""
        return len(self._paused)

    def _refill(self, view: View, now: float) -> None:
        found: dict[Key, tuple[Rank, int]] = {}
        self._walk_repairs(view, now, found)
        self._walk_replaced(view, now, found)
        self._listed = sorted((Wound(*risk, *key) for key, risk in found.items()), reverse=True)

    def _walk_replaced(self, view: View, now: float, found: dict[Key, tuple[Rank, int]]) -> None:
        replaced = [
            row.id
            for row in view.placements.values()
            if row.state is PlacementState.REPLACED and self._owns(row.id) and not view.rests(row.id)
        ]
        if not replaced:
            return
        in_use = set(placements.in_use(self._reader))
        left, most, already = MOST_ROWS, len(found) + MOST_LISTED, len(found)
        ordered = sorted((view.rank(each), view.reachable(each), each) for each in in_use.intersection(replaced))
        for rank, good, placement in ordered:
            if rank is Rank.REBALANCE:
                most = min(most, max(len(found), already + MOST_LISTED_TO_REBALANCE))
            while left > 0 and len(found) < most:
                page = blobs.in_placement(self._reader, placement, self._walked.get(placement, (-1, -1)), PAGE)
                left -= len(page)
                for blob, chunk, _ in page:
                    self._walked[placement] = (blob, chunk)
                    if self._may_try((blob, chunk), now):
                        found.setdefault((blob, chunk), (rank, good))
                        if len(found) >= most:
                            return
                if len(page) < PAGE:
                    self._walked.pop(placement, None)
                    break

    def _walk_repairs(self, view: View, now: float, found: dict[Key, tuple[Rank, int]]) -> None:
        bad: Counter[tuple[Key, PlacementId]] = Counter()
        for _ in range(MOST_ROWS // PAGE):
            page = repairs.placed(self._reader, self._repairs_walked, PAGE)
            for row in page:
                where = view.placements.get(row.placement)
                if where is not None and self._owns(where.id) and view.can_read(where.nodes[row.shard_index]):
                    bad[(row.blob, row.chunk), row.placement] += 1
            if len(page) < PAGE:
                self._repairs_walked = _START
                break
            self._repairs_walked = (page[-1].blob, page[-1].chunk, page[-1].shard_index)
        wounds = sorted((view.reachable(placement) - count, key) for (key, placement), count in bad.items())
        for good, key in wounds:
            if self._may_try(key, now):
                found[key] = (Rank.REPAIR, good)
                if len(found) >= MOST_LISTED:
                    return

    def _may_try(self, key: Key, now: float) -> bool:
        pause = self._paused.get(key)
        return pause is None or pause.until <= now
