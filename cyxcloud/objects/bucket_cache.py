"""Bucket rows of late, kept while no bucket of the store has changed, and never for long.

What is authorised on a kept row is right at the moment of the look-up: a change is counted before it is answered. The
transaction that follows looks at the bucket again all the same.
"""

from __future__ import annotations

from cyxcloud.core.clock import Clock
from cyxcloud.meta import buckets
from cyxcloud.meta.bucket_changes import BucketChanges
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow

# A writer that was killed before it counted its change is the reason for any limit.
KEEP_SECONDS = 1.0
# Beyond this the cache is started anew.
MAX_KEPT = 10_000


class BucketCache:
    def __init__(self, reader: Connection, changes: BucketChanges, clock: Clock, limit: int = MAX_KEPT) -> None:
        self._reader, self._changes, self._clock, self._limit = reader, changes, clock, limit
        self._kept: dict[str, BucketRow] = {}
        self._count = -1
        self._until = 0.0

    def find(self, name: str) -> BucketRow | None:
        """Only found rows are kept, so a made-up name takes no memory."""
        # Before the row is read: one that changes meanwhile is then kept under the count before its change.
        count, now = self._changes.count(), self._clock.monotonic()
        if count != self._count or now >= self._until or len(self._kept) >= self._limit:
            self._kept.clear()
            self._count, self._until = count, now + KEEP_SECONDS
        kept = self._kept.get(name)
        if kept is None:
            kept = buckets.read(self._reader, name)
            if kept is not None:
                self._kept[name] = kept
        return kept
