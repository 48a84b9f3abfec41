"""What the filesystem of a new node can do, tried out before anything is stored on it."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_SIZE = 1 << 16


@dataclass(frozen=True, slots=True)
class Abilities:
    punches: bool
    allocates: bool
    syncs: bool

    @property
    def fallbacks(self) -> list[str]:
        """What goes another way, for people."""
        notes = []
        if not self.punches:
            notes.append(
                "this filesystem cannot punch holes: room of deleted shards comes back when packs are rewritten"
            )
        if not self.allocates:
            notes.append("this filesystem cannot reserve room: a full disk is noticed when it is written to")
        return notes


def look(folder: Path) -> Abilities:
    """In a temporary file in this folder, which is made if need be. OSError where not even a synced write works."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        fd = file.fileno()
        os.write(fd, bytes(_SIZE))
        os.fdatasync(fd)
        return Abilities(punches=_can(fd, _PUNCH), allocates=_can(fd, 0), syncs=True)


def _can(fd: int, mode: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    off = ctypes.c_int64
    if libc.fallocate(fd, ctypes.c_int(mode), off(0), off(_SIZE // 2)) == 0:
        return True
    return ctypes.get_errno() not in {errno.EOPNOTSUPP, errno.ENOSYS}
