"""What only PostgreSQL can get wrong: many writers at once, its own types and functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from cyxcloud.core.ids import BlobId, SessionNumber
from cyxcloud.meta import blobs, buckets, heads, listing, sessions, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BlobGone, BucketGone, SessionClosed, WriterClosed
from cyxcloud.meta.postgres import PostgresDatabase, PostgresWriter
from cyxcloud.meta.schema import metadata
from tests.unit.meta.build import BUCKET, DUE_MS, add_blob, add_bucket, new_version, put, put_inline, segment
from tests.unit.meta.test_listing import DELIMITERS, KEYS, PREFIXES, entries, head_of, named

ROUNDS = 25


@pytest.fixture
def writer(postgres: PostgresDatabase) -> Iterator[PostgresWriter]:
    started = postgres.writer()
    started.start()
    yield started
    started.close()


@pytest.fixture
def conn(postgres: PostgresDatabase) -> Connection:
    return postgres.reader()


def test_migrations_lead_to_the_schema(postgres: PostgresDatabase) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres.url), poolclass=NullPool)
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    postgres.upgrade()
    postgres.check_revision()


@given(
    keys=st.sets(KEYS, max_size=25),
    prefix=PREFIXES,
    delimiter=DELIMITERS,
    after=st.one_of(st.just(b""), KEYS),
    limit=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_listing_is_that_of_a_sorted_set(
    postgres: PostgresDatabase, *, keys: set[bytes], prefix: bytes, delimiter: bytes, after: bytes, limit: int
) -> None:
    with psycopg.connect(postgres.url) as driver:  # rolled back below
        conn = Connection(driver, "postgresql")
        for key in keys:
            heads.put(conn, BUCKET, head_of(key), is_new=True)
        page = listing.page(conn, BUCKET, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        driver.rollback()
    wanted = [each for each in entries(keys, prefix, delimiter) if each[0] > after]
    assert named(page) == wanted[:limit]
    assert page.truncated == (len(wanted) > limit)


async def test_racing_puts_of_one_key_make_one_chain(writer: PostgresWriter, conn: Connection) -> None:
    await writer.submit(add_bucket)
    for start in range(0, 6 * ROUNDS, 6):
        key = b"k%d" % start
        await asyncio.gather(
            *(writer.submit(partial(put_inline, number=start + n, key=key, is_null=n % 2 == 0)) for n in range(1, 7))
        )
        head = heads.read(conn, BUCKET, key)
        assert head is not None
        assert head.next_seq == 7
    kept = conn.driver.execute("SELECT count(*) FROM version").fetchone()[0]
    assert kept == 4 * ROUNDS, "of each key three named versions and the last null one"
    assert conn.driver.execute("SELECT count(*) FROM inline").fetchone()[0] == kept


async def test_racing_copies_and_deletes_keep_references_exact(writer: PostgresWriter, conn: Connection) -> None:
    """Many take two blobs at once, in every order: some become victims of deadlocks, none is lost or counted twice."""
    await writer.submit(add_bucket)
    pair = [segment(1, 10**6), segment(2, 10**6)]
    for number in (1, 2):
        await writer.submit(partial(add_blob, number=number))
    await writer.submit(lambda c: put(c, new_version(1, b"first", *pair)))

    def copy(c: Connection, number: int) -> None:
        blobs.share(c, pair)
        put(c, new_version(number, b"copy-%d" % (number % 3), *pair[:: 1 if number % 2 else -1]))

    await asyncio.gather(*(writer.submit(partial(copy, number=number)) for number in range(10, 10 + 2 * ROUNDS)))
    for each in (1, 2):
        found = blobs.read(conn, BlobId(each))
        assert found is not None
        assert found.refs == 4

    def remove(c: Connection, key: bytes) -> None:
        head = heads.lock(c, BUCKET, key).head
        assert head is not None
        removed = versions.remove(c, BUCKET, head, head.version)
        assert removed is not None
        blobs.release(c, removed.segments, DUE_MS)

    keys = (b"first", b"copy-0", b"copy-1", b"copy-2")
    await asyncio.gather(*(writer.submit(partial(remove, key=key)) for key in keys))
    assert conn.driver.execute("SELECT blob FROM deletion ORDER BY blob").fetchall() == [(1,), (2,)]
    with pytest.raises(BlobGone):
        await writer.submit(lambda c: blobs.share(c, pair))


def test_a_victim_of_a_deadlock_is_run_again(writer: PostgresWriter, conn: Connection) -> None:
    for number in (1, 2):
        writer.call(partial(add_blob, number=number))
    both = threading.Barrier(2)
    runs: list[int] = []

    def take(c: Connection, order: tuple[int, int]) -> None:
        runs.append(order[0])
        blobs.share(c, [segment(order[0], 10**6)])
        if len(runs) <= 2:
            both.wait(5)
        blobs.share(c, [segment(order[1], 10**6)])

    threads = [threading.Thread(target=writer.call, args=(partial(take, order=order),)) for order in ((1, 2), (2, 1))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(runs) == 3
    assert {row[0] for row in conn.driver.execute("SELECT refs FROM blob")} == {3}


def test_closing_a_session_waits_for_its_commits(writer: PostgresWriter, conn: Connection) -> None:
    session = SessionNumber(5)
    writer.call(partial(sessions.create, number=session, role="gateway", now_ms=1))
    inside, closing = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(c: Connection) -> None:
        inside.set()
        closing.wait(5)
        threading.Event().wait(0.05)  # time for a close that would not wait
        add_bucket(c)
        seen.append("put")

    def close() -> None:
        inside.wait(5)
        closing.set()
        writer.call(lambda c: sessions.close(c, session, 2))
        seen.append("closed")

    closer = threading.Thread(target=close)
    closer.start()
    writer.bound_to(session).call(slow)
    closer.join()
    assert seen == ["put", "closed"]
    with pytest.raises(SessionClosed):
        writer.bound_to(session).call(lambda _c: None)
    assert buckets.read(conn, "bucket") is not None


def test_a_bucket_is_not_deleted_under_a_put(writer: PostgresWriter, conn: Connection) -> None:
    writer.call(add_bucket)
    locked, deleting = threading.Event(), threading.Event()

    def slow_put(c: Connection) -> None:
        heads.lock(c, BUCKET, b"k")
        locked.set()
        deleting.wait(5)
        put_inline(c, 1, b"k")

    def delete_if_empty(c: Connection) -> bool:
        deleting.set()
        assert buckets.lock(c, BUCKET) is not None
        return not heads.any_in(c, BUCKET) and buckets.remove(c, BUCKET)

    putter = threading.Thread(target=writer.call, args=(slow_put,))
    putter.start()
    locked.wait(5)
    assert writer.call(delete_if_empty) is False
    putter.join()
    writer.call(lambda c: buckets.remove(c, BUCKET))
    with pytest.raises(BucketGone):
        writer.call(lambda c: heads.lock(c, BUCKET, b"k"))


async def test_a_failed_request_leaves_nothing_and_a_cancelled_wait_commits(
    writer: PostgresWriter, conn: Connection
) -> None:
    def fails(c: Connection) -> None:
        add_bucket(c)
        raise LookupError

    with pytest.raises(LookupError):
        await writer.submit(fails)
    assert buckets.read(conn, "bucket") is None
    started = threading.Event()

    def slow(c: Connection) -> bool:
        started.set()
        return add_bucket(c)

    waiting = asyncio.ensure_future(writer.submit(slow))
    await asyncio.to_thread(started.wait, 5)
    waiting.cancel()
    writer.close()
    assert buckets.read(conn, "bucket") is not None
    with pytest.raises(WriterClosed):
        writer.call(add_bucket)


def test_a_reader_cannot_write_and_sees_one_moment(writer: PostgresWriter, conn: Connection) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        add_bucket(conn)
    with conn.snapshot():
        assert buckets.read(conn, "bucket") is None
        writer.call(add_bucket)
        assert buckets.read(conn, "bucket") is None
    assert buckets.read(conn, "bucket") is not None
