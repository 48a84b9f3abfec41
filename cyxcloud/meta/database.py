"""The database file: opening it, bringing it to this release's schema, reading, checkpointing, checking.

SQLite in WAL mode with synchronous=FULL: a commit is durable when it returns. Each thread that reads holds one
connection, on which nothing can be written; only `writer.py` opens writable ones. Nobody checkpoints by the way
(`wal_autocheckpoint=0`): the coordinator does it, so that between checkpoints the main file does not change.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import SchemaMismatch
from cyxcloud.meta.statement import SQLITE
from cyxcloud.meta.turns import open_lock, turn
from cyxcloud.meta.writer import Writer, open_writable

if TYPE_CHECKING:  # psycopg is an extra
    from cyxcloud.meta.postgres import PostgresDatabase

# What the migrations lead to; `test_migrations` holds it against them.
REVISION = "0004"
# No mmap: SQLite unmaps the whole file whenever another process has committed, and every page faults in again.
READ_CACHE_KIB = 16384


class Database:
    """A SQLite database at `path`; its folder holds the writers' lock as well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def upgrade(self) -> None:
        """Create the database or bring it to this release; safe to repeat, and to be killed in."""
        from cyxcloud.meta.migrations import migrate_sqlite

        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock_fd = open_lock(self.path.parent)
        try:
            with turn(lock_fd):
                migrate_sqlite(lambda: open_writable(self.path, create=True))
        finally:
            os.close(lock_fd)

    def check_revision(self) -> None:
        """Refuse a database that another release made."""
        found = self.revision()
        if found != REVISION:
            raise SchemaMismatch(
                f"{self.path} has schema {found or 'none'}, this program needs {REVISION}: "
                "start the store once with this release, or use the release that wrote it"
            )

    def revision(self) -> str | None:
        if not self.path.exists():
            return None
        try:
            row = self.reader().driver.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
        return None if row is None else str(row[0])

    def reader(self) -> Connection:
        """This thread's reading connection, opened at its first use."""
        held: Connection | None = getattr(self._local, "reader", None)
        if held is None:
            held = self._local.reader = self._open_reader()
        return held

    def writer(self) -> Writer:
        """A writer for this process, not yet started: one is enough."""
        return Writer(self.path)

    def problems(self) -> list[str]:
        """What SQLite's own check of the whole file finds (reads everything)."""
        found = [str(row[0]) for row in self.reader().driver.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close the readers of all threads; none of them may be in use."""
        with self._lock:
            for each in self._readers:
                each.close()
            self._readers.clear()
        self._local = threading.local()

    def _open_reader(self) -> Connection:
        driver = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # `close` is called by the thread that stops the process
            cached_statements=256,
        )
        driver.execute("PRAGMA query_only=1")
        driver.execute("PRAGMA busy_timeout=5000")
        driver.execute(f"PRAGMA cache_size=-{READ_CACHE_KIB}")
        driver.execute("PRAGMA temp_store=MEMORY")
        with self._lock:
            self._readers.append(driver)
        return Connection(driver, SQLITE)


def open_database(where: str | Path) -> Database | PostgresDatabase:
    """SQLite at a path, or PostgreSQL at a postgresql:// URL (extra `postgres`)."""
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        from cyxcloud.meta.postgres import PostgresDatabase

        return PostgresDatabase(where)
    return Database(Path(where))
