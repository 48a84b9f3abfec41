from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cyxcloud.core.ids import BlobId, SessionNumber
from cyxcloud.meta import blobs, buckets, sessions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import SessionClosed, StorageFull, WriterClosed
from cyxcloud.meta.rows import SegmentRow
from cyxcloud.meta.writer import BATCH_REQUESTS, Writer
from tests.unit.meta.build import add_bucket, bucket_row


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    started = database.writer()
    started.start()
    yield started
    started.close()


def adds(number: int) -> Callable[[Connection], bool]:
    return lambda conn: buckets.create(conn, bucket_row(number, f"bucket-{number}"))


def fails(number: int) -> Callable[[Connection], None]:
    def request(conn: Connection) -> None:
        buckets.create(conn, bucket_row(number, f"bucket-{number}"))
        raise LookupError(number)

    return request


def names(database: Database) -> set[str]:
    return {row[0] for row in database.reader().driver.execute("SELECT name FROM bucket")}


class Gate:
    """Holds the writer's thread inside a transaction, so that what is submitted meanwhile joins one batch."""

    def __init__(self, writer: Writer) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        self._thread = threading.Thread(target=writer.call, args=(self._wait,))
        self._thread.start()
        assert self._entered.wait(5)

    def _wait(self, _conn: Connection) -> None:
        self._entered.set()
        self._open.wait(5)

    def open(self) -> None:
        self._open.set()
        self._thread.join()


def commits(writer: Writer) -> list[str]:
    """Each transaction's end, as the driver sees it."""
    seen: list[str] = []
    assert writer._conn is not None
    writer._conn.driver.set_trace_callback(lambda text: seen.append(text) if text in ("COMMIT", "ROLLBACK") else None)
    return seen


async def test_submit_gives_the_result_after_the_commit(database: Database, writer: Writer) -> None:
    assert await writer.submit(adds(1)) is True
    assert names(database) == {"bucket-1"}
    assert await writer.submit(adds(1)) is False


async def test_submit_of_many_shares_a_transaction(database: Database, writer: Writer) -> None:
    seen = commits(writer)
    gate = Gate(writer)
    waiting = [asyncio.ensure_future(writer.submit(adds(n))) for n in range(40)]
    await asyncio.sleep(0)
    gate.open()
    assert await asyncio.gather(*waiting) == [True] * 40
    assert len(names(database)) == 40
    assert seen == ["COMMIT"] * len(seen)
    assert len(seen) <= 2


async def test_a_batch_wakes_the_loop_to_run_it_and_to_answer_it(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    wake_ups: list[object] = []
    original = loop.call_soon_threadsafe

    def counted(callback: Callable[..., object], *args: object) -> asyncio.Handle:
        wake_ups.append(callback)
        return original(callback, *args)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    gate = Gate(writer)
    waiting = [asyncio.ensure_future(writer.submit(adds(n))) for n in range(30)]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(*waiting)
    assert len(wake_ups) <= 4  # two for each batch, and what waited behind the gate may have joined its batch


async def test_a_failing_request_takes_nothing_of_the_others_with_it(database: Database, writer: Writer) -> None:
    gate = Gate(writer)
    requests = [adds(1), fails(2), adds(3), fails(4), adds(5)]
    waiting = [asyncio.ensure_future(writer.submit(each)) for each in requests]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [bool, LookupError, bool, LookupError, bool]
    assert names(database) == {"bucket-1", "bucket-3", "bucket-5"}


async def test_a_constraint_failure_takes_nothing_of_the_others_with_it(database: Database, writer: Writer) -> None:
    def twice(conn: Connection) -> None:
        conn.script("INSERT INTO usage (bucket, objects, bytes) VALUES (1, 1, 1)")
        conn.script("INSERT INTO usage (bucket, objects, bytes) VALUES (1, 1, 1)")

    gate = Gate(writer)
    waiting = [asyncio.ensure_future(writer.submit(each)) for each in (adds(1), twice, adds(2))]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], sqlite3.IntegrityError)
    assert names(database) == {"bucket-1", "bucket-2"}
    assert database.reader().driver.execute("SELECT * FROM usage").fetchall() == []


async def test_a_full_disk_reruns_the_batch_one_by_one(database: Database, writer: Writer) -> None:
    """SQLite rolls the whole transaction back: what others did before in it must be done again, not answered as done."""
    pages = writer.call(lambda conn: conn.driver.execute("PRAGMA page_count").fetchone()[0])
    assert writer._conn is not None
    writer._conn.driver.execute(f"PRAGMA max_page_count={pages + 8}")
    runs: list[int] = []

    def counted(number: int) -> Callable[[Connection], None]:
        def request(conn: Connection) -> None:
            runs.append(number)
            buckets.create(conn, bucket_row(number, f"bucket-{number}"))

        return request

    def huge(conn: Connection) -> None:
        conn.driver.execute("INSERT INTO inline (blob, refs, body) VALUES (1, 1, zeroblob(1000000))")

    gate = Gate(writer)
    waiting = [asyncio.ensure_future(writer.submit(each)) for each in (counted(1), counted(2), huge, counted(3))]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [type(None), type(None), StorageFull, type(None)]
    assert names(database) == {"bucket-1", "bucket-2", "bucket-3"}
    assert runs.count(2) == 2  # lost with the transaction that the third one filled, and done again
    assert database.problems() == []


