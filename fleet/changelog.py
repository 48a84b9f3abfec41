"""Trims the log of changes: what all readers of a bucket have seen, and what nobody came for in time."""

from __future__ import annotations

from cyxcloud.core.ids import BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import changes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer
from fleet.storeclock import CoordinatorClock

LOOK_SECONDS = 60.0
BATCH = 1000
PAGE_BUCKETS = 200


class ChangeTrim:
    name = "changes"

    def __init__(self, reader: Connection, writer: Writer, clock: CoordinatorClock, keep_seconds: float) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._keep_ms = int(keep_seconds * 1000)
        self._after = -1

    async def step(self, now: float) -> Did | Idle:
        """A page of buckets; each is cut until nothing of it is too many."""
        page = changes.slowest(self._reader, self._after, PAGE_BUCKETS)
        gone = 0
        for bucket, seen in page:
            gone += await self._trim(bucket, seen)
        self._after = page[-1][0] if len(page) == PAGE_BUCKETS else -1
        if gone or self._after != -1:
            return Did(gone, "trimming changes")
        return Idle(now + LOOK_SECONDS)

    async def _trim(self, bucket: BucketId, seen: int) -> int:
        before_ms = self._clock.now_ms() - self._keep_ms
        if not changes.is_due(self._reader, bucket, seen=seen, before_ms=before_ms):
            return 0
        return await self._writer.submit(
            lambda conn: changes.trim(conn, bucket, seen=seen, before_ms=before_ms, limit=BATCH)
        )
