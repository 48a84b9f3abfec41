"""Gives the nodes' scrubbers their turns: one slice a disk at a time, each followed by a rest.

The rest keeps a disk below the bound and leaves it two thirds of the time for foreground reads, however slow it is. A
disk that hangs holds up only its own nodes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from itertools import groupby

import structlog

from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.worker import Did, Idle
from nodefs.bulk import WINDOW_BYTES, BulkReader
from nodefs.rack import Rack
from nodefs.scrub import Scrubber
from nodefs.threads import ended, in_thread

log = structlog.get_logger(__name__)

MOST_BYTES_A_SECOND = 100 << 20
REST = 2.0  # times as long as the slice took
_SOON_SECONDS = 0.05
_LOOK_SECONDS = 1.0


class Scrubbing:
    name = "scrub"

    def __init__(self, rack: Rack, disk: Disk = DISK) -> None:
        self._rack = rack
        self._disk = disk
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._readers: dict[int, BulkReader] = {}  # one buffer a disk
        self._turn = 0

    async def step(self, now: float) -> Did | Idle:
        self._turn += 1
        due = [scrubber for scrubber in self._rack.scrubbers.values() if _is_due(scrubber)]
        due.sort(key=lambda scrubber: scrubber.store.device)
        for device, group in groupby(due, key=lambda scrubber: scrubber.store.device):
            waiting = list(group)
            if device not in self._busy:
                self._busy[device] = asyncio.create_task(self._one(waiting[self._turn % len(waiting)]))
        self._busy = {device: task for device, task in self._busy.items() if not task.done()}
        return Idle(now + (_SOON_SECONDS if due else _LOOK_SECONDS))

    async def end(self) -> None:
        await ended(self._busy.values())

    async def _one(self, scrubber: Scrubber) -> None:
        loop = asyncio.get_running_loop()
        reader = self._readers.setdefault(scrubber.store.device, BulkReader(self._disk))
        began = loop.time()
        try:
            done = await in_thread(lambda: scrubber.slice(reader))
        except OSError as error:
            scrubber.store.fail("scrub", error)
            return
        except sqlite3.Error as error:
            log.warning("scrub goes on later", node=scrubber.store.folder.marker.name, error=str(error))
            done = WINDOW_BYTES
        took = loop.time() - began
        await asyncio.sleep(max(done / MOST_BYTES_A_SECOND - took, REST * took))


def _is_due(scrubber: Scrubber) -> bool:
    return scrubber.store.readable and scrubber.is_due()
