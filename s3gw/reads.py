"""The reads that run in this worker, and when the oldest of them began.

What was deleted stays on the nodes for as long as a read may need it; so each beat of the worker's session says since
when there are reads (fleet/trash.py). Kept by the monotonic clock: the store's may be corrected while a read runs.
"""

from __future__ import annotations

from cyxcloud.core.clock import Clock


class RunningReads:
    __slots__ = ("_began", "_clock", "_next")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[int, float] = {}
        self._next = 0

    def begin(self) -> int:
        """Before anything of the object is looked up; gives what `end` is called with."""
        self._next += 1
        self._began[self._next] = self._clock.monotonic()
        return self._next

    def end(self, number: int) -> None:
        del self._began[number]

    def since_ms(self, now_ms: int) -> int:
        """When the oldest began, by the clock that says `now_ms`; now where none runs."""
        first = next(iter(self._began.values()), None)
        return now_ms if first is None else now_ms - int((self._clock.monotonic() - first) * 1000)
