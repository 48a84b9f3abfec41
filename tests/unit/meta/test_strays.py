from __future__ import annotations

from dataclasses import replace

from cyxcloud.core.ids import BlobId, NodeNumber, ShardId
from cyxcloud.meta import strays
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import StrayRow
from cyxcloud.meta.writer import Writer

NODE = NodeNumber(3)


def stray(blob: int, due_at_ms: int = 10, node: int = NODE) -> StrayRow:
    return StrayRow(NodeNumber(node), BlobId(blob), 0, 5, due_at_ms)


def test_strays_fall_due_by_node_and_time(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: strays.add(c, [stray(1, 20), stray(2, 10), stray(3, 10, node=4), stray(4, 30)]))
    writer.call(lambda c: strays.add(c, [stray(2, 99)]))
    assert strays.due(conn, NODE, 20) == [stray(2, 10), stray(1, 20)]
    assert strays.due(conn, NODE, 20, limit=1) == [stray(2, 10)]
    writer.call(lambda c: strays.remove(c, [stray(2, 10)]))
    assert strays.due(conn, NODE, 20) == [stray(1, 20)]
    assert writer.call(lambda c: strays.remove_node(c, NODE)) == 2
    assert strays.count(conn) == 1


def test_ordered_strays_stay_until_the_receipt(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: strays.add(c, [stray(1), stray(2)]))
    writer.call(lambda c: strays.set_ordered(c, [stray(1)], 7))
    assert strays.due(conn, NODE, 99) == [stray(2)]
    assert writer.call(lambda c: strays.set_unordered(c, NODE, 7)) == 1
    assert len(strays.due(conn, NODE, 99)) == 2
    writer.call(lambda c: strays.set_ordered(c, [stray(1)], 8))
    assert writer.call(lambda c: strays.set_settled(c, NODE, 8)) == 1
    assert strays.count(conn) == 1


def test_find_tells_a_stray_from_one_whose_deletion_is_ordered(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: strays.add(c, [stray(1), stray(2)]))
    writer.call(lambda c: strays.set_ordered(c, [stray(1)], 7))
    assert strays.find(conn, NODE, ShardId(BlobId(1), 0, 5)) == replace(stray(1), sequence=7)
    assert strays.find(conn, NODE, ShardId(BlobId(2), 0, 5)) == stray(2)
    assert strays.find(conn, NODE, ShardId(BlobId(3), 0, 5)) is None
