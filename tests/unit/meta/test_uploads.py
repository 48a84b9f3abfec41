from __future__ import annotations

from functools import partial

import pytest

from cyxcloud.core.ids import SessionNumber, UploadId
from cyxcloud.meta import blobs, deletions, parts, segments, sessions, uploads
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NewPart, NewUpload, SegmentRow, UploadState
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import ACCOUNT, BUCKET, DUE_MS, add_blob, add_bucket, new_version, put, segment

UPLOAD = UploadId(1)
MINE, OTHER = SessionNumber(5), SessionNumber(6)


def begin(conn: Connection, number: int = UPLOAD, key: bytes = b"k", created_at_ms: int = 1) -> None:
    uploads.create(conn, NewUpload(UploadId(number), BUCKET, key, ACCOUNT, created_at_ms, b"attributes"))


def put_part(conn: Connection, number: int, *segments_of: SegmentRow) -> tuple[SegmentRow, ...]:
    for each in segments_of:
        add_blob(conn, each.blob, chunks=1)
    size = sum(each.length for each in segments_of)
    part_id = 1000 + segments_of[0].blob
    return parts.put(conn, NewPart(UPLOAD, number, part_id, size, f"etag-{number}", 1, b"", segments_of))


def _put_two(number: int, conn: Connection) -> None:
    put_part(conn, number, segment(number, 100), segment(number + 20000, 50))


def state(conn: Connection) -> UploadState:
    row = uploads.read(conn, UPLOAD)
    assert row is not None
    return row.state


@pytest.fixture(autouse=True)
def _begun(writer: Writer) -> None:
    for number in (MINE, OTHER):
        writer.call(partial(sessions.create, number=number, role="gateway", now_ms=1))
    writer.call(add_bucket)
    writer.call(begin)


def test_complete_moves_segments_and_remembers_the_answer(writer: Writer, conn: Connection) -> None:
    chosen = (segment(10, 5 << 20), segment(11, 5 << 20), segment(12, 100))
    unused = segment(13, 5 << 20)
    writer.call(lambda c: put_part(c, 1, *chosen[:2]))
    writer.call(lambda c: put_part(c, 2, chosen[2]))
    writer.call(lambda c: put_part(c, 3, unused))
    frozen = writer.call(lambda c: uploads.freeze(c, UPLOAD, MINE, b"request", 2))
    assert frozen is not None
    assert (frozen.state, frozen.holder, frozen.request) == (UploadState.COMPLETING, MINE, b"request")

    def commit(c: Connection) -> bool:
        put(c, new_version(99, b"k", *chosen))
        parts.take_all(c, UPLOAD)
        blobs.release(c, [unused], DUE_MS)
        return uploads.complete(c, UPLOAD, MINE, b"answer", 3)

    assert writer.call(commit)
    row = uploads.read(conn, UPLOAD)
    assert row is not None
    assert (row.state, row.answer, row.request) == (UploadState.COMPLETED, b"answer", b"request")
    assert parts.all_of(conn, UPLOAD) == []
    assert [each.blob for each in deletions.due(conn, DUE_MS)] == [13]
    for each in chosen:
        found = blobs.read(conn, each.blob)
        assert found is not None
        assert found.refs == 1
    owners = {row[0] for row in conn.driver.execute("SELECT owner FROM segment")}
    assert owners == {99}, "the parts' own segment rows are gone"


def test_freeze_is_exclusive_until_its_session_is_closed(writer: Writer, conn: Connection) -> None:
    freeze = lambda session: writer.call(lambda c: uploads.freeze(c, UPLOAD, session, b"r", 2))  # noqa: E731
    assert freeze(MINE) is not None
    assert freeze(MINE) is not None, "a request that is run again finds its own freeze"
    assert freeze(OTHER) is None
    assert not writer.call(lambda c: uploads.abort(c, UPLOAD, 2))
    assert not writer.call(lambda c: uploads.complete(c, UPLOAD, OTHER, b"", 2))
    assert not writer.call(lambda c: uploads.thaw(c, UPLOAD, OTHER, 2))
    writer.call(lambda c: sessions.close(c, MINE, 3))
    assert freeze(OTHER) is not None
    assert not writer.call(lambda c: uploads.complete(c, UPLOAD, MINE, b"", 4))


