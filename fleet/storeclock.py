"""The store's time: the wall clock at start, never going back, then this process's monotonic clock.

A wall clock that is set forward or back while the store runs changes nothing: locks, grace and expiry go by this. A
small drift is followed forward.
"""

from __future__ import annotations

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer

log = structlog.get_logger(__name__)

TICK_SECONDS = 5.0
# A wall clock further off than this was set, not adjusted; it is followed only when an operator says so.
MAX_DRIFT_MS = 5 * 60 * 1000


class CoordinatorClock:
    name = "store-clock"

    def __init__(self, clock: Clock, reader: Connection, writer: Writer) -> None:
        self._clock, self._writer = clock, writer
        kept = cluster.clock(reader)
        start_ms = clock.now_ms() if kept is None else max(kept[0], clock.now_ms())
        self._offset_ms = start_ms - int(clock.monotonic() * 1000)
        self._warned = False

    def now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000) + self._offset_ms

    async def step(self, now: float) -> Did | Idle:
        wall_ms = self._clock.now_ms()
        drift_ms = wall_ms - self.now_ms()
        if abs(drift_ms) > MAX_DRIFT_MS:
            if not self._warned:
                log.warning("the wall clock was set and is not followed", off_by_seconds=drift_ms // 1000)
            self._warned = True
        else:
            self._warned = False
            self._offset_ms += max(0, drift_ms)
        now_ms = self.now_ms()
        await self._writer.submit(lambda conn: cluster.tick(conn, now_ms, wall_ms))
        return Idle(now + TICK_SECONDS)
