from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cyxcloud.core.clock import ManualClock
from cyxcloud.meta import buckets
from cyxcloud.meta.bucket_changes import BucketChanges
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import BucketFlags, Versioning
from cyxcloud.meta.statement import SQLITE
from cyxcloud.meta.writer import Writer, open_writable
from cyxcloud.objects.bucket_cache import KEEP_SECONDS, BucketCache
from tests.unit.meta.build import BUCKET, add_bucket, bucket_row


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "meta.db")
    made.upgrade()
    yield made
    made.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    """Another process's, as far as the cache can tell."""
    started = database.writer()
    started.start()
    started.call(add_bucket)
    yield started
    started.close()


def reads(reader: Connection) -> list[str]:
    seen: list[str] = []
    reader.driver.set_trace_callback(seen.append)
    return seen


def cache_of(database: Database, clock: ManualClock | None = None, *, limit: int = 100) -> BucketCache:
    return BucketCache(database.reader(), BucketChanges(database.path.parent), clock or ManualClock(), limit)


def test_find_reads_a_row_once(database: Database, writer: Writer) -> None:
    cache = cache_of(database)
    first = cache.find("bucket")
    seen = reads(database.reader())
    assert cache.find("bucket") is first is not None
    assert not seen


def test_find_sees_what_was_changed_elsewhere(database: Database, writer: Writer) -> None:
    cache = cache_of(database)
    before = cache.find("bucket")
    assert before is not None
    assert writer.call(lambda conn: buckets.change(conn, before, versioning=Versioning.OFF, flags=BucketFlags.QUOTA))
    after = cache.find("bucket")
    assert after is not None
    assert (after.flags, after.revision) == (BucketFlags.QUOTA, before.revision + 1)


def test_find_sees_a_bucket_removed_and_made_again(database: Database, writer: Writer) -> None:
    cache = cache_of(database)
    cache.find("bucket")
    writer.call(lambda conn: buckets.remove(conn, BUCKET))
    assert cache.find("bucket") is None
    writer.call(lambda conn: buckets.create(conn, bucket_row(12, "bucket")))
    found = cache.find("bucket")
    assert found is not None
    assert found.id == 12


def test_find_trusts_an_uncounted_change_for_a_second_at_most(database: Database, writer: Writer) -> None:
    """A writer killed between COMMIT and the count."""
    clock = ManualClock()
    cache = cache_of(database, clock)
    cache.find("bucket")
    killed = Connection(open_writable(database.path), SQLITE)
    buckets.remove(killed, BUCKET)
    killed.driver.close()
    clock.elapsed += KEEP_SECONDS
    assert cache.find("bucket") is None


def test_find_keeps_a_bounded_number(database: Database, writer: Writer) -> None:
    for number in range(20, 25):
        writer.call(partial(add_bucket, number=number, name=f"other-{number}"))
    cache = cache_of(database, limit=3)
    for number in range(20, 25):
        assert cache.find(f"other-{number}") is not None
        assert len(cache._kept) <= 3
