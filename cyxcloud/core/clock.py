"""Time as an argument: nothing but this file asks the system what time it is (tests hand in their own)."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some instant; never goes back."""
        ...


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved; kept beside the real one for tests and simulation."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.wall_ms = now_ms
        self.elapsed = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.elapsed

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall_ms += int(seconds * 1000)
