"""Keeping one real child process alive."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cli.process import LONGEST_PAUSE_SECONDS, Backoff, Death, Keeper, Role

PATIENT = "import time; time.sleep(60)"


class Watched:
    """A keeper of a Python one-liner, and what it reported."""

    def __init__(self, code: str, fds: tuple[int, ...] = ()) -> None:
        self.deaths: list[Death] = []
        self.changes: list[int | None] = []
        role = Role("gateway", 3, "http://x", (sys.executable, "-c", code), fds)
        self.keeper = Keeper(role, dict(os.environ), self._changed, self._died)

    def _changed(self) -> None:
        self.changes.append(self.keeper.pid)

    async def _died(self, death: Death) -> None:
        assert self.keeper.pid is None, "the successor must not run before the death was reported"
        self.deaths.append(death)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_killed_process_is_reported_and_restarted() -> None:
    watched = Watched(PATIENT)
    task = asyncio.create_task(watched.keeper.keep())
    await until(lambda: watched.keeper.pid)
    first = watched.keeper.pid
    watched.keeper.kill()
    await until(lambda: watched.keeper.starts == 2 and watched.keeper.pid)
    assert [(death.pid, death.code) for death in watched.deaths] == [(first, -9)]
    await watched.keeper.stop()
    await task
    assert watched.changes == [first, None, watched.changes[2], None]


async def test_stop_ends_it_without_a_death() -> None:
    watched = Watched(PATIENT)
    task = asyncio.create_task(watched.keeper.keep())
    await until(lambda: watched.keeper.pid)
    pid = watched.keeper.pid
    assert pid is not None
    await watched.keeper.stop()
    await task
    assert watched.deaths == []
    assert not alive(pid)


async def test_stubborn_process_is_killed_after_the_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"import signal, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch(); {PATIENT}"
    watched = Watched(code)
    task = asyncio.create_task(watched.keeper.keep())
    await until(ready.exists)
    pid = watched.keeper.pid
    assert pid is not None
    await watched.keeper.stop(grace_seconds=0.05)
    await task
    assert not alive(pid)


async def test_stop_during_the_pause_starts_nothing_more() -> None:
    watched = Watched("raise SystemExit(7)")
    task = asyncio.create_task(watched.keeper.keep())
    await until(lambda: watched.deaths)
    await watched.keeper.stop()
    await task
    assert watched.deaths[0].code == 7
    assert watched.keeper.pid is None


async def test_descriptors_are_inherited_across_restarts() -> None:
    read, write = os.pipe()
    watched = Watched(f"import os; os.write({write}, b'x')", (write,))
    task = asyncio.create_task(watched.keeper.keep())
    await until(lambda: len(watched.deaths) == 2)
    await watched.keeper.stop()
    await task
    assert os.read(read, 10)[:2] == b"xx"
    os.close(read)
    os.close(write)


def test_backoff_grows_is_bounded_and_forgets() -> None:
    backoff = Backoff()
    pauses = [backoff.after(0.5) for _ in range(12)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert backoff.after(3600) == 0.1
