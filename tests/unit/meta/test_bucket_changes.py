from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator

import pytest

from cyxcloud.meta import buckets, usage
from cyxcloud.meta.bucket_changes import BucketChanges
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import BucketFlags, Versioning
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import BUCKET, add_bucket, bucket_row


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    started = database.writer()
    started.start()
    yield started
    started.close()


@pytest.fixture
def changes(database: Database) -> BucketChanges:
    return BucketChanges(database.path.parent)


def test_count_is_one_for_all_who_open_it(database: Database, changes: BucketChanges) -> None:
    changes.add()
    assert BucketChanges(database.path.parent).count() == changes.count() == 1


def test_count_moves_with_each_change_of_a_bucket(writer: Writer, changes: BucketChanges) -> None:
    seen = [changes.count()]
    for request in (
        add_bucket,
        lambda conn: buckets.change(conn, bucket_row(), versioning=Versioning.OFF, flags=BucketFlags.QUOTA),
        lambda conn: buckets.remove(conn, BUCKET),
    ):
        assert writer.call(request)
        seen.append(changes.count())
    assert len(set(seen)) == len(seen)


def test_count_stands_still_for_everything_else(writer: Writer, changes: BucketChanges) -> None:
    writer.call(lambda conn: usage.add(conn, BUCKET, 1, objects=1, size_bytes=1))
    assert changes.count() == 0


async def test_count_moves_before_the_answer_of_a_batch_done_again(writer: Writer, changes: BucketChanges) -> None:
    """What was lost with the first transaction commits alone: that has to be counted too."""

    def breaks(conn: Connection) -> None:
        conn.script("ROLLBACK")
        raise sqlite3.OperationalError("gone")

    added = asyncio.ensure_future(writer.submit(add_bucket))
    broken = asyncio.ensure_future(writer.submit(breaks))
    assert await added
    assert changes.count() > 0
    with pytest.raises(sqlite3.OperationalError):
        await broken
