"""Where a store keeps what, and the lock that lets only one instance serve it.

The lock is a flock on DIR/run/lock, held by the supervisor and inherited by its processes: while one of them still
lives (the supervisor was killed a moment ago) nobody else opens the same packs. The kernel gives it up with the last of
them, so there is no stale lock to clean.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class AlreadyRunning(Exception):
    """Another instance serves this folder, or its last processes have not ended yet."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(f"{folder} is served by another cyxcloud (process {holder}); stop it or give another --data")
        self.holder_lives = holder.isdecimal() and Path(f"/proc/{holder}").exists()


@dataclass(frozen=True, slots=True)
class Home:
    """The first --data folder: database, keys and run files; every --data folder holds nodes."""

    path: Path
    more: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Home:
        resolved = [folder.expanduser().resolve() for folder in folders]
        return cls(resolved[0], tuple(resolved[1:]))

    @property
    def data_dirs(self) -> tuple[Path, ...]:
        return (self.path, *self.more)

    @property
    def meta(self) -> Path:
        return self.path / "meta"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def roles(self) -> Path:
        """Who runs, written by the supervisor for `status`."""
        return self.run / "roles.json"

    @property
    def root_credentials(self) -> Path:
        """The root key in the AWS tools' own format, readable by the owner alone."""
        return self.keys / "root-credentials"

    def node_socket(self, process: int) -> Path:
        return self.run / f"nodes-{process}.sock"

    def session_file(self, slot: int) -> Path:
        return self.run / f"gateway-{slot}.session"


def take_locks(home: Home) -> list[int]:
    """Descriptors of the locks of every data folder, or AlreadyRunning."""
    held: list[int] = []
    try:
        for file in (home.lock, *(folder / "lock" for folder in home.more)):
            held += [_take(file)]
    except AlreadyRunning:
        for fd in held:
            os.close(fd)
        raise
    return held


@contextmanager
def stopped(home: Home) -> Iterator[None]:
    """Nobody serves the store meanwhile; AlreadyRunning where somebody does."""
    held = take_locks(home)
    try:
        yield
    finally:
        for fd in held:
            os.close(fd)


def is_running(home: Home) -> bool:
    """Whether some instance holds the store's lock."""
    try:
        fd = os.open(home.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _take(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        folder = file.parent.parent if file.parent.name == "run" else file.parent
        raise AlreadyRunning(folder, holder) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd
