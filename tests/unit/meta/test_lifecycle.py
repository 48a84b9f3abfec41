"""What lifecycle rules look at, and where the work on a bucket stands."""

from __future__ import annotations

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta import bucket_work, heads, lifecycle, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import BUCKET, add_bucket, new_version, put

BEYOND = b"\xff" * 8


def fill(conn: Connection) -> None:
    add_bucket(conn)
    for number, key in enumerate((b"a", b"b", b"b", b"b", b"c\x00", b"d"), 1):
        put(conn, new_version(number, key, is_null=False, marker=number == 4))


def test_versions_come_by_key_and_newest_first(writer: Writer, conn: Connection) -> None:
    writer.call(fill)
    found = lifecycle.versions(conn, BUCKET, b"", BEYOND, 100)
    assert [(each.key, each.id) for each in found] == [
        (b"a", 1),
        (b"b", 4),
        (b"b", 3),
        (b"b", 2),
        (b"c\x00", 5),
        (b"d", 6),
    ]
    assert [bool(each.is_delete_marker) for each in found] == [False, True, False, False, False, False]
    assert [each.id for each in lifecycle.versions(conn, BUCKET, b"b", b"d", 100)] == [4, 3, 2, 5]
    assert [each.id for each in lifecycle.versions(conn, BUCKET, b"", BEYOND, 2)] == [1, 4]
    assert lifecycle.versions(conn, BucketId(404), b"", BEYOND, 100) == []


def test_rest_of_a_chain_is_what_is_older(writer: Writer, conn: Connection) -> None:
    writer.call(fill)
    newest = lifecycle.versions(conn, BUCKET, b"b", b"c", 1)[0]
    assert [each.id for each in lifecycle.rest_of_chain(conn, BUCKET, b"b", newest.seq, 100)] == [3, 2]
    assert [each.id for each in lifecycle.rest_of_chain(conn, BUCKET, b"b", newest.seq, 1)] == [3]


def test_newer_begins_with_the_successor(writer: Writer, conn: Connection) -> None:
    writer.call(fill)
    oldest = lifecycle.versions(conn, BUCKET, b"b", b"c", 10)[-1]
    assert lifecycle.newer(conn, BUCKET, b"b", oldest.seq, 10) == [3, 4]
    assert lifecycle.newer(conn, BUCKET, b"b", oldest.seq, 1) == [3]
    assert lifecycle.is_sole(conn, BUCKET, b"a")
    assert not lifecycle.is_sole(conn, BUCKET, b"b")


def test_storage_class_is_shown_by_the_head_of_the_current_version_only(writer: Writer, conn: Connection) -> None:
    writer.call(fill)

    def move(version: int, key: bytes) -> None:
        def change(locked: Connection) -> None:
            head = heads.lock(locked, BUCKET, key).head
            assert head is not None
            lifecycle.set_storage_class(locked, BUCKET, head, VersionId(version), "GLACIER")

        writer.call(change)

    move(3, b"b")
    move(6, b"d")
    shown = [head.storage_class for key in (b"b", b"d") if (head := heads.read(conn, BUCKET, key))]
    assert shown == ["STANDARD", "GLACIER"]
    kept = [row.storage_class for number in (3, 6, 2) if (row := versions.read(conn, VersionId(number)))]
    assert kept == ["GLACIER", "GLACIER", "STANDARD"]


def test_work_on_a_bucket_is_noted_over_and_forgotten(writer: Writer, conn: Connection) -> None:
    assert bucket_work.read(conn, BUCKET, "walk") is None
    for at_ms, state in ((1, b"first"), (2, b"\x00second")):
        writer.call(lambda c, at_ms=at_ms, state=state: bucket_work.put(c, BUCKET, "walk", at_ms, state))  # type: ignore[misc]
        assert bucket_work.read(conn, BUCKET, "walk") == (at_ms, state)
    writer.call(lambda c: bucket_work.put(c, BUCKET, "other", 3, b""))
    writer.call(lambda c: bucket_work.remove(c, BUCKET, "walk"))
    assert bucket_work.read(conn, BUCKET, "walk") is None
    writer.call(lambda c: bucket_work.remove_all(c, BUCKET))
    assert bucket_work.read(conn, BUCKET, "other") is None
