"""A second copy of the database on another disk, as new as every answer that was given.

Whoever holds the writers' lock copies the log's new bytes to the mirror's log after its COMMIT, and syncs them before
any result is given out. Main files are equal whenever the mirror's log is empty; a checkpoint is carried out on both,
by the coordinator alone. A mirror that cannot follow (its disk fails, the log was begun anew by somebody else) is
*stale*: writes go on, everybody is told, and `catch_up` makes it equal again.

Crash: between COMMIT and copy the bytes are missing, and nobody was answered; the next holder's position is behind the
log's end, so it copies them first. Between the two checkpoints the home's main file is not the one that is written
down: stale, caught up by the coordinator's next life. In `catch_up`: the mirror lacks its mark, and all is done again.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import structlog

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import DISK, Disk, fsync_dir, remove_file, write_all
from cyxcloud.meta.mirror_state import MainFile, MirrorState, StateFile, Step, mark_stale
from cyxcloud.meta.walindex import SALTS_AT, WAL_HEADER_BYTES, WalIndex, WalIndexUnusable, WalPosition

log = structlog.get_logger(__name__)

DATABASE = "meta.db"
COPY_BYTES = 1 << 20
FAULTS = (OSError, sqlite3.Error, WalIndexUnusable)


class OutOfStep(Exception):
    """What the mirror holds cannot be continued by copying the log's new bytes."""


@dataclass(slots=True)
class _Target:
    """The mirror's log, open."""

    fd: int
    identity: tuple[int, int]
    salts: bytes


class Mirror:
    """One process's hand on it; only used while holding the writers' lock."""

    def __init__(self, database: Path, disk: Disk = DISK, clock: Clock | None = None) -> None:
        self._database = database
        self._wal = Path(f"{database}-wal")
        self._index = WalIndex(database)
        self._state = StateFile(database.parent)
        self._disk = disk
        self._clock = clock or SystemClock()
        self._source = -1
        self._target: _Target | None = None
        self._copied: WalPosition | None = None
        self._is_kept = self._state.path.exists()

    def copy(self) -> None:
        """After COMMIT, before any result: the log's new bytes are durable on the mirror, or the mirror is stale."""
        state = self._state.read() if self._is_kept else None
        if state is None or state.step is not Step.IN_STEP:
            return
        try:
            self._copy(state)
        except (*FAULTS, OutOfStep) as error:
            self._fall_out(state, error)

    def checkpointed(self, *, complete: bool) -> None:
        """The home's log was moved to its main file, wholly or in part; everything was copied before."""
        state = self._state.read() if self._is_kept else None
        if not complete or state is None or state.step is not Step.IN_STEP:
            return
        try:
            if not self._disk.stat(state.folder / f"{DATABASE}-wal").st_size:
                return  # nothing was moved since the main files were equal
            home = MainFile.of(self._database)
            checkpoint_file(state.folder / DATABASE)
            renew_log(state.folder, self._disk)
            if (state.folder / DATABASE).stat().st_size != home.size:
                raise OutOfStep("the mirror's main file is of another size after its checkpoint")  # noqa: TRY301
        except (*FAULTS, OutOfStep) as error:
            self._fall_out(state, error)
        else:
            self._copied = None
            self._state.change(Step.IN_STEP, self._clock.now_ms(), main=home)

    def close(self) -> None:
        self._drop_target()
        if self._source >= 0:
            os.close(self._source)
        self._state.close()
        self._source = -1

    def _copy(self, state: MirrorState) -> None:
        at = self._index.position()
        if at == self._copied or not at.end:
            return
        begin, target = self._open_target(state, at)
        if self._source < 0 or self._copied is None:
            self._open_source()
        copy_log(self._source, target.fd, begin, at.end, self._disk)
        self._disk.fdatasync(target.fd)
        target.salts = at.salts
        self._copied = at

    def _open_target(self, state: MirrorState, at: WalPosition) -> tuple[int, _Target]:
        """How far the mirror's log goes, whoever wrote it; OutOfStep where it is not the beginning of ours."""
        path = state.folder / f"{DATABASE}-wal"
        status = self._disk.stat(path)
        identity = (status.st_dev, status.st_ino)
        target = self._target
        if target is None or target.identity != identity:
            self._drop_target()
            fd = self._disk.open(path, os.O_RDWR)
            target = self._target = _Target(fd, identity, b"")
        begin = status.st_size
        if begin < WAL_HEADER_BYTES:
            if MainFile.of(self._database) != state.main:
                raise OutOfStep("the main file was written to by somebody else")
            return 0, target
        if target.salts != at.salts:
            target.salts = self._disk.pread(target.fd, WAL_HEADER_BYTES, 0)[SALTS_AT]
        if target.salts != at.salts or begin > at.end:
            raise OutOfStep("the log was begun anew by somebody else")
        return begin, target

    def _open_source(self) -> None:
        if self._source >= 0:
            os.close(self._source)
        self._source = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)

    def _drop_target(self) -> None:
        if self._target is not None:
            self._disk.close(self._target.fd)
            self._target = None

    def _fall_out(self, state: MirrorState, error: Exception) -> None:
        log.error("the metadata's mirror is stale, writes go on without it", mirror=str(state.folder), error=str(error))
        self._copied = None
        self._drop_target()
        self._state.change(Step.STALE, self._clock.now_ms(), reason=str(error))
        try:
            mark_stale(state.folder, self._disk)
        except OSError as refused:
            log.error("the stale mirror cannot be marked", mirror=str(state.folder), error=str(refused))  # noqa: TRY400


def copy_log(source: int, target: int, begin: int, end: int, disk: Disk) -> None:
    while begin < end:
        data = os.pread(source, min(COPY_BYTES, end - begin), begin)
        if not data:
            raise OutOfStep("the log is shorter than its index says")
        begin += write_all(target, [data], begin, disk)


def checkpoint_file(database: Path) -> None:
    """Move a copy's log into its main file; nobody else has it open, so all of it goes, and the log goes too."""
    driver = sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    try:
        driver.execute("PRAGMA synchronous=FULL")
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        driver.close()
    if busy:
        raise OutOfStep(f"{database} is open in another program")


def renew_log(folder: Path, disk: Disk) -> None:
    """An empty log, whose name is durable before the first answer rests on it."""
    path = folder / f"{DATABASE}-wal"
    disk.close(disk.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    remove_file(folder / f"{DATABASE}-shm", disk=disk)
    fsync_dir(folder, disk=disk)
