"""The only place that writes to a SQLite database: one thread a process, one transaction for all that waits.

A request is a function of the connection that may be run again; its result is given out only after COMMIT. The
requests that are waiting, and those that come within 50 ms, share one transaction with a savepoint each, so that one
that fails takes nothing of the others with it. Where the whole transaction is gone (SQLITE_FULL rolls it back) or
COMMIT fails, each is run again in a transaction of its own. Processes take turns by `flock` on `writer.lock`:
SQLite's busy handler starves them.

A kill at any moment leaves the last COMMIT that reached the disk: of a batch everything or nothing, and what was not
answered may be either. The lock goes with the process.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from cyxcloud.core.ids import SessionNumber
from cyxcloud.meta import sessions
from cyxcloud.meta.bucket_changes import BucketChanges
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import SessionClosed, StorageFull, WriterClosed
from cyxcloud.meta.heldfile import HeldFile
from cyxcloud.meta.loopturn import LoopTurn
from cyxcloud.meta.mirror import Mirror
from cyxcloud.meta.outcome import Outcome, Request, T, deliver
from cyxcloud.meta.statement import SQLITE
from cyxcloud.meta.turns import open_lock, turn

# Nobody joins a batch that is older: others wait for their turn.
JOIN_SECONDS = 0.05
# Those that the last batch answered are about to ask again: waiting this long makes one commit of what would be
# several. Whoever is alone never waits.
GATHER_SECONDS = 0.002
# Bounds what one transaction holds in memory and what has to be run again when it is lost.
BATCH_REQUESTS = 512
WRITE_CACHE_KIB = 65536
# Only somebody outside the flock (a backup, a shell) can make SQLite wait.
BUSY_MS = 10_000
CHECKPOINT_WAIT_MS = 100
# SQLite's result codes for a disk that takes no more, the second when it cannot grow the WAL's index.
_FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


class Submits(Protocol):
    """What requests are handed to: a writer itself, or one bound to a session."""

    async def submit(self, request: Request[T], *, is_long: bool = False) -> T: ...

    def call(self, request: Request[T]) -> T: ...


class Writes(Protocol):
    """A writer of either database."""

    async def submit(
        self, request: Request[T], session: SessionNumber | None = None, *, is_long: bool = False
    ) -> T: ...

    def call(self, request: Request[T], session: SessionNumber | None = None) -> T: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Pages in the WAL and pages of it that are in the main file now; `complete` when these are all. Both are -1
    where somebody else was checkpointing."""

    wal_pages: int
    moved_pages: int

    @property
    def complete(self) -> bool:
        return 0 <= self.wal_pages == self.moved_pages


class BoundWriter:
    """The writer for one write session: its requests fail with SessionClosed once that is closed, even where the
    process has opened another meanwhile, since the ids they carry are of this one."""

    def __init__(self, writer: Writes, session: SessionNumber) -> None:
        self.session = session
        self._writer = writer

    async def submit(self, request: Request[T], *, is_long: bool = False) -> T:
        return await self._writer.submit(request, self.session, is_long=is_long)

    def call(self, request: Request[T]) -> T:
        return self._writer.call(request, self.session)


