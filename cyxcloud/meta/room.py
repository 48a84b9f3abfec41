"""How much room the metadata's disk has left: bodies are refused before deleting could fail for want of it.

Removing an object writes rows before any are given back. So what adds data stops while there is a reserve, and what
removes it goes on to the last page. Asking the kernel gives up the interpreter's lock, so a good answer holds for a
moment, in which no disk fills a reserve; a bad one is never remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.meta.errors import StorageFull

# Room for thousands of deletes: each takes a few pages of the write-ahead log, which is emptied at half of this.
RESERVE_BYTES = 32 << 20
GOOD_SECONDS = 0.05
# Of a disk too small for that.
LARGEST_SHARE = 8


@dataclass(slots=True)
class Room:
    folder: Path
    disk: Disk = DISK
    clock: Clock = field(default_factory=SystemClock)
    _good_until: float = -math.inf

    def assert_left(self) -> None:
        """Raises StorageFull where only the reserve is left."""
        now = self.clock.monotonic()
        if now < self._good_until:
            return
        status = self.disk.statvfs(self.folder)
        reserve = min(RESERVE_BYTES, status.f_blocks * status.f_frsize // LARGEST_SHARE)
        if status.f_bavail * status.f_frsize < reserve:
            raise StorageFull("the metadata disk has only its reserve left")
        self._good_until = now + GOOD_SECONDS
