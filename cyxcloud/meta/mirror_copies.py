"""Which of home and mirror is the newer, and a home made from a mirror.

The home is always at least as new as its mirror, because it commits first. A mirror that is ahead therefore says that
an older copy of the home was put back, and must not be written over: it may be all that is left of what came later.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, fsync_dir, make_dirs
from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import MetaError
from cyxcloud.meta.mirror import DATABASE, checkpoint_file
from cyxcloud.meta.mirror_state import GOOD_MARK
from cyxcloud.meta.statement import SQLITE


class MirrorUnusable(MetaError):
    """Nothing can be restored from this folder; the text says why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose a database is and how far it got."""

    cluster_id: bytes
    incarnation: bytes
    restored_at_ms: int
    clock_ms: int

    @property
    def age(self) -> tuple[int, int]:
        """Greater is newer: a restored store goes on from an earlier day, and is the one that counts."""
        return self.restored_at_ms, self.clock_ms


class Verdict(Enum):
    FOLLOWS = auto()  # may be made equal to the home
    AHEAD = auto()
    FOREIGN = auto()


def judge(home: Standing, mirror: Standing | None) -> Verdict:
    """`mirror` None: empty, or not to be read (pure)."""
    if mirror is None:
        return Verdict.FOLLOWS
    if mirror.cluster_id != home.cluster_id:
        return Verdict.FOREIGN
    return Verdict.AHEAD if mirror.age > home.age else Verdict.FOLLOWS


def standing(conn: Connection) -> Standing | None:
    """None where no store was made."""
    row = cluster.read(conn)
    clock = cluster.clock(conn)
    if row is None:
        return None
    return Standing(row.cluster_id, row.incarnation, row.restored_at_ms or 0, clock[0] if clock else row.created_at_ms)


def standing_of(database: Path) -> Standing | None:
    """Of a copy that nobody has open; None where it is absent or cannot be read."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as driver:
            return standing(Connection(driver, SQLITE))
    except sqlite3.DatabaseError:
        return None


def restore_from_mirror(mirror: Path, into: Path, *, disk: Disk = DISK) -> Standing:
    """Make the database file `into` from a mirror, which stays as it is; sound and durable when this returns.

    MirrorUnusable where the mirror had fallen behind or is damaged.
    """
    if not (mirror / DATABASE).exists():
        raise MirrorUnusable(f"{mirror} holds no mirror of a store's metadata: there is no {DATABASE} in it")
    if not (mirror / GOOD_MARK).exists():
        raise MirrorUnusable(
            f"{mirror} had fallen behind (there is no {GOOD_MARK} in it): the newest changes are missing; restore from "
            "the nodes' snapshot instead"
        )
    make_dirs(into.parent, mode=0o700, disk=disk)
    for suffix in ("", "-wal"):
        source = mirror / f"{DATABASE}{suffix}"
        if source.exists():
            shutil.copyfile(source, f"{into}{suffix}")
    try:
        checkpoint_file(into)
        found = _checked(into)
    except sqlite3.DatabaseError as error:
        raise MirrorUnusable(f"the mirror's database is damaged: {error}") from error
    _sync(into, disk)
    fsync_dir(into.parent, disk=disk)
    return found


def _checked(database: Path) -> Standing:
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as driver:
        problems = [str(row[0]) for row in driver.execute("PRAGMA integrity_check(3)")]
        found = standing(Connection(driver, SQLITE)) if problems == ["ok"] else None
    if found is None:
        raise MirrorUnusable(f"the mirror's database is damaged or empty: {'; '.join(problems)}")
    return found


def _sync(path: Path, disk: Disk) -> None:
    fd = disk.open(path, os.O_RDWR)
    try:
        disk.fsync(fd)
    finally:
        disk.close(fd)
