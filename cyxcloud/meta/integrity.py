"""Is the database file sound: asked at every start, thoroughly after one that did not end in order.

A power cut or a kill must not damage it, but disks lie, and damage found before anything is served can still be undone
from mirror, nodes or backup. The full check compares indexes with tables and takes a second or so a hundred MiB; when
it has had its time, the quick one, of every page's structure alone, takes over and is carried through.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import MetadataDamaged

# A start after a crash may be held up for so long.
FULL_SECONDS = 10.0
# After a clean stop only what takes no time is read.
CLEAN_BYTES = 512 << 20
# Virtual machine steps between two looks at the watch: some milliseconds.
_STEPS = 1_000_000
_REPORTED = 3


@dataclass(frozen=True, slots=True)
class Checked:
    """`kind`: full, quick or none."""

    kind: str
    seconds: float
    size_bytes: int


def check(database: Database, *, unclean: bool, full_seconds: float = FULL_SECONDS) -> Checked:
    """MetadataDamaged where it is."""
    began = time.monotonic()
    size = database.path.stat().st_size
    driver = database.reader().driver
    if unclean and _full(database, driver, full_seconds):
        kind = "full"
    elif unclean or size <= CLEAN_BYTES:
        _judge(database, driver.execute(f"PRAGMA quick_check({_REPORTED})").fetchall())
        kind = "quick"
    else:
        kind = "none"
    return Checked(kind, round(time.monotonic() - began, 3), size)


def _full(database: Database, driver: sqlite3.Connection, seconds: float) -> bool:
    """False when it took too long."""
    ends_at = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > ends_at, _STEPS)
    try:
        found = driver.execute(f"PRAGMA integrity_check({_REPORTED})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    finally:
        driver.set_progress_handler(None, 0)
    _judge(database, found)
    return True


def _judge(database: Database, found: list[tuple[str]]) -> None:
    if found != [("ok",)]:
        raise MetadataDamaged(f"{database.path}: {'; '.join(row[0] for row in found)}")
