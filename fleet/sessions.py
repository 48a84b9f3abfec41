"""Closes the write sessions of processes that are gone.

The supervisor says which died; of others the beat is watched by this process's own monotonic clock, so that no jump
of a wall clock closes the session of a living writer, and ten minutes of standing still is the only other sign of
death.
"""

from __future__ import annotations

import structlog

from cyxcloud.core.ids import SessionNumber
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import sessions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

WATCH_SECONDS = 30.0
LAPSE_SECONDS = 600.0


class SessionWatch:
    name = "session-watch"

    def __init__(self, reader: Connection, writer: Writer, clock: CoordinatorClock) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._seen: dict[SessionNumber, tuple[int, float]] = {}

    async def close(self, number: SessionNumber) -> bool:
        """Its process is known to be dead."""
        now_ms = self._clock.now_ms()
        return await self._writer.submit(lambda conn: sessions.close(conn, number, now_ms))

    async def step(self, now: float) -> Did | Idle:
        await self.close_lapsed(now)
        return Idle(now + WATCH_SECONDS)

    async def close_lapsed(self, now: float) -> None:
        """Closes those whose beat has stood still for too long."""
        rows = sessions.open_ones(self._reader)
        seen: dict[SessionNumber, tuple[int, float]] = {}
        for row in rows:
            number = SessionNumber(row.number)
            before = self._seen.get(number)
            still = before is not None and before[0] == row.beat
            seen[number] = before if still and before is not None else (row.beat, now)
        self._seen = seen
        lapsed = [(number, beat) for number, (beat, since) in seen.items() if now - since >= LAPSE_SECONDS]
        if lapsed:
            now_ms = self._clock.now_ms()
            closed = await self._writer.submit(lambda conn: sessions.close_lapsed(conn, lapsed, now_ms))
            log.warning("write sessions lapsed", closed=closed)
