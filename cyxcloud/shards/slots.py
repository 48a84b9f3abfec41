"""Where chunks are encoded: slots of one piece of memory that the hosts on this box map as well.

Always the lowest that is free, so that the same pages, which the processor's cache knows, are used again and again.
Where there is none (a host holds them, see wire/sharing.py) the slot is private memory: the put costs a little more.
"""

from __future__ import annotations

from bisect import insort
from mmap import PAGESIZE

from cyxcloud.wire.sharing import SharedMemory, Slot


class Slots:
    """One event loop's. With no bytes, all slots are private."""

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._area: _Area | None = None

    def take(self, size: int) -> Slot:
        """Of just this many bytes, with whatever was left in them; the taker holds it."""
        area = self._area
        if area is None or area.memory.is_retired:
            if size > self._size:
                return _private(size)
            area = self._area = _Area(SharedMemory(self._size))
        return area.take(size) or _private(size)


class _Area:
    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._taken: list[tuple[int, int]] = []  # (from, to), in order

    def take(self, size: int) -> Slot | None:
        start = 0
        wanted = -(-size // PAGESIZE) * PAGESIZE
        for begin, end in self._taken:
            if begin - start >= wanted:
                break
            start = end
        if start + wanted > self.memory.size:
            return None
        insort(self._taken, (start, start + wanted))
        return Slot(self.memory.view[start : start + size], self.memory, start, self._free)

    def _free(self, offset: int) -> None:
        self._taken = [taken for taken in self._taken if taken[0] != offset]


def _private(size: int) -> Slot:
    return Slot(memoryview(bytearray(size)), None, 0, _nothing)


def _nothing(_: int) -> None:
    return None
