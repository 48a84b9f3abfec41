from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cyxcloud.core.ids import BlobId, PlacementId
from cyxcloud.meta import blobs, deletions, repairs, segments, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BlobGone
from cyxcloud.meta.rows import ChunkRow, RepairRow, SegmentRow
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import DUE_MS, add_blob, add_bucket, delete, new_version, put, put_inline, segment
from tests.unit.meta.test_listing import memory_database

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])


class ReferenceMachine(RuleBasedStateMachine):
    """Puts, copies of ranges, overwrites, deletes and sweeps; refs must always be the number of live segments."""

    @initialize()
    def open(self) -> None:
        self.conn = memory_database()
        add_bucket(self.conn)
        self.next_id = 1
        self.bodies: dict[bytes, dict[int, tuple[SegmentRow, ...]]] = {}

    def fresh(self) -> int:
        self.next_id += 1
        return self.next_id

    def store(self, key: bytes, pieces: tuple[SegmentRow, ...], *, is_null: bool) -> None:
        number = self.fresh()
        replaced = put(self.conn, new_version(number, key, *pieces, is_null=is_null))
        chain = self.bodies.setdefault(key, {})
        if replaced is not None:
            assert chain.pop(replaced.version.id) == replaced.segments
        chain[number] = pieces

    @rule(key=KEYS, is_null=st.booleans(), inline=st.booleans(), length=st.sampled_from([1, 16384, 16385, 10**7]))
    def put(self, *, key: bytes, is_null: bool, inline: bool, length: int) -> None:
        number = self.fresh()
        if inline:
            blobs.insert_inline(self.conn, BlobId(number), b"body")
        else:
            add_blob(self.conn, number)
        self.store(key, (segment(number, length),), is_null=is_null)

    @rule(key=KEYS)
    def put_empty(self, key: bytes) -> None:
        self.store(key, (segment(self.fresh(), 0),), is_null=True)

    @rule(key=KEYS, sources=st.lists(KEYS, min_size=1, max_size=3), is_null=st.booleans())
    def copy(self, *, key: bytes, sources: list[bytes], is_null: bool) -> None:
        pieces = tuple(piece for source in sources for found in self.bodies.get(source, {}).values() for piece in found)
        if pieces:
            blobs.share(self.conn, pieces)
            self.store(key, pieces, is_null=is_null)

    @rule(key=KEYS, data=st.data())
    def delete(self, key: bytes, data: st.DataObject) -> None:
        chain = self.bodies.get(key)
        if chain:
            number = data.draw(st.sampled_from(sorted(chain)))
            removed = delete(self.conn, key, number)
            assert removed is not None
            assert removed.segments == chain.pop(number)

    @rule()
    def sweep(self) -> None:
        deletions.remove(self.conn, [each.blob for each in deletions.due(self.conn, DUE_MS)])

    @rule(number=st.integers(1, 40))
    def share_of_something_dead_is_refused(self, number: int) -> None:
        if number not in self.counted():
            with pytest.raises(BlobGone):
                blobs.share(self.conn, [segment(number)])

    def counted(self) -> Counter[int]:
        return Counter(
            piece.blob
            for chain in self.bodies.values()
            for pieces in chain.values()
            for piece in pieces
            if piece.length
        )

    @invariant()
    def refs_are_exact(self) -> None:
        driver = self.conn.driver
        stored = dict(
            driver.execute("SELECT id, refs FROM blob WHERE refs > 0 UNION ALL SELECT blob, refs FROM inline")
        )
        assert stored == dict(self.counted())

    @invariant()
    def what_is_queued_is_dead_and_what_is_dead_is_queued(self) -> None:
        driver = self.conn.driver
        dead = {row[0] for row in driver.execute("SELECT id FROM blob WHERE refs = 0")}
        assert dead == {row[0] for row in driver.execute("SELECT blob FROM deletion")}
        chunked = {row[0] for row in driver.execute("SELECT blob FROM chunk")}
        assert chunked == {row[0] for row in driver.execute("SELECT id FROM blob")}

    @invariant()
    def every_version_is_whole(self) -> None:
        for chain in self.bodies.values():
            for number, pieces in chain.items():
                row = versions.read(self.conn, number)  # type: ignore[arg-type]
                assert row is not None
                assert segments.of(self.conn, row) == pieces

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.conn.driver.close()


ReferenceMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestReferences = ReferenceMachine.TestCase


def test_a_failed_share_takes_no_reference(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: add_blob(c, 1))
    with pytest.raises(BlobGone):
        writer.call(lambda c: blobs.share(c, [segment(1, 10**6), segment(2, 10**6)]))
    found = blobs.read(conn, BlobId(1))
    assert found is not None
    assert found.refs == 1


def test_share_takes_blobs_in_id_order(writer: Writer) -> None:
    """Two transactions that take rows in opposite order deadlock on PostgreSQL."""
    assert [each[0] for each in blobs._by_blob([segment(3), segment(1), segment(3), segment(2)])] == [1, 2, 3]


def test_chunks_come_with_their_blob(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: add_blob(c, 1, chunks=3))
    writer.call(add_bucket)
    writer.call(lambda c: put_inline(c, 2, b"k", b"inline"))
    found = blobs.chunks(conn, BlobId(1))
    assert found is not None
    assert (found[0].k, found[0].m, found[0].chunk_count) == (10, 4, 3)
    assert found[1] == [ChunkRow(n, bytes([n]) * 32, PlacementId(n + 1)) for n in range(3)]
    assert blobs.chunks(conn, BlobId(2)) is None
    assert blobs.body(conn, BlobId(2)) == b"inline"
    assert blobs.body(conn, BlobId(1)) is None
    assert blobs.count(conn) == (1, 1)


def test_move_chunk_is_a_compare_and_set(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: add_blob(c, 1))
    old, new = PlacementId(1), PlacementId(77)
    assert writer.call(lambda c: blobs.move_chunk(c, BlobId(1), 0, old=old, new=new))
    assert not writer.call(lambda c: blobs.move_chunk(c, BlobId(1), 0, old=old, new=new))
    assert blobs.in_placement(conn, new) == [(1, 0, b"\x00" * 32)]
    assert blobs.in_placement(conn, old) == []


def test_in_placement_is_paged(writer: Writer, conn: Connection) -> None:
    for number in (1, 2, 3):
        writer.call(partial(add_blob, number=number))
    first = blobs.in_placement(conn, PlacementId(2), limit=2)
    assert [each[:2] for each in first] == [(1, 1), (2, 1)]
    assert [each[:2] for each in blobs.in_placement(conn, PlacementId(2), after=first[-1][:2])] == [(3, 1)]


def test_due_keeps_the_grace_and_remove_forgets_everything(writer: Writer, conn: Connection) -> None:
    writer.call(add_bucket)

    def store(c: Connection) -> None:
        add_blob(c, 1)
        put(c, new_version(1, b"k", segment(1, 10**6)))
        repairs.add(c, [RepairRow(BlobId(1), 0, 3, "missing", 1)])

    writer.call(store)
    writer.call(lambda c: delete(c, b"k", 1))
    assert deletions.due(conn, DUE_MS - 1) == []
    (due,) = deletions.due(conn, DUE_MS)
    assert (due.blob, due.k, due.m, [each.placement for each in due.chunks]) == (1, 10, 4, [1, 2])
    assert deletions.totals(conn) == (1, 1_000_000)
    for _again in range(2):
        writer.call(lambda c: deletions.remove(c, [due.blob]))
        assert deletions.totals(conn) == (0, 0)
        assert blobs.read(conn, BlobId(1)) is None
        assert repairs.count(conn) == 0


def test_remove_never_touches_a_live_blob(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: add_blob(c, 1))
    writer.call(lambda c: deletions.remove(c, [BlobId(1)]))
    assert blobs.read(conn, BlobId(1)) is not None
