"""How much room a disk has left: asked of the filesystem now and then, counted down in between.

Writes stop at the reserve, so that deletes (tombstones, orders, the index) still work on a full disk. Nodes on one
filesystem share one DiskSpace, since what one writes the others no longer have.
"""

from __future__ import annotations

from pathlib import Path

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk

# 1/64 of the filesystem, within these: tombstones and index of the fullest disk fit many times over.
_LEAST_RESERVE = 1 << 20
_MOST_RESERVE = 4 << 30
_REFRESH_SECONDS = 0.5


class DiskSpace:
    def __init__(self, path: Path, clock: Clock, disk: Disk = DISK) -> None:
        self._path = path
        self._clock = clock
        self._disk = disk
        self._looked_at = float("-inf")
        self.sharers = 0  # nodes on this filesystem: each reports its share
        self.total_bytes = 0
        self.room_bytes = 0
        self.refresh()

    def stands_at(self, path: Path) -> None:
        """A folder of this filesystem that is there, where the one before may be gone."""
        self._path = path

    def refresh(self) -> None:
        """Cheap enough to call before every round: it asks the kernel only when the answer is old."""
        now = self._clock.monotonic()
        if now - self._looked_at < _REFRESH_SECONDS:
            return
        status = self._disk.statvfs(self._path)
        self._looked_at = now
        self.total_bytes = status.f_blocks * status.f_frsize
        self.room_bytes = status.f_bavail * status.f_frsize - self.reserve_bytes

    @property
    def reserve_bytes(self) -> int:
        return min(_MOST_RESERVE, max(_LEAST_RESERVE, self.total_bytes >> 6))

    def take(self, size: int) -> bool:
        """Whether a record of this size may be written."""
        if size > self.room_bytes:
            return False
        self.room_bytes -= size
        return True
