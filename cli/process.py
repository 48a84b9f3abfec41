"""One child process that is kept alive until it is told to end.

A child that dies is started again after a pause that grows with each early death and is forgotten once it lived a
while. The death is reported before the successor starts, so that whoever must know (the coordinator closes its write
session) hears of it in this order.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from cyxcloud.core.worker import wait_for

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0  # whatever killed it so often, it serves again within ten seconds of the last time
SETTLED_SECONDS = 30.0  # who lived as long died of something new
GRACE_SECONDS = 20.0  # requests in flight may end before the process is killed


@dataclass(frozen=True, slots=True)
class Role:
    """What to start; `kind` and `endpoint` are what status shows of it."""

    kind: str
    number: int
    endpoint: str
    command: tuple[str, ...]
    fds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}"


@dataclass(frozen=True, slots=True)
class Death:
    role: Role
    pid: int
    code: int


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next start (pure)."""

    early_deaths: int = 0

    def after(self, lived_seconds: float) -> float:
        self.early_deaths = 1 if lived_seconds >= SETTLED_SECONDS else self.early_deaths + 1
        return min(FIRST_PAUSE_SECONDS * 2.0 ** (self.early_deaths - 1), LONGEST_PAUSE_SECONDS)


@dataclass(slots=True)
class Keeper:
    """Keeps one role's process alive. `on_change` hears of every start and end, `on_death` of unwanted ends first."""

    role: Role
    environment: Mapping[str, str]
    on_change: Callable[[], None]
    on_death: Callable[[Death], Awaitable[None]]
    backoff: Backoff = field(default_factory=Backoff)
    starts: int = 0
    _process: asyncio.subprocess.Process | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def keep(self) -> None:
        """Runs until stop(); raises nothing of the child's."""
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            started = loop.time()
            death = await self._live_once()
            if self._stop.is_set():
                return
            pause = self.backoff.after(loop.time() - started)
            log.warning("process died", process=self.role.name, pid=death.pid, code=death.code, again_in_seconds=pause)
            await self.on_death(death)
            await wait_for(self._stop, pause)

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Asks the process to end and waits; kills it after the grace."""
        self._stop.set()
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), grace_seconds)
        except TimeoutError:
            log.warning("process did not end in time and is killed", process=self.role.name, pid=process.pid)
            self.kill()
            await process.wait()

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _live_once(self) -> Death:
        process = await asyncio.create_subprocess_exec(
            *self.role.command,
            env=dict(self.environment),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=self.role.fds,
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which ends the others in order
        )
        self._process = process
        self.starts += 1
        self.on_change()
        if self._stop.is_set():  # told to end while the process was being made
            process.terminate()
        code = await process.wait()
        self._process = None
        self.on_change()
        return Death(self.role, process.pid, code)
