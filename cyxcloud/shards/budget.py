"""A bound on bytes held in memory, shared by everything a worker does at once.

Waiters are served strictly in order, so that a big request is never starved by small ones. A request above the limit
counts as the limit: it is let in alone instead of waiting for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    def __init__(self, limit: int) -> None:
        assert limit > 0
        self.limit = limit
        self.used = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def reserve(self, size: int) -> None:
        """Take `size` bytes, waiting in line for them; give them back with `release` of the same size."""
        if self.try_reserve(size):
            return
        granted = asyncio.get_running_loop().create_future()
        self._waiters.append((min(size, self.limit), granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(size)
            else:
                granted.cancel()
                self._wake()
            raise

    def try_reserve(self, size: int) -> bool:
        """Take `size` bytes if that needs no waiting and passes nobody."""
        wanted = min(size, self.limit)
        if self._waiters or self.used + wanted > self.limit:
            return False
        self.used += wanted
        return True

    def release(self, size: int) -> None:
        self.used -= min(size, self.limit)
        assert self.used >= 0, "released more than was reserved"
        self._wake()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        await self.reserve(size)
        try:
            yield
        finally:
            self.release(size)

    def _wake(self) -> None:
        while self._waiters:
            wanted, granted = self._waiters[0]
            if not granted.cancelled():
                if self.used + wanted > self.limit:
                    return
                self.used += wanted
                granted.set_result(None)
            self._waiters.popleft()
