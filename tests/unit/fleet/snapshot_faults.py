"""Snapshots with faults in them, and nodes whose delete graces are over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cyxcloud.core.durable import DISK
from cyxcloud.core.ids import SessionNumber
from cyxcloud.meta import deletions
from cyxcloud.meta.writer import BoundWriter, Checkpoint, Writer
from cyxcloud.wire.memory import MemoryHost
from fleet.snapshot_taking import SnapshotTaker
from tests.unit.fleet.snapshot_rig import CLUSTER, MASTER, Rig, snapshot_store_of

T = TypeVar("T")
FOR_EVER = 10**15
MODES = ("before", "after", "once")


class Broke(Exception):
    pass


class Faults:
    """Breaks the `at`th step."""

    def __init__(self, at: int, mode: str) -> None:
        self.at, self.mode, self.steps = at, mode, 0

    @property
    def met(self) -> bool:
        return self.steps >= self.at

    def enter(self) -> bool:
        """Whether this step is to break after it was done; raises where before."""
        self.steps += 1
        if self.steps == self.at and self.mode == "after":
            return True
        if self.steps == self.at or (self.steps > self.at and self.mode != "once"):
            raise Broke(f"step {self.steps}")
        return False

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        breaks = self.enter()
        done = await work()
        if breaks:
            raise Broke(f"after step {self.steps}")
        return done

    def call(self, work: Callable[[], T]) -> T:
        breaks = self.enter()
        done = work()
        if breaks:
            raise Broke(f"after step {self.steps}")
        return done


class BreakingWriter:
    def __init__(self, writer: Writer, faults: Faults) -> None:
        self._writer, self._faults, self.path = writer, faults, writer.path
        self.main_file = writer.main_file

    def bound_to(self, session: SessionNumber) -> BoundWriter:
        return BoundWriter(self, session)  # type: ignore[arg-type] # all of a writer that is asked for

    async def submit(self, *given: Any, **more: Any) -> Any:
        return await self._faults.run(lambda: self._writer.submit(*given, **more))

    def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        return self._faults.call(lambda: self._writer.checkpoint(truncate=truncate))


class BreakingHost:
    def __init__(self, host: MemoryHost, faults: Faults) -> None:
        self._host, self._faults = host, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    async def put(self, *given: Any, **more: Any) -> Any:
        return await self._faults.run(lambda: self._host.put(*given, **more))

    async def put_pointer(self, *given: Any) -> None:
        await self._faults.run(lambda: self._host.put_pointer(*given))


class BreakingDisk:
    """`only`: the operations that count as steps, all where it is empty."""

    def __init__(self, faults: Faults, only: frozenset[str] = frozenset()) -> None:
        self._faults, self._only = faults, only

    def __getattr__(self, name: str) -> Any:
        work = getattr(DISK, name)
        if self._only and name not in self._only and not self._faults.met:
            return work
        return lambda *given, **more: self._faults.call(lambda: work(*given, **more))


async def cut_off(store: Rig, faults: Faults) -> None:
    """One snapshot with faults; what it raises is its own business."""
    writer: Any = BreakingWriter(store.writer, faults)
    hosts: Any = [BreakingHost(host, faults) for host in store.hosts]
    disk: Any = BreakingDisk(faults)
    opened = snapshot_store_of(hosts, store.database.reader(), writer)
    try:
        taker = SnapshotTaker(await opened.ready(), writer, hosts, CLUSTER, MASTER, asyncio.Lock(), disk)
        await taker.take()
    except Exception:
        if not faults.met:
            raise
    finally:
        opened.close()


def carry_out_deletions(store: Rig) -> None:
    """Every delete grace is over."""
    gone = {due.blob for due in deletions.due(store.database.reader(), FOR_EVER, 10_000)}
    for host in store.hosts:
        for node, shards in host.shards.items():
            for shard in [each for each in shards if each.blob in gone]:
                host.drop(node, shard)