def test_abort_takes_over_from_a_closed_session(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: uploads.freeze(c, UPLOAD, MINE, b"r", 2))
    writer.call(lambda c: sessions.close(c, MINE, 3))
    assert writer.call(lambda c: uploads.abort(c, UPLOAD, 4))
    assert state(conn) is UploadState.ABORTED


def test_thaw_opens_again(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: uploads.freeze(c, UPLOAD, MINE, b"r", 2))
    assert writer.call(lambda c: uploads.thaw(c, UPLOAD, MINE, 3))
    row = writer.call(lambda c: uploads.lock(c, UPLOAD))
    assert row is not None
    assert (row.state, row.holder, row.request) == (UploadState.OPEN, None, None)


def test_ended_uploads_change_no_more(writer: Writer, conn: Connection) -> None:
    assert writer.call(lambda c: uploads.abort(c, UPLOAD, 2))
    assert not writer.call(lambda c: uploads.abort(c, UPLOAD, 3))
    assert writer.call(lambda c: uploads.freeze(c, UPLOAD, MINE, b"r", 3)) is None
    assert state(conn) is UploadState.ABORTED
    assert not uploads.any_listed(conn, BUCKET)


def test_spent_uploads_are_swept_in_pages(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_part(c, 1, segment(10, 5 << 20), segment(11, 5 << 20)))
    writer.call(lambda c: put_part(c, 2, segment(12, 5 << 20)))
    assert uploads.spent(conn, 10**6) == []
    writer.call(lambda c: uploads.abort(c, UPLOAD, 2))
    assert [each.id for each in uploads.spent(conn, 0)] == [UPLOAD]
    assert not writer.call(lambda c: uploads.remove(c, UPLOAD))

    def sweep(c: Connection) -> int:
        taken = parts.take_page(c, UPLOAD, limit=1)
        blobs.release(c, taken, DUE_MS)
        return len(taken)

    assert [writer.call(sweep) for _ in range(3)] == [2, 1, 0]
    assert writer.call(lambda c: uploads.remove(c, UPLOAD))
    assert uploads.read(conn, UPLOAD) is None
    assert [each.blob for each in deletions.due(conn, DUE_MS)] == [10, 11, 12]
    assert conn.driver.execute("SELECT count(*) FROM segment").fetchone() == (0,)


def test_completed_uploads_are_kept_for_a_retry(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: uploads.freeze(c, UPLOAD, MINE, b"r", 2))
    writer.call(lambda c: uploads.complete(c, UPLOAD, MINE, b"a", 100))
    assert uploads.spent(conn, 99) == []
    assert [each.id for each in uploads.spent(conn, 100)] == [UPLOAD]


def test_abort_all_leaves_what_is_being_completed(writer: Writer, conn: Connection) -> None:
    writer.call(partial(begin, number=2, key=b"other"))
    writer.call(lambda c: uploads.freeze(c, UPLOAD, MINE, b"r", 2))
    assert writer.call(lambda c: uploads.abort_all(c, BUCKET, 3)) == 1
    assert state(conn) is UploadState.COMPLETING


def test_a_part_put_again_gives_back_the_old_segments(writer: Writer, conn: Connection) -> None:
    first = (segment(10, 5 << 20), segment(11, 5 << 20))
    assert writer.call(lambda c: put_part(c, 7, *first)) == ()
    assert writer.call(lambda c: put_part(c, 7, segment(12, 1 << 20))) == first
    row = parts.read(conn, UPLOAD, 7)
    assert row is not None
    assert segments.of(conn, row) == (segment(12, 1 << 20),)
    assert parts.read(conn, UPLOAD, 8) is None


def test_parts_are_paged_by_number(writer: Writer, conn: Connection) -> None:
    for number in (10000, 3, 1, 2):
        writer.call(partial(_put_two, number))
    rows, more = parts.page(conn, UPLOAD, limit=2)
    assert ([row.number for row in rows], more) == ([1, 2], True)
    rows, more = parts.page(conn, UPLOAD, after=2, limit=2)
    assert ([row.number for row in rows], more) == ([3, 10000], False)
    found = segments.of_parts(conn, UPLOAD, rows)
    assert {number: [each.blob for each in each_of] for number, each_of in found.items()} == {
        3: [3, 20003],
        10000: [10000, 30000],
    }
