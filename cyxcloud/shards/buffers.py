"""Big buffers that are used again: a new one is zeroed and its pages fault in, which costs as much as hashing it."""

from __future__ import annotations

from collections import deque


class BufferPool:
    """Buffers of one size; keeps at most `idle` that nobody uses. Safe to use from threads."""

    def __init__(self, size: int, idle: int) -> None:
        self.size = size
        self._idle: deque[bytearray] = deque(maxlen=idle)

    def take(self) -> bytearray:
        """With whatever its last user left in it."""
        try:
            return self._idle.pop()
        except IndexError:
            return bytearray(self.size)

    def give(self, buffer: bytearray) -> None:
        """Nobody reads or writes it any more."""
        if len(buffer) == self.size:
            self._idle.append(buffer)
