"""Breaks off answers that nobody takes: a read holds part of the worker's byte budget until its client took the bytes.

One timer a worker looks at every connection with an answer under way, so that a write costs an addition. A client that
takes next to nothing while bytes wait for it is cut off; one that is only slow is not, nor one that waits for us. What
was handed over last is watched until it is gone, since it is memory as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# S3 gives a silent uploader about as long.
STALL_SECONDS = 30.0
# Less than this in that time is no use of a connection: a 9.6 kbit/s modem is faster.
LEAST_BYTES = 32 << 10
CHECK_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Sending:
    """One connection: bytes `given` to it in all, and how many it had `taken` when it last moved."""

    transport: asyncio.WriteTransport
    moved_at: float
    given: int = 0
    taken: int = 0
    is_busy: bool = True

    def is_stalled(self, now: float, stall_seconds: float) -> bool:
        waiting = self.transport.get_write_buffer_size()
        taken = self.given - waiting
        if not waiting or taken - self.taken >= LEAST_BYTES:
            self.taken, self.moved_at = taken, now
            return False
        return now - self.moved_at >= stall_seconds

    @property
    def is_over(self) -> bool:
        return not self.is_busy and not self.transport.get_write_buffer_size()


class SendWatch:
    """Of one event loop."""

    def __init__(self, stall_seconds: float = STALL_SECONDS, check_seconds: float = CHECK_SECONDS) -> None:
        self._stall_seconds, self._check_seconds = stall_seconds, check_seconds
        self._watched: dict[asyncio.WriteTransport, Sending] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watched(self, transport: asyncio.WriteTransport) -> Iterator[Sending]:
        """While an answer is written; add to `given` before each write."""
        loop = asyncio.get_running_loop()
        sending = self._watched.setdefault(transport, Sending(transport, loop.time()))
        sending.is_busy = True
        if self._timer is None:
            self._timer = loop.call_later(self._check_seconds, self._check, loop)
        try:
            yield sending
        finally:
            sending.is_busy = False
            if sending.is_over:
                self._watched.pop(transport, None)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for sending in list(self._watched.values()):
            if sending.is_stalled(now, self._stall_seconds):
                sending.transport.abort()
                sending.is_busy = False
            if sending.is_over:
                self._watched.pop(sending.transport, None)
        self._timer = loop.call_later(self._check_seconds, self._check, loop) if self._watched else None
