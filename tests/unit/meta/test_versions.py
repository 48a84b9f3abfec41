from __future__ import annotations

from functools import partial

import pytest

from cyxcloud.core.ids import BlobId, BucketId, VersionId
from cyxcloud.meta import blobs, heads, reads, segments, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BucketGone
from cyxcloud.meta.rows import Versioning
from cyxcloud.meta.statement import SQLITE
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import (
    ACCOUNT,
    BUCKET,
    add_blob,
    add_bucket,
    delete,
    new_version,
    put,
    put_inline,
    segment,
)


@pytest.fixture(autouse=True)
def _bucket(writer: Writer) -> None:
    writer.call(add_bucket)


def rows(conn: Connection, table: str) -> int:
    count: int = conn.driver.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return count


def test_put_is_read_back_whole_in_one_statement(writer: Writer, conn: Connection) -> None:
    key = b"nul \x00 and \xff"
    writer.call(lambda c: put_inline(c, 1, key, b"ciphertext"))
    statements: list[str] = []
    if conn.dialect == SQLITE:
        conn.driver.set_trace_callback(statements.append)
    found = reads.read_object(conn, "bucket", key)
    assert len(statements) == (1 if conn.dialect == SQLITE else 0)
    assert found.bucket is not None
    assert (found.bucket.id, found.bucket.versioning) == (BUCKET, Versioning.OFF)
    assert found.version is not None
    assert found.version.segment == segment(1, 10)
    assert (found.version.attributes, found.version.seq, found.version.etag) == (b"attributes of 1", 1, "etag-1")
    assert found.body == b"ciphertext"
    assert reads.read_object(conn, "bucket", key, with_body=False).body is None


def test_read_tells_a_missing_bucket_from_a_missing_key(writer: Writer, conn: Connection) -> None:
    assert reads.read_object(conn, "nowhere", b"k").bucket is None
    found = reads.read_object(conn, "bucket", b"k")
    assert found.bucket is not None
    assert found.version is None


