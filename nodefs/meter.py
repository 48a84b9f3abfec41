"""What a node's requests were like since somebody last asked: how many, how long, how many failed."""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.clock import Clock
from cyxcloud.wire.status import Status

# What is the node's own fault; that a shard is not there, or another one is, is an answer like any other.
_FAULTS = bytes([Status.DOWN, Status.CORRUPT, Status.BUSY, Status.IO_ERROR])


@dataclass(frozen=True, slots=True)
class Load:
    requests_per_minute: int
    avg_latency_ms: float
    failed: int  # since the process began


class Meter:
    """`answered` is called in the event loop: for each get, and each disk's part of a put."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._count = 0
        self._seconds = 0.0
        self._failed = 0

    def answered(self, seconds: float, statuses: bytes) -> None:
        self._count += 1
        self._seconds += seconds
        if statuses.translate(None, _FAULTS) != statuses:
            self._failed += 1

    def take(self) -> Load:
        now = self._clock.monotonic()
        minutes = max(now - self._since, 0.001) / 60
        load = Load(
            requests_per_minute=round(self._count / minutes),
            avg_latency_ms=self._seconds * 1000 / self._count if self._count else 0.0,
            failed=self._failed,
        )
        self._since, self._count, self._seconds = now, 0, 0.0
        return load
