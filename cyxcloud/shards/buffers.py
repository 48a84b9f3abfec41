"""Big buffers that are used again: a new one is zeroed and its pages fault in, which costs as much as hashing it."""

from __future__ import annotations

from collections import deque

# Smaller ones are made as fast as they are found.
SMALLEST_BYTES = 128 * 1024


class BufferPool:
    """Keeps what was given back last, up to so many bytes; one event loop's."""

    def __init__(self, idle_bytes: int) -> None:
        self._room = idle_bytes
        self._idle: deque[bytearray] = deque()

    def take(self, size: int) -> bytearray:
        """Of just this size, with whatever its last user left in it."""
        idle = self._idle
        for at in range(len(idle) - 1, -1, -1):
            if len(idle[at]) == size:
                buffer = idle[at]
                del idle[at]
                self._room += size
                return buffer
        return bytearray(size)

    def give(self, buffer: bytearray) -> None:
        """Nobody reads or writes it any more."""
        if len(buffer) < SMALLEST_BYTES:
            return
        self._idle.append(buffer)
        self._room -= len(buffer)
        while self._room < 0:
            self._room += len(self._idle.popleft())
