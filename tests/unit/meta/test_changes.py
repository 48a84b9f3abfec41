"""The log of changes: written for those who follow a bucket, in commit order, for as long as they need it."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from cyxcloud.core.ids import VersionId
from cyxcloud.meta import buckets, changes
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.postgres import PostgresDatabase, PostgresWriter
from cyxcloud.meta.rows import BucketFlags
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import BUCKET, add_bucket, new_version

CAUSE = Cause("ObjectCreated:Copy", "somebody", "10.1.2.3", "R1")
FOLLOWED = BucketFlags.LOGS_CHANGES


def record(conn: Connection, number: int, at_ms: int = 0, flags: BucketFlags = FOLLOWED) -> None:
    changes.record(conn, flags, new_version(number, b"k%d" % number, is_null=number % 2 == 0), CAUSE, at_ms)


def followed(conn: Connection, reader: str = "r") -> None:
    changes.follow(conn, BUCKET, reader)


def seqs(conn: Connection, after: int = 0, limit: int = 100) -> list[int]:
    return [each.seq for each in changes.read(conn, BUCKET, after, limit)]


@pytest.fixture(autouse=True)
def _bucket(writer: Writer | PostgresWriter) -> None:
    writer.call(add_bucket)


def test_record_of_a_bucket_that_nobody_follows_writes_nothing(
    writer: Writer | PostgresWriter, conn: Connection
) -> None:
    writer.call(partial(record, number=1, flags=BucketFlags.OBJECT_LOCK | BucketFlags.QUOTA))
    assert seqs(conn) == []


def test_record_is_read_as_it_was(writer: Writer | PostgresWriter, conn: Connection) -> None:
    writer.call(followed)
    writer.call(partial(record, number=3, at_ms=77))
    writer.call(partial(record, number=4, at_ms=78))
    first, second = changes.read(conn, BUCKET, 0, 10)
    assert first == changes.Change(BUCKET, 1, 77, "ObjectCreated:Copy", b"k3", VersionId(3), 0, "etag-3", CAUSE)
    assert (second.seq, second.version) == (2, None), "a null version has no number outside"
    assert seqs(conn, after=1) == [2]
    assert seqs(conn, limit=1) == [1]


def test_follow_sets_the_flag_until_the_last_reader_leaves(writer: Writer | PostgresWriter, conn: Connection) -> None:
    def flags() -> BucketFlags:
        row = buckets.read_by_id(conn, BUCKET)
        assert row is not None
        return row.flags

    writer.call(followed)
    writer.call(partial(followed, reader="other"))
    writer.call(partial(record, number=1))
    writer.call(lambda c: changes.unfollow(c, BUCKET, "r"))
    assert (flags(), seqs(conn)) == (FOLLOWED, [1])
    writer.call(lambda c: changes.unfollow(c, BUCKET, "other"))
    assert (flags(), seqs(conn)) == (BucketFlags.NONE, [])
    writer.call(lambda c: changes.unfollow(c, BUCKET, "nobody"))


def test_follow_begins_with_the_next_change(writer: Writer | PostgresWriter, conn: Connection) -> None:
    writer.call(followed)
    writer.call(partial(record, number=1))
    writer.call(partial(followed, reader="late"))
    writer.call(followed)
    assert (changes.position(conn, BUCKET, "r"), changes.position(conn, BUCKET, "late")) == (0, 1)
    assert changes.position(conn, BUCKET, "nobody") is None
    assert changes.behind(conn, "late") == []
    assert changes.behind(conn, "r") == [BUCKET]
    writer.call(lambda c: changes.move(c, BUCKET, "r", 1))
    assert changes.behind(conn, "r") == []


def test_trim_keeps_what_the_slowest_has_not_seen_unless_it_is_old(
    writer: Writer | PostgresWriter, conn: Connection
) -> None:
    writer.call(followed)
    writer.call(partial(followed, reader="slow"))
    for number in range(1, 7):
        writer.call(partial(record, number=number, at_ms=number * 10))
    writer.call(lambda c: changes.move(c, BUCKET, "r", 5))
    writer.call(lambda c: changes.move(c, BUCKET, "slow", 2))
    assert changes.slowest(conn, -1, 10) == [(BUCKET, 2)]
    assert writer.call(lambda c: changes.trim(c, BUCKET, seen=2, before_ms=0, limit=10)) == 2
    assert seqs(conn) == [3, 4, 5, 6]
    assert writer.call(lambda c: changes.trim(c, BUCKET, seen=2, before_ms=45, limit=10)) == 2
    assert seqs(conn) == [5, 6]
    assert writer.call(lambda c: changes.trim(c, BUCKET, seen=2, before_ms=45, limit=10)) == 0


def test_remove_all_leaves_nothing_of_a_bucket(writer: Writer | PostgresWriter, conn: Connection) -> None:
    writer.call(followed)
    writer.call(partial(record, number=1))
    writer.call(lambda c: changes.remove_all(c, BUCKET))
    assert (seqs(conn), changes.slowest(conn, -1, 10), changes.position(conn, BUCKET, "r")) == ([], [], None)


async def test_racing_changes_are_numbered_in_commit_order(postgres: PostgresDatabase) -> None:
    """Whoever reads number n finds all below it. Fails where a number is taken without holding its row."""
    writer = postgres.writer()
    writer.start()
    conn = postgres.reader()
    writer.call(add_bucket)
    writer.call(followed)
    seen: list[list[int]] = []

    async def look() -> None:
        while not seen or len(seen[-1]) < 60:
            seen.append(seqs(conn))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(writer.submit(partial(record, number=number)) for number in range(1, 61)))
    await looking
    writer.close()
    assert all(found == list(range(1, len(found) + 1)) for found in seen)
