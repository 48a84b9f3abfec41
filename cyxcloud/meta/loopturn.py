"""Lets an event loop do its requests' statements itself, while the writer's thread holds the lock for it.

A statement gives up the interpreter's lock. In a thread of its own each would hand that lock back and forth with the
event loop, which costs five times what the statement does; in the loop's thread nobody waits for it. The thread does
what may wait long: the turn, BEGIN, COMMIT.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

# A loop that does not come to it by then is busy, blocked or has ended: others wait for the lock that is held for it.
PATIENCE_SECONDS = 0.1


class LoopTurn:
    """One piece of work, run in the loop's thread at most once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
        self._loop, self._work = loop, work
        # Let go when the work is done: an Event does the same in twenty steps.
        self._undone = threading.Lock()
        self._undone.acquire()
        self._claims = threading.Lock()
        self._error: BaseException | None = None

    def carry_out(self) -> bool:
        """From the writer's thread: waits until it is done and raises what it raised. False when the loop did not come
        to it, and never will."""
        try:
            self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:  # closed
            return False
        if not self._undone.acquire(timeout=PATIENCE_SECONDS):
            if self._claim():
                return False
            self._undone.acquire()
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        if not self._claim():
            return
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
            self._error = error
        finally:
            self._undone.release()

    def _claim(self) -> bool:
        """Whoever gets it, runs it or declares it not run; it is never given back."""
        return self._claims.acquire(blocking=False)