def test_overwrite_replaces_the_null_version(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k", b"old"))
    writer.call(lambda c: put_inline(c, 2, b"k", b"new"))
    found = reads.read_object(conn, "bucket", b"k")
    assert found.version is not None
    assert (found.version.id, found.version.seq, found.body) == (2, 2, b"new")
    assert (rows(conn, "version"), rows(conn, "inline"), rows(conn, "head")) == (1, 1, 1)


def test_delete_of_the_last_version_ends_the_key(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k"))
    assert writer.call(lambda c: delete(c, b"k", 1)) is not None
    assert (rows(conn, "version"), rows(conn, "inline"), rows(conn, "head")) == (0, 0, 0)
    assert writer.call(lambda c: delete(c, b"k", 1)) is None


def test_delete_uncovers_the_version_below(writer: Writer, conn: Connection) -> None:
    for number in (1, 2, 3):
        writer.call(partial(put_inline, number=number, key=b"k", body=b"x" * number, is_null=False))
    writer.call(lambda c: delete(c, b"k", 2))
    assert current(conn) == 3
    writer.call(lambda c: delete(c, b"k", 3))
    assert current(conn) == 1
    writer.call(lambda c: put_inline(c, 4, b"k", is_null=False))
    found = reads.read_object(conn, "bucket", b"k")
    assert found.version is not None
    assert found.version.seq == 4, "a number is never given twice while the key lives"


def test_null_version_lives_beside_others_and_is_replaced(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k", b"null"))
    writer.call(lambda c: put_inline(c, 2, b"k", b"named", is_null=False))
    assert reads.read_null(conn, "bucket", b"k").body == b"null"
    assert reads.read_version(conn, "bucket", b"k", VersionId(1)).body == b"null"
    assert reads.read_object(conn, "bucket", b"k").body == b"named"
    writer.call(lambda c: put(c, new_version(3, b"k", marker=True)))
    found = reads.read_null(conn, "bucket", b"k", with_body=False)
    assert found.version is not None
    assert (found.version.id, found.version.is_delete_marker, found.version.segment) == (3, True, None)
    assert reads.read_version(conn, "bucket", b"k", VersionId(1)).version is None
    writer.call(lambda c: delete(c, b"k", 3))
    assert current(conn) == 2
    assert reads.read_null(conn, "bucket", b"k").version is None


def test_delete_of_a_covered_null_version_keeps_the_current_one(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k", b"null"))
    writer.call(lambda c: put_inline(c, 2, b"k", b"named", is_null=False))
    writer.call(lambda c: delete(c, b"k", 1))
    head = heads.read(conn, BUCKET, b"k")
    assert head is not None
    assert (head.version, head.null_version) == (2, None)


def test_version_of_another_key_is_neither_read_nor_removed(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"mine"))
    writer.call(lambda c: put_inline(c, 2, b"other"))
    assert reads.read_version(conn, "bucket", b"mine", VersionId(2)).version is None
    assert writer.call(lambda c: delete(c, b"mine", 2)) is None
    assert rows(conn, "version") == 2


def test_many_segments_are_kept_in_order(writer: Writer, conn: Connection) -> None:
    pieces = tuple(segment(50 + n, 1_000_000, n) for n in range(5))

    def store(c: Connection) -> None:
        for piece in pieces:
            add_blob(c, piece.blob)
        put(c, new_version(1, b"k", *pieces))

    writer.call(store)
    found = reads.read_object(conn, "bucket", b"k")
    assert found.version is not None
    assert (found.version.segment, found.version.segment_count, found.body) == (pieces[0], 5, None)
    assert segments.of(conn, found.version) == pieces
    removed = writer.call(lambda c: delete(c, b"k", 1))
    assert removed is not None
    assert removed.segments == pieces
    assert rows(conn, "segment") == 0
    assert rows(conn, "deletion") == 5


def test_empty_object_refers_to_no_blob(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put(c, new_version(1, b"k", segment(1, 0))))
    found = reads.read_object(conn, "bucket", b"k")
    assert found.version is not None
    assert found.version.segment == segment(1, 0)
    assert found.body is None
    assert writer.call(lambda c: delete(c, b"k", 1)) is not None
    assert rows(conn, "deletion") == 0


def test_lock_of_a_key_in_a_deleted_bucket_says_so(writer: Writer) -> None:
    with pytest.raises(BucketGone):
        writer.call(lambda c: heads.lock(c, BucketId(404), b"k"))


def test_any_in_sees_delete_markers(writer: Writer, conn: Connection) -> None:
    assert not heads.any_in(conn, BUCKET)
    writer.call(lambda c: put(c, new_version(1, b"k", marker=True, is_null=False)))
    assert heads.any_in(conn, BUCKET)


def test_by_content_finds_an_account_s_own(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k"))
    assert [each.id for each in versions.by_content(conn, ACCOUNT, b"o" * 32)] == [1]
    assert versions.by_content(conn, ACCOUNT, b"?" * 32) == []
    assert versions.by_content(conn, ACCOUNT + 1, b"o" * 32) == []  # type: ignore[arg-type]


def test_set_attributes_changes_nothing_else(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k"))
    before = versions.read(conn, VersionId(1))
    assert writer.call(lambda c: versions.set_attributes(c, VersionId(1), b"tagged"))
    after = versions.read(conn, VersionId(1))
    assert before is not None
    assert after is not None
    assert (after.attributes, after.seq, after.segment) == (b"tagged", before.seq, before.segment)
    assert not writer.call(lambda c: versions.set_attributes(c, VersionId(9), b""))
    assert versions.read(conn, VersionId(9)) is None


def test_small_body_of_a_shared_blob_outlives_its_first_owner(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: put_inline(c, 1, b"k", b"body"))

    def copy(c: Connection) -> None:
        blobs.share(c, [segment(1, 4)])
        put(c, new_version(2, b"copy", segment(1, 4)))

    writer.call(copy)
    writer.call(lambda c: delete(c, b"k", 1))
    assert reads.read_object(conn, "bucket", b"copy").body == b"body"
    writer.call(lambda c: delete(c, b"copy", 2))
    assert rows(conn, "inline") == 0


def current(conn: Connection) -> int:
    head = heads.read(conn, BUCKET, b"k")
    assert head is not None
    return head.version


@pytest.mark.parametrize("times_ms", [(1_000_000, 100_000), (1_000_000, 1_000_000), (1_000_000, 1)])
def test_last_writer_is_who_commits_last_whatever_the_clocks_say(
    writer: Writer, conn: Connection, times_ms: tuple[int, int]
) -> None:
    """Two gateways of which one's clock is minutes behind (or was set back): order is the database's sequence."""
    for number, mtime_ms in enumerate(times_ms, start=1):
        writer.call(partial(blobs.insert_inline, blob_id=BlobId(number), body=b"%d" % number))
        new = new_version(number, b"k", segment(number, 1), is_null=False)._replace(mtime_ms=mtime_ms)
        writer.call(partial(put, new=new))
    found = reads.read_object(conn, "bucket", b"k")
    assert found.version is not None
    assert (found.version.id, found.version.seq, found.body) == (2, 2, b"2")
