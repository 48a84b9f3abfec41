"""What a gateway holds of access logs until it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyxcloud.core.ids import BucketId
from cyxcloud.meta import access_logs
from cyxcloud.meta.access_logs import LogRow
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.writer import Writer
from s3gw import access_log
from s3gw.access_log import HeldLines

BUCKET = BucketId(7)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "meta.db")
    made.upgrade()
    yield made
    made.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    made = database.writer()
    made.start()
    yield made
    made.close()


def held(*numbers: int) -> HeldLines:
    lines = HeldLines()
    for number in numbers:
        lines.add(BUCKET, LogRow(number, number, b"line %d" % number))
    return lines


def written(database: Database) -> list[int]:
    return [row.id for row in access_logs.page(database.reader(), BUCKET, 100)]


async def test_flush_writes_what_is_held_in_batches(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "LINES_A_COMMIT", 2)
    commits = 0

    async def change(function: Callable[[Connection], None]) -> None:
        nonlocal commits
        commits += 1
        await writer.submit(function)

    lines = held(1, 2, 3, 4, 5)
    await lines.flush(change)
    await lines.flush(change)
    assert (written(database), commits) == ([1, 2, 3, 4, 5], 3)


async def test_flush_that_fails_keeps_the_lines_for_the_next_one(database: Database, writer: Writer) -> None:
    async def fails(_function: Callable[[Connection], None]) -> None:
        raise OSError

    lines = held(1, 2)
    with pytest.raises(OSError):
        await lines.flush(fails)
    lines.add(BUCKET, LogRow(3, 3, b"line 3"))
    await lines.flush(writer.submit)
    assert written(database) == [1, 2, 3]


async def test_flush_that_was_done_all_the_same_is_repeated_without_harm(database: Database, writer: Writer) -> None:
    async def unclear(function: Callable[[Connection], None]) -> None:
        await writer.submit(function)
        raise OSError

    lines = held(1, 2)
    with pytest.raises(OSError):
        await lines.flush(unclear)
    await lines.flush(writer.submit)
    assert written(database) == [1, 2]


async def test_lines_beyond_the_bound_are_dropped(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "MAX_HELD", 2)
    await held(1, 2, 3).flush(writer.submit)
    assert written(database) == [1, 2]
