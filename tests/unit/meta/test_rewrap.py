from __future__ import annotations

from functools import partial

import pytest

from cyxcloud.core.ids import BlobId, UploadId, VersionId
from cyxcloud.meta import parts, rewrap, segments, uploads, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rewrap import START, Change, Place
from cyxcloud.meta.rows import NewPart, NewUpload
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import ACCOUNT, BUCKET, add_bucket, new_version, put, segment

UPLOAD = UploadId(50)


def fill(conn: Connection) -> None:
    add_bucket(conn)
    for number in range(1, 6):
        put(conn, new_version(number, b"k%d" % number, *(segment(number * 10 + n) for n in range(3))))
    uploads.create(conn, NewUpload(UPLOAD, BUCKET, b"up", ACCOUNT, 1, b""))
    for number in (1, 2, 3):
        parts.put(conn, NewPart(UPLOAD, number, 60 + number, 100, "e", 1, b"", (segment(70 + number),)))


def pages(conn: Connection, place: Place, limit: int) -> list[rewrap.WrappedKey]:
    found: list[rewrap.WrappedKey] = []
    while rows := rewrap.page(conn, place, found[-1].row if found else START, limit):
        found += rows
    return found


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_pages_go_through_every_row_once(writer: Writer, conn: Connection, limit: int) -> None:
    writer.call(fill)
    assert [row.blob for row in pages(conn, Place.VERSION, limit)] == [10, 20, 30, 40, 50]
    assert [row.row for row in pages(conn, Place.SEGMENT, limit)] == [(v, n) for v in range(1, 6) for n in (1, 2)]
    assert [row.row for row in pages(conn, Place.PART, limit)] == [(UPLOAD, n) for n in (1, 2, 3)]
    assert rewrap.total(conn) == 5 + 10 + 3


@pytest.mark.parametrize("place", list(Place))
def test_change_writes_the_key_of_its_own_row_and_nothing_else(writer: Writer, conn: Connection, place: Place) -> None:
    writer.call(fill)
    first, *others = rewrap.page(conn, place)
    change = Change(first, b"n" * 40, 2)
    assert writer.call(partial(rewrap.change, place=place, changes=[change])) == 1
    assert rewrap.page(conn, place) == [first._replace(dek=b"n" * 40, key_id=2), *others]


@pytest.mark.parametrize("place", list(Place))
def test_change_leaves_a_row_that_is_not_as_it_was_read(writer: Writer, conn: Connection, place: Place) -> None:
    writer.call(fill)
    first, *_ = before = rewrap.page(conn, place)
    for stale in (first._replace(dek=b"o" * 40), first._replace(blob=BlobId(99)), first._replace(row=(999, 9))):
        assert writer.call(partial(rewrap.change, place=place, changes=[Change(stale, b"n" * 40, 2)])) == 0
    assert rewrap.page(conn, place) == before


def test_changed_keys_are_what_reads_see(writer: Writer, conn: Connection) -> None:
    writer.call(fill)
    for place in Place:
        changes = [Change(row, b"n" * 40, 2) for row in rewrap.page(conn, place)]
        writer.call(partial(rewrap.change, place=place, changes=changes))
    row = versions.read(conn, VersionId(3))
    assert row is not None
    assert segments.of(conn, row) == tuple(segment(30 + n)._replace(dek=b"n" * 40, key_id=2) for n in range(3))