class Writer:
    def __init__(self, path: Path, mirror: Mirror | None = None) -> None:
        self.path = path
        self.main_file = HeldFile(path)  # for those who read it as it stands
        self._mirror = mirror or Mirror(path)
        self._queue: deque[Outcome] = deque()
        # A Condition wakes the thread while its lock is still held, which then is waited for as well.
        self._lock = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._idle = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._conn: Connection | None = None
        self._bucket_changes: BucketChanges | None = None
        self._lock_fd = -1
        self._last_batch = 0

    def start(self) -> None:
        """Open the database for writing; errors of that are raised here."""
        assert self._thread is None
        self._bucket_changes = BucketChanges(self.path.parent)
        self._lock_fd = open_lock(self.path.parent)
        self._conn = Connection(open_writable(self.path), SQLITE)
        self._thread = threading.Thread(target=self._run, name="meta-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._lock:
            self._closing = True
            idle, self._idle = self._idle, False
        if idle:
            self._bell.release()
        if self._thread is None:
            return
        self._thread.join()
        assert self._conn is not None
        self._conn.driver.close()
        self._mirror.close()
        os.close(self._lock_fd)
        self._thread = None

    def bound_to(self, session: SessionNumber) -> BoundWriter:
        return BoundWriter(self, session)

    async def submit(self, request: Request[T], session: SessionNumber | None = None, *, is_long: bool = False) -> T:
        """Its result once it is durable. Cancelling the wait does not cancel the request.

        The request runs in this loop's thread between two of its callbacks; one that is long (hundreds of statements)
        runs in the writer's, so that the loop goes on meanwhile.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(Outcome(request, session, loop, future, is_long=is_long))
        return await future

    def call(self, request: Request[T], session: SessionNumber | None = None) -> T:
        """The same for a thread."""
        future: Future[T] = Future()
        self._put(Outcome(request, session, None, future))
        return future.result()

    def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        """Move the WAL's pages into the main file while nobody writes; for the coordinator alone. Called from a
        thread."""
        return self.call(_CheckpointRequest(truncate=truncate))

    def _put(self, outcome: Outcome) -> None:
        with self._lock:
            if self._closing:
                raise WriterClosed("the writer is stopping")
            self._queue.append(outcome)
            idle, self._idle = self._idle, False
        if idle:
            self._bell.release()

    def _run(self) -> None:
        batch: list[Outcome] = []
        try:
            while self._wait():
                batch = []
                self._run_batch(batch)
                self._last_batch = len(batch)
                deliver(batch)
        except BaseException as error:  # a broken lock or rollback: nothing more can be promised
            self._give_up(batch, error)
            raise

    def _wait(self) -> bool:
        while True:
            with self._lock:
                waiting = len(self._queue)
                if waiting or self._closing:
                    break
                self._idle = True
            self._bell.acquire()  # rung once, by whoever takes `_idle` back
        if 0 < waiting < self._last_batch and not self._closing:
            time.sleep(GATHER_SECONDS)
        return waiting > 0

    def _give_up(self, batch: list[Outcome], error: BaseException) -> None:
        with self._lock:
            self._closing = True
            lost = [*batch, *self._queue]
            self._queue.clear()
        for outcome in lost:
            outcome.error = WriterClosed(f"the writer has failed: {error!r}")
        deliver(lost)

    def _run_batch(self, batch: list[Outcome]) -> None:
        """One transaction for what waits; adds to `batch` what it answers, in order."""
        assert self._conn is not None
        with turn(self._lock_fd):
            if isinstance(self._queue[0].request, _CheckpointRequest):
                batch.append(self._queue.popleft())
                self._checkpoint(batch[0])
                return
            try:
                self._fill(batch)
            except _TransactionLost:
                _roll_back(self._conn)
            else:
                self._mirror.copy()
                return
        for outcome in batch:
            self._run_alone(outcome)

    def _fill(self, batch: list[Outcome]) -> None:
        """Run what waits and what still comes, then commit; _TransactionLost when none of it holds."""
        assert self._conn is not None
        conn = self._conn
        closes_at = time.monotonic() + JOIN_SECONDS
        open_sessions: dict[SessionNumber | None, bool] = {None: True}
        try:
            conn.script("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            batch.append(self._queue.popleft())
            raise _TransactionLost from error

        def may_take() -> bool:
            return bool(self._queue) and len(batch) < BATCH_REQUESTS and time.monotonic() < closes_at

        def take() -> None:
            outcome = self._queue.popleft()
            batch.append(outcome)
            _run_in_savepoint(conn, outcome, open_sessions)

        def take_for(loop: asyncio.AbstractEventLoop) -> None:
            while may_take() and _of_loop(self._queue[0]) is loop:
                take()

        while may_take() and not isinstance(self._queue[0].request, _CheckpointRequest):
            loop = _of_loop(self._queue[0])
            if loop is None or not LoopTurn(loop, partial(take_for, loop)).carry_out():
                take()
        try:
            conn.script("COMMIT")
        except sqlite3.Error as error:
            raise _TransactionLost from error
        self._count_bucket_changes(conn)

    def _run_alone(self, outcome: Outcome) -> None:
        """Run one request again in a transaction of its own."""
        assert self._conn is not None
        conn = self._conn
        outcome.result = outcome.error = None
        with turn(self._lock_fd):
            try:
                conn.script("BEGIN IMMEDIATE")
                if not _is_open(conn, outcome.session, {None: True}):
                    raise SessionClosed(outcome.session)  # noqa: TRY301 - one way out, which rolls back
                result = outcome.request(conn)
                conn.script("COMMIT")
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for this request
                _roll_back(conn)
                outcome.error = _translated(error)
            else:
                outcome.result = result
                self._count_bucket_changes(conn)
                self._mirror.copy()

    def _count_bucket_changes(self, conn: Connection) -> None:
        """After COMMIT, in the turn, before anybody is answered. One too many does no harm."""
        if conn.changed_buckets:
            assert self._bucket_changes is not None
            self._bucket_changes.add()
            conn.changed_buckets = False

    def _checkpoint(self, outcome: Outcome) -> None:
        """Outside of any transaction; of home and mirror."""
        assert self._conn is not None
        self._mirror.copy()  # what a holder that was killed has not
        try:
            outcome.result = done = outcome.request(self._conn)
        except sqlite3.Error as error:
            outcome.error = _translated(error)
        else:
            self._mirror.checkpointed(complete=done.complete)


class _TransactionLost(Exception):
    """Nothing of the batch is in the database."""


@dataclass(frozen=True, slots=True)
class _CheckpointRequest:
    truncate: bool

    def __call__(self, conn: Connection) -> Checkpoint:
        mode = "TRUNCATE" if self.truncate else "PASSIVE"
        # Truncating waits for readers of the old pages, and every writer waits for us: not long.
        conn.script(f"PRAGMA busy_timeout={CHECKPOINT_WAIT_MS}")
        try:
            _busy, wal_pages, moved = conn.driver.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        finally:
            conn.script(f"PRAGMA busy_timeout={BUSY_MS}")
        return Checkpoint(wal_pages, moved)


def _of_loop(outcome: Outcome) -> asyncio.AbstractEventLoop | None:
    """The event loop in whose thread a request is to run, None where the writer's own is the place."""
    return None if outcome.is_long else outcome.loop


def open_writable(path: Path, *, create: bool = False) -> sqlite3.Connection:
    driver = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened by the starter, used by the writer's thread alone
        cached_statements=256,
    )
    driver.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    driver.execute("PRAGMA journal_mode=WAL")
    driver.execute("PRAGMA synchronous=FULL")
    driver.execute("PRAGMA wal_autocheckpoint=0")
    driver.execute(f"PRAGMA cache_size=-{WRITE_CACHE_KIB}")
    driver.execute("PRAGMA temp_store=MEMORY")
    # Some systems build SQLite so that it writes every freed page once more, zeroed: a third of a small DELETE's WAL.
    # What it held (ciphertext, wrapped keys) the WAL and the snapshots hold as well; only its reuse removes it.
    driver.execute("PRAGMA secure_delete=FAST")
    return driver


def _run_in_savepoint(conn: Connection, outcome: Outcome, open_sessions: dict[SessionNumber | None, bool]) -> None:
    if not _is_open(conn, outcome.session, open_sessions):
        outcome.error = SessionClosed(outcome.session)
        return
    conn.script("SAVEPOINT request")
    try:
        outcome.result = outcome.request(conn)
        conn.script("RELEASE request")
    except BaseException as error:
        if not conn.driver.in_transaction:
            raise _TransactionLost from error
        outcome.error = _translated(error)
        conn.script("ROLLBACK TO request")
        conn.script("RELEASE request")


def _is_open(conn: Connection, session: SessionNumber | None, known: dict[SessionNumber | None, bool]) -> bool:
    """Asked once for each session of a batch: nobody can close one while this transaction runs."""
    is_open = known.get(session)
    if is_open is None:
        assert session is not None
        is_open = known[session] = sessions.lock_open(conn, session)
    return is_open


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) in _FULL_CODES:
        full = StorageFull("the metadata disk is full")
        full.__cause__ = error
        return full
    return error


def _roll_back(conn: Connection) -> None:
    if conn.driver.in_transaction:
        conn.script("ROLLBACK")
