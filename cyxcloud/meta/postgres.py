"""The same database on PostgreSQL: same schema, same statements, same calls as `Database` and `Writer`.

PostgreSQL takes many writers at once, so each request is a transaction of its own (read committed) in one of a few
threads, and is run again when the server chose it as a deadlock's victim. Its session is locked FOR SHARE until the
commit, which makes whoever closes the session wait. A kill leaves what the server has committed; durability is its
`synchronous_commit=on`.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import psycopg
from psycopg import errors as pg
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from cyxcloud.core.ids import SessionNumber
from cyxcloud.meta import sessions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import REVISION
from cyxcloud.meta.errors import SchemaMismatch, SessionClosed, StorageFull, WriterClosed
from cyxcloud.meta.outcome import Request
from cyxcloud.meta.statement import POSTGRESQL
from cyxcloud.meta.writer import BoundWriter

T = TypeVar("T")

# A process's share of the server's connections; more wait longer for each other than they gain.
WRITE_THREADS = 4
# A victim of a deadlock is almost always through at its second try.
ATTEMPTS = 6
# Any number, the same in every process: one upgrades, the others wait.
UPGRADE_LOCK = 0x4359584D


class PostgresDatabase:
    def __init__(self, url: str) -> None:
        self.url = url
        self._local = threading.local()
        self._readers: list[psycopg.Connection] = []
        self._lock = threading.Lock()

    def upgrade(self) -> None:
        """Bring an existing, perhaps empty, database to this release; safe to repeat, and to be killed in."""
        from cyxcloud.meta.migrations import upgrade

        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(self.url), poolclass=NullPool)
        with engine.begin() as conn:
            conn.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": UPGRADE_LOCK})
            upgrade(conn)

    def check_revision(self) -> None:
        """Refuse a database that another release made."""
        found = self.revision()
        if found != REVISION:
            raise SchemaMismatch(
                f"the PostgreSQL database has schema {found or 'none'}, this program needs {REVISION}: "
                "start the store once with this release, or use the release that wrote it"
            )

    def revision(self) -> str | None:
        try:
            row = self.reader().driver.execute("SELECT version_num FROM alembic_version").fetchone()
        except pg.UndefinedTable:
            return None
        return None if row is None else str(row[0])

    def reader(self) -> Connection:
        """This thread's reading connection, opened at its first use and again when the server has dropped it."""
        held: Connection | None = getattr(self._local, "reader", None)
        if held is None or held.driver.closed:
            held = self._local.reader = self._open_reader()
        return held

    def writer(self) -> PostgresWriter:
        return PostgresWriter(self.url)

    def close(self) -> None:
        """Close the readers of all threads; none of them may be in use."""
        with self._lock:
            for each in self._readers:
                each.close()
            self._readers.clear()
        self._local = threading.local()

    def _open_reader(self) -> Connection:
        driver = psycopg.connect(self.url, autocommit=True)
        driver.execute("SET default_transaction_read_only = on")
        with self._lock:
            self._readers = [each for each in self._readers if not each.closed]
            self._readers.append(driver)
        return Connection(driver, POSTGRESQL)


class PostgresWriter:
    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()
        self._drivers: list[psycopg.Connection] = []
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Errors of connecting are raised here."""
        assert self._pool is None
        psycopg.connect(self._url).close()
        self._pool = ThreadPoolExecutor(WRITE_THREADS, thread_name_prefix="meta-writer")

    def close(self) -> None:
        """Finish what is queued, then stop."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        pool.shutdown(wait=True)
        for each in self._drivers:
            each.close()

    def bound_to(self, session: SessionNumber) -> BoundWriter:
        return BoundWriter(self, session)

    async def submit(
        self,
        request: Request[T],
        session: SessionNumber | None = None,
        *,
        is_long: bool = False,  # noqa: ARG002 - all requests run in threads here
    ) -> T:
        """Its result once it is durable. Cancelling the wait does not cancel the request."""
        return await asyncio.shield(asyncio.wrap_future(self._start(request, session)))

    def call(self, request: Request[T], session: SessionNumber | None = None) -> T:
        """The same for a thread."""
        return self._start(request, session).result()

    def _start(self, request: Request[T], session: SessionNumber | None) -> Future[T]:
        if self._pool is None:
            raise WriterClosed("the writer is stopping")
        return self._pool.submit(self._run, request, session)

    def _run(self, request: Request[T], session: SessionNumber | None) -> T:
        for _attempt in range(ATTEMPTS - 1):
            try:
                return self._run_once(request, session)
            except (pg.DeadlockDetected, pg.SerializationFailure):
                continue
        return self._run_once(request, session)

    def _run_once(self, request: Request[T], session: SessionNumber | None) -> T:
        conn = self._connection()
        try:
            with conn.driver.transaction():
                if session is not None and not sessions.lock_open(conn, session):
                    raise SessionClosed(session)
                return request(conn)
        except pg.DiskFull as error:
            raise StorageFull("the metadata disk is full") from error

    def _connection(self) -> Connection:
        held: Connection | None = getattr(self._local, "conn", None)
        if held is None or held.driver.closed:
            driver = psycopg.connect(self._url, autocommit=True)
            with self._lock:
                self._drivers = [each for each in self._drivers if not each.closed]
                self._drivers.append(driver)
            held = self._local.conn = Connection(driver, POSTGRESQL)
        return held
