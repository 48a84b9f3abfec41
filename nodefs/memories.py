"""The memory that processes on this box share with the host: each by its number, as long as its owner stays connected.

A put takes views of it, so that a mapping outlives its owner's connection until no round writes from it any more.
"""

from __future__ import annotations

from cyxcloud.wire.sharing import MemoryRefused, map_shared
from cyxcloud.wire.status import WireError

# Two workers a core have one each, and for a moment another one; this only bounds a process gone wrong.
MOST_MEMORIES = 256
MOST_BYTES = 256 << 20


class Memories:
    def __init__(self) -> None:
        self._views: dict[int, memoryview] = {}

    def __len__(self) -> int:
        return len(self._views)

    def add(self, number: int, fd: int, size: int) -> None:
        """Takes the descriptor over. MemoryRefused where this cannot be mapped."""
        view = map_shared(fd, min(size, MOST_BYTES))
        if number in self._views or len(self._views) >= MOST_MEMORIES or len(view) != size:
            raise MemoryRefused("a number that is taken, or too much memory")
        self._views[number] = view

    def remove(self, number: int) -> None:
        del self._views[number]

    def view(self, number: int) -> memoryview:
        try:
            return self._views[number]
        except KeyError:
            raise WireError("a put from memory that is not shared") from None
