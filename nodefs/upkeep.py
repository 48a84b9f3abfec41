"""What a host does for its nodes in the background: flush indexes, set damaged records aside, punch holes.

One bounded unit a step and safe to repeat. Whatever changes packs runs as a job of the committer, never beside a round.
Disks are tended side by side, so that one that hangs holds up only its own nodes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

import structlog

from cyxcloud.core.worker import Did, Idle
from nodefs.quarantine import mend
from nodefs.rack import Rack
from nodefs.store import NodeStore
from nodefs.threads import ended, in_thread

log = structlog.get_logger(__name__)

# How much a restart may have to read again; also how old a hole gets before it is punched.
PACE_SECONDS = 2.0
# Punching one hole costs about 0.03 ms of CPU and a journal entry: batches, and not all at once.
_HOLES_A_STEP = 256


class Upkeep:
    name = "upkeep"

    def __init__(self, rack: Rack) -> None:
        self._rack = rack
        self._busy: dict[int, asyncio.Task[None]] = {}

    async def step(self, now: float) -> Did | Idle:
        disks: dict[int, list[NodeStore]] = {}
        for store in self._rack.stores.values():
            disks.setdefault(store.device, []).append(store)
        for device, stores in disks.items():
            before = self._busy.get(device)
            if before is None or before.done():
                self._busy[device] = asyncio.create_task(self._tend_disk(stores))
        return Idle(now + PACE_SECONDS)

    async def end(self) -> None:
        await ended(self._busy.values())

    async def _tend_disk(self, stores: Sequence[NodeStore]) -> None:
        for store in stores:
            if (store.suspects or store.strays or store.odd_packs) and not store.fault and store.readable:
                await self._rack.in_commit_thread(store, partial(_mend, store))
        await in_thread(lambda: _tend(stores))


def _mend(store: NodeStore) -> None:
    mend(store)


def _tend(stores: Sequence[NodeStore]) -> None:
    """In a thread: everything that only reads packs or belongs to the index."""
    for store in stores:
        if store.fault or not store.readable:
            continue
        try:
            if store.index.dirty:
                store.checkpoint()
            punch_some(store)
        except sqlite3.Error as error:
            log.warning("index not flushed; tried again", node=store.folder.marker.name, error=str(error))
        except OSError as error:
            store.fail("upkeep", error)


def punch_some(store: NodeStore) -> int:
    """Give back the space of records that were deleted. What a crash forgets is found when its pack is evacuated."""
    batch, store.holes = store.holes[:_HOLES_A_STEP], store.holes[_HOLES_A_STEP:]
    for at, (pack, offset, size) in enumerate(batch):
        if not pack.punch(offset, size):
            log.info("this filesystem cannot punch holes; deleted space comes back with its pack", path=str(pack.path))
            store.holes = []
            return at
    return len(batch)
