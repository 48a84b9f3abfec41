"""What a host does for its nodes in the background: flush indexes, set damaged records aside, punch holes, scrub.

One bounded unit a step and safe to repeat. Whatever changes packs runs as a job of the committer, never beside a round.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.worker import Did, Idle
from nodefs.commit import Committer, TaskJob
from nodefs.quarantine import quarantine_suspects
from nodefs.scrub import Scrubber
from nodefs.store import NodeStore

log = structlog.get_logger(__name__)

# How much a restart may have to read again; also how old a hole gets before it is punched.
PACE_SECONDS = 2.0
# Punching one hole costs about 0.03 ms of CPU and a journal entry: batches, and not all at once.
_HOLES_A_STEP = 256


class Upkeep:
    name = "upkeep"

    def __init__(self, stores: Sequence[NodeStore], committers: dict[int, Committer], clock: Clock) -> None:
        self._scrubbers = [(store, Scrubber(store)) for store in stores]
        self._committers = committers
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    async def step(self, now: float) -> Did | Idle:
        for store, scrubber in self._scrubbers:
            if store.down_reason:
                continue
            if store.suspects:
                await self._in_commit_thread(store)
            await self._loop.run_in_executor(None, _tend, store, scrubber)
        return Idle(now + PACE_SECONDS)

    async def _in_commit_thread(self, store: NodeStore) -> None:
        finished: asyncio.Future[None] = self._loop.create_future()
        job = TaskJob(store, lambda: _quarantine(store), lambda _: finished.set_result(None))
        self._committers[store.device].submit(job)
        await finished


def _quarantine(store: NodeStore) -> None:
    quarantine_suspects(store)


def _tend(store: NodeStore, scrubber: Scrubber) -> None:
    """In a thread: everything that only reads packs or belongs to the index."""
    try:
        if store.index.dirty:
            store.checkpoint()
        punch_some(store)
        scrubber.scrub(PACE_SECONDS)
    except sqlite3.Error as error:
        log.warning("index not flushed; tried again", node=store.folder.marker.name, error=str(error))
    except OSError as error:
        store.fail(f"upkeep: {error}")


def punch_some(store: NodeStore) -> int:
    """Give back the space of records that were deleted. What a crash forgets is found when its pack is evacuated."""
    batch, store.holes = store.holes[:_HOLES_A_STEP], store.holes[_HOLES_A_STEP:]
    for at, (pack, offset, size) in enumerate(batch):
        if not pack.punch(offset, size):
            log.info("this filesystem cannot punch holes; deleted space comes back with its pack", path=str(pack.path))
            store.holes = []
            return at
    return len(batch)
