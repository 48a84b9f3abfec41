"""A count of the commits that changed bucket rows, in memory that all processes of a box share.

After every commit SQLite forgets what a connection has read, so that looking a bucket up for each write costs more than
checking its signature. With this a process may keep rows while the count stands still. A writer counts between COMMIT
and the answer, so that whoever was answered finds every process knowing of it. One that is killed in between has
answered nobody, but the count stands still though rows have changed: keep them for a second at most.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

FILE_NAME = "buckets.count"
_BYTES = 8


class BucketChanges:
    def __init__(self, folder: Path) -> None:
        """Opens the count beside the database, or makes it."""
        fd = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _BYTES:
                # Written, not only sized: a hole that a full disk cannot fill would kill whoever counts.
                os.pwrite(fd, bytes(_BYTES), 0)
            self._cell = memoryview(mmap.mmap(fd, _BYTES)).cast("Q")
        finally:
            os.close(fd)

    def count(self) -> int:
        return self._cell[0]

    def add(self) -> None:
        """One more; the caller has the writers' turn."""
        self._cell[0] = (self._cell[0] + 1) % (1 << 64)
