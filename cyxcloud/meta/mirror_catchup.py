"""Makes a mirror equal to its home again: differing blocks of the main file, then the whole log.

The main file is read while nobody checkpoints (the caller sees to that; where somebody did all the same, nothing is
promised and the caller tries again). Only the last step, copying the log, needs the writers' lock. From before its
first change until it is whole the mirror lacks its mark: a crash leaves it so, and everything is done again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import DISK, Disk, fsync_dir, make_dirs, write_all, write_file
from cyxcloud.meta.heldfile import HeldFile
from cyxcloud.meta.mirror import DATABASE, FAULTS, OutOfStep, checkpoint_file, copy_log, renew_log
from cyxcloud.meta.mirror_state import MainFile, MirrorState, StateFile, Step, mark_good, mark_stale, read_state
from cyxcloud.meta.turns import open_lock, turn
from cyxcloud.meta.walindex import WalIndex

MARKER = "mirror.json"
FORMAT = 1
BLOCK_BYTES = 1 << 20


class MirrorRefused(Exception):
    """The folder cannot be this store's mirror; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class HomeFiles:
    """What is read of the home beside SQLite; one for a process that catches up again and again."""

    main: HeldFile
    index: WalIndex

    @classmethod
    def of(cls, database: Path) -> HomeFiles:
        return cls(HeldFile(database), WalIndex(database))


@dataclass(frozen=True, slots=True)
class CaughtUp:
    compared_bytes: int
    copied_bytes: int


def prepare(database: Path, folder: Path, cluster_id: bytes, disk: Disk = DISK) -> None:
    """The folder of a mirror, made where it is absent; one of another store is refused."""
    _refuse_unmounted(database, folder)
    known = read_marker(folder)
    if known is not None and known != cluster_id:
        raise MirrorRefused(f"{folder} is the mirror of another store: give another folder, or move it away")
    if known is None:
        if folder.exists() and any(folder.iterdir()):
            raise MirrorRefused(f"{folder} is not empty and no mirror: give an empty folder for the metadata's mirror")
        make_dirs(folder, mode=0o700, disk=disk)
        write_file(folder / MARKER, json.dumps({"format": FORMAT, "cluster_id": cluster_id.hex()}).encode(), disk=disk)
    StateFile(database.parent).write(
        MirrorState(folder, Step.RESTING, 0, "about to be made equal", apart=_apart(database, folder))
    )


def read_marker(folder: Path) -> bytes | None:
    """The cluster whose mirror this is."""
    try:
        return bytes.fromhex(json.loads((folder / MARKER).read_text())["cluster_id"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise MirrorRefused(f"{folder / MARKER} cannot be read ({error}): move {folder} away") from error


def rest(meta: Path, clock: Clock | None = None) -> None:
    """From here on nobody copies, until `catch_up`."""
    state = StateFile(meta)
    if state.read() is not None:
        state.change(Step.RESTING, (clock or SystemClock()).now_ms(), "about to be made equal")
    state.close()


def settle(folder: Path, disk: Disk = DISK) -> None:
    """Fold the mirror's own log into its main file, while nobody copies; what cannot be folded loses its mark."""
    if not (folder / DATABASE).exists():
        return
    try:
        checkpoint_file(folder / DATABASE)
    except (sqlite3.Error, OutOfStep):
        mark_stale(folder, disk)


def fold(database: Path) -> None:
    """Move the home's own log into its main file, while no server runs: the last to close would do it unseen."""
    lock_fd = open_lock(database.parent)
    try:
        with turn(lock_fd), closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as driver:
            driver.execute("PRAGMA synchronous=FULL")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        os.close(lock_fd)


def catch_up(
    database: Path, *, files: HomeFiles | None = None, disk: Disk = DISK, clock: Clock | None = None
) -> CaughtUp | None:
    """None where somebody checkpointed meanwhile. Raises one of FAULTS where the mirror's disk does not work."""
    state_file = StateFile(database.parent)
    state = state_file.read()
    assert state is not None
    _check_folder(database, state)
    home = files or HomeFiles.of(database)
    with closing(_opened(database)):
        before = MainFile.of(database)
        if _has_log(state.folder):
            mark_stale(state.folder, disk)
            renew_log(state.folder, disk)
        copied = _copy_main(home.main.fd, before.size, state.folder, disk)
        lock_fd = open_lock(database.parent)
        try:
            with turn(lock_fd):
                if MainFile.of(database) != before:
                    return None
                _copy_log(database, home.index.position().end, state.folder, disk)
                mark_good(state.folder, disk)
                state_file.change(Step.IN_STEP, (clock or SystemClock()).now_ms(), main=before)
        finally:
            os.close(lock_fd)
    state_file.close()
    return CaughtUp(before.size, copied)


def _check_folder(database: Path, state: MirrorState) -> None:
    """A folder that is gone, or whose disk is not mounted, is not made again here: it may come back."""
    if read_marker(state.folder) is None:
        raise OSError(f"{state.folder} is gone")
    _refuse_unmounted(database, state.folder)


def _refuse_unmounted(database: Path, folder: Path) -> None:
    state = read_state(database.parent)
    if state is not None and state.folder == folder and state.apart and not _apart(database, folder):
        raise OSError(f"{folder} stands on the home's own disk: is its disk mounted?")


def _apart(database: Path, folder: Path) -> bool:
    """Whether it is, or would be made, on another filesystem than the home's."""
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    return existing.stat().st_dev != database.parent.stat().st_dev


def _opened(database: Path) -> sqlite3.Connection:
    """A connection that keeps the log and its index in being."""
    driver = sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    driver.execute("PRAGMA query_only=1")
    driver.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return driver


def _has_log(folder: Path) -> bool:
    path = folder / f"{DATABASE}-wal"
    return not path.exists() or path.stat().st_size > 0


def _copy_main(home: int, size: int, folder: Path, disk: Disk) -> int:
    """Gives how many bytes differed."""
    path = folder / DATABASE
    if not path.exists():
        mark_stale(folder, disk)
    fd = disk.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    copied = 0
    try:
        length = disk.fstat(fd).st_size
        for offset, block in _differing(home, fd, size, disk):
            if not copied:
                mark_stale(folder, disk)
            copied += write_all(fd, [block], offset, disk)
        if length > size:
            mark_stale(folder, disk)
            disk.truncate(fd, size)
        disk.fsync(fd)
        fsync_dir(folder, disk=disk)
    finally:
        disk.close(fd)
    return copied


def _differing(home: int, fd: int, size: int, disk: Disk) -> Iterator[tuple[int, bytes]]:
    for offset in range(0, size, BLOCK_BYTES):
        block = os.pread(home, min(BLOCK_BYTES, size - offset), offset)
        if disk.pread(fd, len(block), offset) != block:
            yield offset, block


def _copy_log(database: Path, end: int, folder: Path, disk: Disk) -> None:
    source = os.open(f"{database}-wal", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = disk.open(folder / f"{DATABASE}-wal", os.O_RDWR)
        try:
            copy_log(source, target, 0, end, disk)
            disk.fsync(target)
        finally:
            disk.close(target)
    finally:
        os.close(source)


__all__ = [
    "FAULTS",
    "CaughtUp",
    "HomeFiles",
    "MirrorRefused",
    "catch_up",
    "fold",
    "prepare",
    "read_marker",
    "rest",
    "settle",
]
