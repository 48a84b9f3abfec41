"""Brings together enough verified columns of one chunk, whatever its hosts do.

First the data shards are asked, or others where those are clearly faster. Whatever is missing, corrupt or on a node
being avoided is made up for by other shards over the same blocks at once, whatever is late after the hedge delay; one
column for each lost one, from other hosts first, then from the fastest. When a host is only restarting, it is asked
again for a while. Nothing that failed verification is ever used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from cyxcloud.core.ids import NodeId, ShardId
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.hosts import HostGroup
from cyxcloud.shards.plan import ChunkRef, ReadPlan, Window, span
from cyxcloud.shards.plane import INLINE_BYTES, DataPlane
from cyxcloud.shards.speeds import swaps
from cyxcloud.shards.verify import ChunkVerifier, Column
from cyxcloud.wire.shardhost import GetAnswer, GetBatch
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status, WireError


class Fault(Enum):
    """What is wrong with a shard that was asked for."""

    MISSING = "missing"
    CORRUPT = "corrupt"
    UNREACHABLE = "unreachable"


class ChunkUnavailable(Exception):
    """Fewer than k good shards of a chunk could be had in time. What is there stays; nothing wrong was sent."""


OnBad = Callable[[ShardId, NodeId, Fault], None]

_FAULT_OF = {
    Status.NOT_FOUND: Fault.MISSING,
    Status.CORRUPT: Fault.CORRUPT,
    Status.CONFLICT: Fault.CORRUPT,
    Status.IO_ERROR: Fault.CORRUPT,
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request under way."""

    group: HostGroup
    window: Window


class Gathering:
    """The columns of one read of one chunk."""

    def __init__(  # noqa: PLR0917 - all that a read is made of
        self,
        plane: DataPlane,
        ref: ChunkRef,
        plan: ReadPlan,
        verifier: ChunkVerifier,
        on_bad: OnBad,
        held: Mapping[int, Column] = MappingProxyType({}),
    ) -> None:
        """`held` are the data shards' windows that the caller has already, verified."""
        self._plane = plane
        self._ref = ref
        self._plan = plan
        self._verifier = verifier
        self._on_bad = on_bad
        self._good = dict(held)  # data shards, at least the plan's window of each
        self._spare: dict[int, Column] = {}  # columns asked for only to rebuild others
        self._bad: set[int] = set()
        self._unreachable: set[int] = set()
        self._reported: set[int] = set()
        self._running: dict[asyncio.Task[None], _Asked] = {}
        self._late: set[int] = set()
        self._is_big = plan.wire_bytes > INLINE_BYTES
        self._heard: set[int] = set()  # hosts that answered, by identity

    async def run(self, hedge_seconds: float) -> dict[int, Column]:
        """Columns that cover the plan's windows, all verified or rebuilt from verified ones."""
        now = self._plane.clock.monotonic
        started = now()
        deadline = started + self._plane.limits.read_seconds
        late = started + max(self._plane.limits.late_seconds, 3 * hedge_seconds)
        # Those asked in the place of late ones may be late as well: they get as long, then what is left is asked.
        hedges = [started + hedge_seconds, started + 2 * hedge_seconds]
        waits = [*(min(each, deadline) for each in (*hedges, late)), deadline]
        self._ask_data()
        try:
            while lost := self._lost():
                window = span(self._plan.windows[index] for index in lost)
                sources = self._covering(window)
                if len(sources) >= self._ref.k:
                    await self._rebuild(lost, window, sources)
                    break
                self._ask_spares(lost, window, set(sources), last_resort=len(waits) == 1)
                if self._running:
                    await self._wait_until(waits[0])
                else:
                    await self._pause(started)
                if now() >= waits[0]:
                    self._expire(waits)
            self._leave_out_the_silent()
        finally:
            for task in self._running:
                task.cancel()
        return self._good

    def _leave_out_the_silent(self) -> None:
        """A host that answered for its other nodes is not silent: one of its disks is."""
        for asked in self._running.values():
            if id(asked.group.host) not in self._heard and not self._late.isdisjoint(asked.group.indexes):
                self._plane.hosts.leave_out(asked.group.host)

    def _lost(self) -> list[int]:
        good = self._good
        return [index for index in self._plan.windows if index not in good]

    def _covering(self, window: Window) -> dict[int, memoryview]:
        """This window of every shard that has it."""
        size = self._plan.bytes_of(window)
        columns: dict[int, memoryview] = {}
        for held in (self._good, self._spare):
            for index, column in held.items():
                if column.first_block <= window.first and len(data := column.slice(window.first, size)) == size:
                    columns[index] = data
        return columns

    def _ask_data(self) -> None:
        """The data shards' own windows, one request for each host and window; others where those are faster."""
        readable, nodes = self._plane.hosts.readable, self._ref.nodes
        if instead := self._faster_ones(readable):
            self._ask(span(self._plan.windows.values()), instead)
            return
        by_window: dict[Window, list[int]] = {}
        for index, window in self._plan.windows.items():
            if index not in self._good and nodes[index] in readable:
                by_window.setdefault(window, []).append(index)
        for window, indexes in by_window.items():
            self._ask(window, tuple(indexes))

    def _faster_ones(self, readable: frozenset[NodeId]) -> tuple[int, ...]:
        """The k shards to ask for where those are not the data shards. Only of a chunk that is read whole: of a part,
        each data shard that is not asked for would cost k others."""
        ref, hosts = self._ref, self._plane.hosts
        if self._good or len(self._plan.windows) < ref.k:
            return ()
        there = [index for index in range(ref.k + ref.m) if ref.nodes[index] in readable]
        seconds = {index: hosts.seconds_to_read(ref.nodes[index], big=self._is_big) for index in there}
        data = [index for index in there if index < ref.k]
        swapped = swaps(data, [index for index in there if index >= ref.k], seconds)
        if not swapped or len(data) < ref.k:
            return ()
        return tuple(sorted(swapped.get(index, index) for index in data))

    def _ask_spares(self, lost: list[int], window: Window, sources: set[int], *, last_resort: bool) -> None:
        """Ask for as many other shards as it takes, if what is under way (and not late) does not make up for the lost.

        As a last resort all that is left is asked for, each alone, so that one stuck disk of a host stops no other.
        """
        coming = {
            index: asked.window
            for asked in self._running.values()
            for index in asked.group.indexes
            if index not in self._late
        }
        if all(index in coming and coming[index].covers(self._plan.windows[index]) for index in lost):
            return
        arriving = {index for index, asked in coming.items() if asked.covers(window)}
        wanted = self._ref.k - len(sources | arriving)
        if wanted <= 0:
            return
        spares = self._spares(sources | coming.keys(), last_resort=last_resort)
        if last_resort:
            for index in spares:
                self._ask(window, (index,))
        elif spares:
            self._ask(window, tuple(spares[:wanted]))

    def _spares(self, used: set[int], *, last_resort: bool) -> list[int]:
        """What may still be asked for, nodes not being avoided first; hosts that are late themselves only at last."""
        hosts, nodes, running = self._plane.hosts, self._ref.nodes, self._running.values()
        readable, big = hosts.readable, self._is_big
        late_hosts = {id(asked.group.host) for asked in running if not self._late.isdisjoint(asked.group.indexes)}
        asked_alone = {asked.group.indexes[0] for asked in running if len(asked.group.indexes) == 1}
        excluded = used | self._bad | self._unreachable | (asked_alone if last_resort else self._late)
        spares = [index for index in range(self._ref.k + self._ref.m) if index not in excluded]
        if not last_resort:
            spares = [index for index in spares if id(hosts.host(nodes[index])) not in late_hosts]
        return sorted(spares, key=lambda at: (nodes[at] not in readable, hosts.seconds_to_read(nodes[at], big=big)))

    def _ask(self, window: Window, indexes: tuple[int, ...]) -> None:
        groups = self._plane.hosts.group(self._ref.nodes, indexes)
        for group in groups:
            self._running[asyncio.create_task(self._fetch(group, window))] = _Asked(group, window)
        if sum(len(group.indexes) for group in groups) < len(indexes):
            for index in set(indexes).difference(*(group.indexes for group in groups)):
                self._failed(index, Fault.UNREACHABLE)

    async def _fetch(self, group: HostGroup, window: Window) -> None:
        ref, hosts = self._ref, self._plane.hosts
        batch = GetBatch(ref.blob, ref.index, group.indexes, group.nodes, window.first, window.stop - window.first)
        try:
            with hosts.timed(hosts.big_reads if self._is_big else hosts.reads, group.host):
                answer = await group.host.get(batch, seconds=self._plane.limits.read_seconds)
        except (HostUnavailable, HostRefused, WireError):
            hosts.avoid_host(group.host)
            for index in group.indexes:
                self._failed(index, Fault.UNREACHABLE)
            return
        self._heard.add(id(group.host))
        if len(group.indexes) > 1 and not self._fits(window, answer):
            for index in group.indexes:  # one shard of a wrong size must not spoil the others
                self._ask(window, (index,))
            return
        if len(answer.payload) <= INLINE_BYTES:
            good = self._checked(group.indexes, window, answer)
        else:
            loop = asyncio.get_running_loop()
            good = await loop.run_in_executor(self._plane.threads, self._checked, group.indexes, window, answer)
        for index, column in good.items():
            wanted = self._plan.windows.get(index)
            held = self._good if wanted is not None and window.covers(wanted) else self._spare
            held[index] = column
        for index, status in zip(group.indexes, answer.statuses, strict=True):
            if index not in good:
                fault = Fault.CORRUPT if status is Status.OK else _FAULT_OF.get(status, Fault.UNREACHABLE)
                self._failed(index, fault)

    def _checked(self, indexes: tuple[int, ...], window: Window, answer: GetAnswer) -> dict[int, Column]:
        """Of the shards that came, those that are what the chunk root commits to."""
        if not self._fits(window, answer):
            return {}
        plan, verifier = self._plan, self._verifier
        size = answer.part_bytes
        came = [index for index, status in zip(indexes, answer.statuses, strict=True) if status is Status.OK]
        good: dict[int, Column] = {}
        for at, index in enumerate(came):
            data = answer.payload[at * size : (at + 1) * size]
            accepted = verifier.accept(index, plan.shard_size, answer.hashes[at], answer.proofs[at])
            if accepted and verifier.matches(index, window.first, data):
                good[index] = Column(window.first, data)
        return good

    def _fits(self, window: Window, answer: GetAnswer) -> bool:
        """Whether the shards that came, if any, have the size that this chunk's have."""
        if not answer.hashes:
            return True
        part = self._plan.bytes_of(window)
        return (answer.shard_size, answer.part_bytes, len(answer.payload)) == (
            self._plan.shard_size,
            part,
            part * len(answer.hashes),
        )

    def _failed(self, index: int, fault: Fault) -> None:
        (self._unreachable if fault is Fault.UNREACHABLE else self._bad).add(index)
        if index not in self._reported:
            self._reported.add(index)
            self._on_bad(self._ref.shard(index), self._ref.nodes[index], fault)

    async def _wait_until(self, until: float) -> None:
        """For the next request to end. An error in one that is not its host's is ours and goes up."""
        timeout = max(0.0, until - self._plane.clock.monotonic())
        done, _ = await asyncio.wait(self._running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._running[task]
            task.result()

    async def _pause(self, started: float) -> None:
        """Nothing under way and not enough: wait for hosts that were unreachable, as long as that is worth it."""
        waited = self._plane.clock.monotonic() - started
        if not self._unreachable or waited >= self._plane.limits.retry_seconds:
            raise self._unavailable("not enough good shards")
        await asyncio.sleep(self._plane.limits.retry_pause_seconds)
        self._unreachable.clear()

    def _expire(self, waits: list[float]) -> None:
        """What is still under way is late; past the last of the waits, the read is over."""
        del waits[0]
        if not waits:
            raise self._unavailable("not answered in time")
        self._late.update(index for asked in self._running.values() for index in asked.group.indexes)

    async def _rebuild(self, lost: list[int], window: Window, columns: Mapping[int, memoryview]) -> None:
        code = codec(self._ref.k, self._ref.m)
        if self._plan.bytes_of(window) * self._ref.k <= INLINE_BYTES:
            rebuilt = code.reconstruct(lost, columns)
        else:
            loop = asyncio.get_running_loop()
            rebuilt = await loop.run_in_executor(self._plane.threads, code.reconstruct, lost, columns)
        self._good.update({index: Column(window.first, data) for index, data in rebuilt.items()})

    def _unavailable(self, why: str) -> ChunkUnavailable:
        bad, unreachable = sorted(self._bad), sorted(self._unreachable | self._late)
        return ChunkUnavailable(
            f"blob {self._ref.blob:#x} chunk {self._ref.index}: {why}; bad shards {bad}, unreachable {unreachable}"
        )
