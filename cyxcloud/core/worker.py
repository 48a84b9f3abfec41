"""Background work: a `Worker` does one bounded unit a step; this file gives it pace, back-off and an end.

A step never sleeps and is safe to repeat, so that stopping between two steps, or dying within one, needs no clean-up.
`now` and `Idle.until` are the clock's monotonic seconds; a worker that decides by dates asks the store's clock itself.
A worker that fails is tried again after a growing pause and never takes another one down with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from cyxcloud.core.clock import Clock

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 1.0
SHORTEST_IDLE_SECONDS = 0.01  # a worker that is idle until a moment just past must not spin
LONGEST_PAUSE_SECONDS = 300.0  # a fault that lasts (a full disk) is looked at again within five minutes


@dataclass(frozen=True, slots=True)
class Did:
    """A unit was done and more may wait; `what` and `count` are for status."""

    count: int = 1
    what: str = ""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do before `until`, unless somebody wakes the worker."""

    until: float


class Worker(Protocol):
    @property
    def name(self) -> str: ...

    async def step(self, now: float) -> Did | Idle: ...


@dataclass(slots=True)
class Progress:
    """What status shows of one worker."""

    done: int = 0
    failures_in_a_row: int = 0
    error: str = ""
    doing: str = ""
    next_step_at: float = 0.0


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Until the event or the time is there."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, seconds))


class Runner:
    """Runs workers side by side until it is stopped.

    `rest` is the share of each step's time that follows as a pause (2 means that the worker takes a third of the time),
    so that background work leaves the machine to requests.
    """

    def __init__(
        self,
        workers: Iterable[Worker],
        clock: Clock,
        *,
        rest: float = 0.0,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait_for,
    ) -> None:
        self._workers = tuple(workers)
        self._clock = clock
        self._rest = rest
        self._wait = wait
        self._stopping = False
        self._alarms = {worker.name: asyncio.Event() for worker in self._workers}
        self.progress = {worker.name: Progress() for worker in self._workers}
        assert len(self.progress) == len(self._workers), "two workers of one name"

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(self._drive(worker), name=worker.name)

    def wake(self, name: str) -> None:
        """There is work: the named worker takes its next step now."""
        self._alarms[name].set()

    def stop(self) -> None:
        """Each worker ends after the step it is in."""
        self._stopping = True
        for alarm in self._alarms.values():
            alarm.set()

    async def _drive(self, worker: Worker) -> None:
        alarm, progress = self._alarms[worker.name], self.progress[worker.name]
        while not self._stopping:
            alarm.clear()
            pause = await self._step(worker, progress)
            progress.next_step_at = self._clock.monotonic() + pause
            if pause <= 0:
                await asyncio.sleep(0)  # others get their turn between two steps that never waited
            elif not self._stopping:
                await self._wait(alarm, pause)

    async def _step(self, worker: Worker, progress: Progress) -> float:
        """Takes one step; the seconds to wait before the next."""
        started = self._clock.monotonic()
        try:
            outcome = await worker.step(started)
        except Exception as error:
            progress.failures_in_a_row += 1
            progress.error = f"{type(error).__name__}: {error}"
            pause: float = min(FIRST_PAUSE_SECONDS * 2.0 ** (progress.failures_in_a_row - 1), LONGEST_PAUSE_SECONDS)
            log.exception("worker step failed", worker=worker.name, again_in_seconds=pause)
            return pause
        progress.failures_in_a_row, progress.error = 0, ""
        ended = self._clock.monotonic()
        if isinstance(outcome, Idle):
            progress.doing = ""
            return max(SHORTEST_IDLE_SECONDS, outcome.until - ended)
        progress.done += outcome.count
        progress.doing = outcome.what
        return (ended - started) * self._rest
