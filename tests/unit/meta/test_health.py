from __future__ import annotations

from cyxcloud.core.ids import BlobId, NodeId, NodeNumber, PlacementId
from cyxcloud.meta import blobs, health, nodes, placements, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, ChunkRow, NodeRow, PlacementRow, PlacementState, RepairRow, SegmentRow
from cyxcloud.meta.writer import Writer


def node(number: int, state: str) -> NodeRow:
    identity = NodeId(number.to_bytes(32, "big"))
    return NodeRow(NodeNumber(number), identity, f"n{number}", "", "", "", "", "", state, "", 0, 0, 0, 0, 0, 0)


def setup(conn: Connection, states: str) -> None:
    """Nodes by the first letter of their state; 2+1 on nodes 1-3 (placement 1) and 2-4 (placement 2)."""
    names = {"u": "up", "r": "read-only", "d": "down", "l": "lost", "g": "gone"}
    for number, letter in enumerate(states, start=1):
        nodes.upsert(conn, node(number, names[letter]))
    for number in (1, 2):
        members = tuple(NodeNumber(number + at) for at in range(3))
        placements.add(conn, [PlacementRow(PlacementId(number), 2, 1, members, PlacementState.OPEN, None)])


def add(conn: Connection, number: int, *lists: int) -> None:
    rows = [ChunkRow(n, bytes(32), PlacementId(each)) for n, each in enumerate(lists)]
    blobs.insert_chunked(conn, BlobRow(BlobId(number), 1, 10, 2, 1, 1, len(lists)), rows)


def list_bad(conn: Connection, *shards: tuple[int, int, int]) -> None:
    repairs.add(conn, [RepairRow(BlobId(blob), chunk, index, "", 0) for blob, chunk, index in shards])


def test_chunks_are_counted_by_the_shards_that_can_be_had(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: setup(c, "durl"))
    writer.call(lambda c: add(c, 1, 1, 1, 2))
    found = health.read(conn)
    assert (found.chunks, found.by_shards, found.queued) == (3, {2: 3}, 0)
    assert found.used == {1: 0, 2: 0}


def test_an_empty_store_is_whole(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: setup(c, "uuuu"))
    assert health.read(conn) == health.Health(0, {}, 0, {})


def test_listed_shards_count_once(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: setup(c, "uuud"))
    writer.call(lambda c: add(c, 1, 1, 2, 1))
    writer.call(lambda c: list_bad(c, (1, 0, 0), (1, 0, 1), (1, 1, 2)))
    found = health.read(conn)
    assert found.by_shards == {3: 1, 2: 1, 1: 1}, "the last entry is of a node that is down, which counts already"
    assert (found.queued, found.used) == (1, {1: 2, 2: 0})


def test_blobs_on_their_way_out_count_nowhere(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: setup(c, "uuuu"))
    writer.call(lambda c: add(c, 1, 1, 2))
    writer.call(lambda c: add(c, 2, 1))
    writer.call(lambda c: list_bad(c, (1, 0, 0)))
    writer.call(lambda c: blobs.release(c, [SegmentRow(BlobId(1), 0, 10, b"", 0, 1, b"")], 5))
    assert health.read(conn) == health.Health(1, {3: 1}, 0, {PlacementId(1): 0})


def test_chunks_of_a_replaced_placement_are_queued_and_counted_where_they_lie(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: setup(c, "guuu"))
    writer.call(lambda c: add(c, 1, 1, 2))
    writer.call(lambda c: placements.succeed(c, PlacementId(1), PlacementId(2)))
    found = health.read(conn)
    assert (found.by_shards, found.queued) == ({3: 1, 2: 1}, 1)
