"""Keeps each node's state true to its disk and folder, and opens a node again when that can help.

Each disk is probed every few seconds in a thread of its own; a probe or a round of commits that does not end counts by
its age, so a disk that hangs is known without waiting for it. A folder that is gone or another's takes its node out. A
node that was taken out, or whose store failed, is opened again once its disk is well, less and less often while that
does not last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.worker import Did, Idle
from cyxcloud.wire.status import NodeState
from nodefs.health import GOOD, Condition, Limits, Sample, judge
from nodefs.probe import Place, Probed, probe
from nodefs.rack import Rack
from nodefs.store import NodeStore
from nodefs.threads import ended, in_thread

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.5


@dataclass(slots=True)
class _Watched:
    """One disk."""

    began: float
    task: asyncio.Task[Probed]
    condition: Condition = GOOD


class HealthWatch:
    name = "health"

    def __init__(self, rack: Rack, limits: Limits, on_hung: Callable[[], None], disk: Disk = DISK) -> None:
        self._rack = rack
        self._limits = limits
        self._on_hung = on_hung
        self._disk = disk
        self._watched: dict[int, _Watched] = {}

    async def step(self, now: float) -> Did | Idle:
        time = asyncio.get_running_loop().time()
        disks: dict[int, list[NodeStore]] = {}
        for store in self._rack.stores.values():
            disks.setdefault(store.device, []).append(store)
        self._watched = {device: watched for device, watched in self._watched.items() if device in disks}
        for device, stores in disks.items():
            self._look(device, stores, time)
        for store in self._rack.stores.values():
            store.measure()
        well = {device for device, watched in self._watched.items() if watched.condition.state is NodeState.UP}
        self._rack.mend(time, well)
        return Idle(now + min(_LOOK_SECONDS, self._limits.probe))

    async def end(self) -> None:
        await ended([watched.task for watched in self._watched.values()])

    def _look(self, device: int, stores: list[NodeStore], time: float) -> None:
        watched = self._watched.get(device)
        if watched is None:
            self._watched[device] = _Watched(time, self._probe(stores))
            return
        samples = [self._rack.committers[device].look()]
        if not watched.task.done():
            samples.append(Sample(time - watched.began, ended=False))
        elif time - watched.began >= self._limits.probe:
            last, watched.began, watched.task = watched.task, time, self._probe(stores)
            probed = last.result()
            samples.append(probed.sample)
            for node, reason in probed.lost.items():
                self._rack.lose(node, reason)
        self._judge(watched, device, stores, samples)

    def _judge(self, watched: _Watched, device: int, stores: list[NodeStore], samples: list[Sample]) -> None:
        before = after = watched.condition
        for sample in samples:
            # A round that was quick, or none at all, says nothing of a disk that a probe found wanting.
            if sample is samples[0] and sample.ended and sample.seconds <= self._limits.slow:
                continue
            after = judge(after, sample, self._limits)
        watched.condition = after
        if (before.state, before.reason) != (after.state, after.reason):
            log.warning("disk changed", disk=device, state=after.state.name, reason=after.reason)
        if after.state is NodeState.DOWN and before.state is not NodeState.DOWN:
            self._rack.committers[device].give_up()
            self._on_hung()
        for store in stores:
            store.judged(after)

    def _probe(self, stores: list[NodeStore]) -> asyncio.Task[Probed]:
        places = [Place(store.node_id, store.folder.path, store.place) for store in stores]
        space = stores[0].space

        def look() -> Probed:
            probed = probe(places, self._disk)
            found = [place.path for place in places if place.node_id not in probed.lost]
            if found:
                space.stands_at(found[0])
                if not probed.sample.error:
                    space.refresh()
            return probed

        return asyncio.create_task(in_thread(look))