async def test_a_full_disk_still_lets_rows_be_removed(database: Database, writer: Writer) -> None:
    await writer.submit(adds(1))
    assert writer._conn is not None
    pages = writer._conn.driver.execute("PRAGMA page_count").fetchone()[0]
    writer._conn.driver.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageFull):
        await writer.submit(
            lambda conn: conn.script("INSERT INTO inline (blob, refs, body) VALUES (1, 1, zeroblob(99999))")
        )
    assert await writer.submit(lambda conn: buckets.remove(conn, bucket_row(1).id)) is True
    assert names(database) == set()


async def test_a_failing_commit_answers_nobody_as_done(database: Database, writer: Writer) -> None:
    """A deferred foreign key fails at COMMIT, for everyone in the batch: only its author may pay for it."""

    def make(conn: Connection) -> None:
        conn.script("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        conn.script("CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")

    await writer.submit(make)
    assert writer._conn is not None
    writer._conn.driver.execute("PRAGMA foreign_keys=1")
    gate = Gate(writer)
    orphan = lambda conn: conn.script("INSERT INTO child VALUES (404)")  # noqa: E731
    waiting = [asyncio.ensure_future(writer.submit(each)) for each in (adds(1), orphan, adds(2))]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [bool, sqlite3.IntegrityError, bool]
    assert names(database) == {"bucket-1", "bucket-2"}
    assert database.reader().driver.execute("SELECT * FROM child").fetchall() == []


async def test_a_closed_session_commits_nothing(database: Database, writer: Writer) -> None:
    old, new = SessionNumber(5), SessionNumber(6)
    for number in (old, new):
        await writer.submit(partial(sessions.create, number=number, role="gateway", now_ms=1))
    before, after = writer.bound_to(old), writer.bound_to(new)
    assert await before.submit(adds(1))
    await writer.submit(lambda conn: sessions.close(conn, old, 2))
    gate = Gate(writer)
    waiting = [
        asyncio.ensure_future(each) for each in (before.submit(adds(2)), after.submit(adds(3)), before.submit(adds(4)))
    ]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [SessionClosed, bool, SessionClosed]
    assert names(database) == {"bucket-1", "bucket-3"}


async def test_an_unknown_session_commits_nothing(database: Database, writer: Writer) -> None:
    with pytest.raises(SessionClosed):
        await writer.bound_to(SessionNumber(99)).submit(adds(1))
    assert names(database) == set()


async def test_a_session_stays_closed_when_the_batch_is_rerun(database: Database, writer: Writer) -> None:
    session = SessionNumber(5)
    await writer.submit(lambda conn: sessions.create(conn, session, "gateway", 1))
    await writer.submit(lambda conn: sessions.close(conn, session, 2))

    def loses(conn: Connection) -> None:
        conn.script("ROLLBACK")
        raise sqlite3.OperationalError("gone")

    gate = Gate(writer)
    waiting = [
        asyncio.ensure_future(each)
        for each in (writer.bound_to(session).submit(adds(1)), writer.submit(loses), writer.submit(adds(2)))
    ]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [SessionClosed, sqlite3.OperationalError, bool]
    assert names(database) == {"bucket-2"}


async def test_a_cancelled_wait_does_not_cancel_the_commit(database: Database, writer: Writer) -> None:
    gate = Gate(writer)
    waiting = asyncio.ensure_future(writer.submit(adds(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await writer.submit(lambda _conn: None)
    assert names(database) == {"bucket-1"}


def test_a_batch_is_bounded(writer: Writer) -> None:
    seen = commits(writer)
    gate = Gate(writer)
    threads = [threading.Thread(target=writer.call, args=(lambda _conn: None,)) for _ in range(3)]
    for each in threads:
        each.start()
    loop = asyncio.new_event_loop()

    async def many() -> None:
        await asyncio.gather(*(writer.submit(lambda _conn: None) for _ in range(2 * BATCH_REQUESTS)))

    threading.Timer(0.05, gate.open).start()
    loop.run_until_complete(many())
    loop.close()
    for each in threads:
        each.join()
    assert len(seen) >= 3


def test_nobody_joins_an_old_batch(writer: Writer) -> None:
    """A request that keeps the transaction open longer than the others may join ends it."""
    seen = commits(writer)
    gate = Gate(writer)
    late = threading.Thread(target=writer.call, args=(lambda _conn: seen.append("late"),))
    late.start()
    threading.Timer(0.08, gate.open).start()
    late.join()
    assert seen == ["COMMIT", "late", "COMMIT"]


def test_no_wake_up_is_lost_between_threads(database: Database, writer: Writer) -> None:
    """Requests of several threads come while the writer falls asleep, again and again."""
    numbers = iter(range(1, 161))
    taking = threading.Lock()

    def work() -> None:
        for _ in range(40):
            with taking:
                number = next(numbers)
            assert writer.call(adds(number))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert len(names(database)) == 160


def test_close_finishes_what_is_queued(database: Database) -> None:
    writer = database.writer()
    writer.start()
    gate = Gate(writer)
    done: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: done.append(writer.call(adds(n)))) for n in range(5)]
    for each in threads:
        each.start()
    while len(writer._queue) < 5:
        pass
    closer = threading.Thread(target=writer.close)
    closer.start()
    gate.open()
    for each in [*threads, closer]:
        each.join()
    assert done == [True] * 5
    assert len(names(database)) == 5
    with pytest.raises(WriterClosed):
        writer.call(adds(9))


def test_a_broken_writer_fails_those_who_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = database.writer()
    writer.start()
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    monkeypatch.setattr(writer, "_run_batch", lambda batch: batch.append(writer._queue.popleft()) or 1 / 0)
    with pytest.raises(WriterClosed, match="ZeroDivisionError"):
        writer.call(adds(1))
    with pytest.raises(WriterClosed):
        writer.call(adds(1))
    writer.close()


def test_start_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Writer(tmp_path / "missing.db").start()


def test_checkpoint_empties_the_wal_into_the_main_file(database: Database, writer: Writer) -> None:
    writer.call(add_bucket)
    frozen = database.path.read_bytes()
    writer.call(adds(2))
    assert database.path.read_bytes() == frozen, "nobody but a checkpoint may change the main file"
    done = writer.checkpoint()
    assert done.complete
    assert done.wal_pages > 0
    assert database.path.read_bytes() != frozen
    assert writer.checkpoint(truncate=True).complete
    assert database.path.with_name("meta.db-wal").stat().st_size == 0
    assert len(names(database)) == 2


def test_removing_bodies_does_not_write_their_pages_again(database: Database, writer: Writer) -> None:
    removed = [BlobId(number) for number in range(1, 101)]

    def insert(conn: Connection) -> None:
        for blob in removed:
            blobs.insert_inline(conn, blob, bytes(4096))

    def release(conn: Connection) -> None:
        blobs.release(conn, [SegmentRow(blob, 0, 4096, b"", 1, 1, b"") for blob in removed], due_at_ms=0)

    writer.call(insert)
    writer.checkpoint(truncate=True)
    writer.call(release)
    assert Path(f"{database.path}-wal").stat().st_size < len(removed) * 4096 // 2


async def test_a_checkpoint_waits_for_the_batch_before_it(database: Database, writer: Writer) -> None:
    gate = Gate(writer)
    first = asyncio.ensure_future(writer.submit(adds(1)))
    await asyncio.sleep(0)
    checkpoint = asyncio.ensure_future(asyncio.to_thread(writer.checkpoint))
    while len(writer._queue) < 2:
        await asyncio.sleep(0)
    second = asyncio.ensure_future(writer.submit(adds(2)))
    await asyncio.sleep(0)
    gate.open()
    assert await first
    assert await second
    assert (await checkpoint).wal_pages > 0


def test_truncating_does_not_wait_for_a_long_reader(database: Database, writer: Writer) -> None:
    writer.call(adds(1))
    conn = database.reader()
    with conn.snapshot():
        assert buckets.read(conn, "bucket-1") is not None
        writer.call(adds(2))
        began = time.monotonic()
        assert not writer.checkpoint(truncate=True).complete
        assert time.monotonic() - began < 2
    assert writer.checkpoint(truncate=True).complete
    assert len(names(database)) == 2


async def test_requests_run_in_the_thread_of_their_loop(writer: Writer) -> None:
    here = threading.get_ident()
    assert await writer.submit(lambda _: threading.get_ident()) == here


async def test_a_long_request_runs_beside_the_loop(writer: Writer) -> None:
    here = threading.get_ident()
    assert await writer.submit(lambda _: threading.get_ident(), is_long=True) != here


async def test_a_loop_that_is_blocked_holds_nobody_up(writer: Writer) -> None:
    """Its request then runs in the writer's thread: whoever waits for the lock must not wait for that loop."""
    waiting = asyncio.ensure_future(writer.submit(adds(1)))
    await asyncio.sleep(0)
    assert writer.call(adds(2))  # blocks this loop until it is answered
    assert await waiting
