"""The numbers of a node's heartbeats: each greater than all before, whatever happens to the process.

The file says up to which number they may have been given out. It is written, and synced, before the first of a stretch
is used, so a crash skips the rest of its stretch and repeats nothing. Where the file is lost (a disk restored from a
copy) the fleet's answer says how far it has seen, and `raise_to` goes on from there.
"""

from __future__ import annotations

from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, write_file

# One write in eight hours of heartbeats.
STRETCH = 1000
# A damaged file or a wrong answer must not use the numbers up.
LARGEST = 1 << 62


class Sequence:
    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self._path, self._disk = path, disk
        self._last = self._reserved = _read(path)

    def take(self) -> int:
        """The next number. OSError where it cannot be reserved: it is not used then."""
        if self._last >= self._reserved:
            self._reserve(self._last)
        self._last += 1
        return self._last

    def raise_to(self, seen: int) -> None:
        """The next one is greater than this."""
        if self._last < seen < LARGEST:
            self._reserve(seen)
            self._last = seen

    def _reserve(self, last: int) -> None:
        upto = last + STRETCH
        write_file(self._path, f"{upto}\n".encode(), disk=self._disk)
        self._reserved = upto


def _read(path: Path) -> int:
    """0 where nothing is written, or nothing that makes sense: the fleet then says where to go on."""
    try:
        text = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return 0
    return min(int(text), LARGEST) if text.isdecimal() and len(text) < 20 else 0
