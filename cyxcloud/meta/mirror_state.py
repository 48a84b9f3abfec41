"""Where the mirror of a store's metadata stands and whether it is in step: a small file beside the database.

Every process reads it before it copies and changes it only under the writers' lock, so all agree. It lies in the page
cache and need not survive the power: the next start compares everything anyway. On the mirror itself a file IN-STEP
says that it may be restored from; it is removed before the mirror falls behind (a full disk can still do that), so
that a stale mirror does not pass for a good one when the home is lost.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, remove_file, write_file

NAME = "mirror.state"
GOOD_MARK = "IN-STEP"
# One page, written by one call.
_BYTES = 4096


class Step(StrEnum):
    IN_STEP = "in step"
    STALE = "stale"
    RESTING = "resting"  # a start or a command is about to make it equal


@dataclass(frozen=True, slots=True)
class MainFile:
    """Tells whether a database's main file was written to: nobody but a checkpoint does."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> MainFile:
        status = path.stat()
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class MirrorState:
    """`main` is the home's main file when the mirror's was last equal to it; `apart`: on another filesystem then."""

    folder: Path
    step: Step
    since_ms: int
    reason: str = ""
    main: MainFile = MainFile(0, 0, 0)
    apart: bool = False

    def encode(self) -> bytes:
        fields = asdict(self) | {"folder": str(self.folder)}
        text = json.dumps(fields | {"reason": self.reason[:500]}).encode()
        assert len(text) < _BYTES
        return text.ljust(_BYTES)

    @classmethod
    def decode(cls, data: bytes) -> MirrorState:
        fields = json.loads(data)
        return cls(
            Path(fields["folder"]),
            Step(fields["step"]),
            fields["since_ms"],
            fields["reason"],
            MainFile(**fields["main"]),
            fields["apart"],
        )


class StateFile:
    """One store's; an absent file means that there is no mirror."""

    def __init__(self, meta: Path) -> None:
        self.path = meta / NAME
        self._fd = -1
        self._seen = b""
        self._state: MirrorState | None = None

    def read(self) -> MirrorState | None:
        """Costs one call of the system while nothing changes."""
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        data = os.pread(self._fd, _BYTES, 0)
        if data != self._seen:
            self._state, self._seen = MirrorState.decode(data), data
        return self._state

    def write(self, state: MirrorState) -> None:
        """In place, under the writers' lock."""
        if self.read() is None:
            write_file(self.path, state.encode(), mode=0o600)
            return
        os.pwrite(self._fd, state.encode(), 0)

    def change(self, step: Step, now_ms: int, reason: str = "", main: MainFile | None = None) -> MirrorState:
        before = self.read()
        assert before is not None
        since_ms = before.since_ms if before.step is step else now_ms
        after = replace(before, step=step, since_ms=since_ms, reason=reason, main=main or before.main)
        self.write(after)
        return after

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_state(meta: Path) -> MirrorState | None:
    """The mirror of the database in this folder, None where there is none."""
    file = StateFile(meta)
    try:
        return file.read()
    finally:
        file.close()


def mark_good(folder: Path, disk: Disk = DISK) -> None:
    write_file(folder / GOOD_MARK, b"", disk=disk)


def mark_stale(folder: Path, disk: Disk = DISK) -> None:
    """On the mirror itself; raises OSError where it cannot be written."""
    if folder.is_dir():
        remove_file(folder / GOOD_MARK, disk=disk)
