"""Pace, back-off and end of background work, with a clock that only moves when a worker waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.worker import LONGEST_PAUSE_SECONDS, Did, Idle, Runner

Step = Callable[[float], Did | Idle]


class Scripted:
    """A worker that plays a list of steps and then stops its runner."""

    def __init__(self, *steps: Step, name: str = "scripted") -> None:
        self.name = name
        self.steps = list(steps)
        self.times: list[float] = []
        self.runner: Runner | None = None

    async def step(self, now: float) -> Did | Idle:
        self.times.append(now)
        outcome = self.steps.pop(0)
        if not self.steps:
            assert self.runner is not None
            self.runner.stop()
        return outcome(now)


def run(*workers: Scripted, rest: float = 0.0) -> tuple[Runner, list[float]]:
    clock = ManualClock()
    pauses: list[float] = []

    async def wait(_event: asyncio.Event, seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)
        await asyncio.sleep(0)

    runner = Runner(workers, clock, rest=rest, wait=wait)
    for worker in workers:
        worker.runner = runner
        if rest:
            worker.steps = [_taking(clock, step) for step in worker.steps]
    asyncio.run(runner.run())
    return runner, pauses


def _taking(clock: ManualClock, step: Step) -> Step:
    def slow(now: float) -> Did | Idle:
        clock.advance(2.0)
        return step(now)

    return slow


def did(_now: float) -> Did:
    return Did(3, "things")


def fails(_now: float) -> Did:
    raise OSError("disk full")


def idle_for(seconds: float) -> Step:
    return lambda now: Idle(now + seconds)


def test_step_that_did_something_is_followed_at_once() -> None:
    runner, pauses = run(Scripted(did, did, did))
    assert pauses == []
    assert runner.progress["scripted"].done == 9


def test_idle_worker_waits_until_its_time() -> None:
    worker = Scripted(idle_for(30), did, idle_for(5), did)
    _, pauses = run(worker)
    assert pauses == [30, 5]
    assert worker.times == [0, 30, 30, 35]


def test_idle_until_the_past_does_not_spin() -> None:
    _, pauses = run(Scripted(idle_for(-10), did))
    assert pauses == [0.01]


def test_failures_back_off_and_success_forgets_them() -> None:
    runner, pauses = run(Scripted(fails, fails, fails, did, fails, did))
    assert pauses == [1, 2, 4, 1]
    assert runner.progress["scripted"].failures_in_a_row == 0


def test_failure_is_shown_and_its_pause_bounded() -> None:
    runner, pauses = run(Scripted(*[fails] * 15))
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert runner.progress["scripted"].error == "OSError: disk full"


def test_rest_follows_each_step_in_proportion() -> None:
    _, pauses = run(Scripted(did, did, did), rest=1.5)
    assert pauses == [3, 3]


def test_failing_worker_leaves_others_running() -> None:
    good, bad = Scripted(did, did, idle_for(1), did, name="good"), Scripted(fails, *[did] * 50, name="bad")
    runner, _ = run(good, bad)
    assert runner.progress["good"].done >= 6
    assert good.steps == []


async def test_wake_ends_a_real_wait() -> None:
    worker = Scripted(idle_for(3600), did)
    runner = Runner([worker], ManualClock())
    worker.runner = runner
    task = asyncio.create_task(runner.run())
    while len(worker.times) < 1:
        await asyncio.sleep(0)
    runner.wake("scripted")
    await asyncio.wait_for(task, 5)
    assert runner.progress["scripted"].done == 3


async def test_stop_ends_an_idle_worker() -> None:
    worker = Scripted(idle_for(3600), did)
    runner = Runner([worker], ManualClock())
    worker.runner = runner
    task = asyncio.create_task(runner.run())
    while len(worker.times) < 1:
        await asyncio.sleep(0)
    runner.stop()
    await asyncio.wait_for(task, 5)
    assert len(worker.times) == 1
