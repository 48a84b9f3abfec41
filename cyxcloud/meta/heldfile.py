"""A descriptor beside SQLite's own, on a database's main file or its `-shm`: opened once and never closed.

SQLite's locks are POSIX record locks, which the kernel drops when the process closes *any* descriptor of the file. With
its lock gone, a process that still has the database open no longer counts: the next other one to close takes itself
for the last and deletes the log under it.
"""

from __future__ import annotations

import os
from pathlib import Path


class HeldFile:
    """One for each place that reads, for the life of its process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    @property
    def fd(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd
