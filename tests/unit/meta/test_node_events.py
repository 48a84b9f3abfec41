"""The history of nodes, join tokens and denied keys, as rows."""

from __future__ import annotations

from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.meta import cluster, denials, join_tokens, node_events
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.join_tokens import JoinTokenRow
from cyxcloud.meta.node_events import NodeEvent
from cyxcloud.meta.postgres import PostgresWriter
from cyxcloud.meta.writer import Writer

Writes = Writer | PostgresWriter
ONE, OTHER = NodeNumber(1), NodeNumber(2)
TOKEN = JoinTokenRow(b"h" * 32, "z", "o", "r", 5, 105)


def test_events_are_numbered_by_node_and_read_from_the_newest(writer: Writes, conn: Connection) -> None:
    assert writer.call(lambda at: node_events.record(at, ONE, 5, "joined", {"name": "n1"})) == 1
    assert writer.call(lambda at: node_events.record(at, OTHER, 6, "joined", {})) == 1
    assert writer.call(lambda at: node_events.record(at, ONE, 7, "audited", {"passed": False}, b"evidence")) == 2
    assert node_events.page(conn, ONE) == [
        NodeEvent(ONE, 2, 7, "audited", {"passed": False}, b"evidence"),
        NodeEvent(ONE, 1, 5, "joined", {"name": "n1"}),
    ]


def test_events_come_in_pages(writer: Writes, conn: Connection) -> None:
    for at_ms in range(5):
        writer.call(lambda at, at_ms=at_ms: node_events.record(at, ONE, at_ms, "seen", {}))  # type: ignore[misc]
    newest = node_events.page(conn, ONE, 2)
    assert [each.seq for each in newest] == [5, 4]
    assert [each.seq for each in node_events.page(conn, ONE, 2, newest[-1].seq)] == [3, 2]


def test_token_is_used_once(writer: Writes, conn: Connection) -> None:
    writer.call(lambda at: join_tokens.add(at, TOKEN))
    assert join_tokens.read(conn, TOKEN.token_hash) == TOKEN
    assert writer.call(lambda at: join_tokens.use(at, TOKEN.token_hash, ONE, 50))
    assert not writer.call(lambda at: join_tokens.use(at, TOKEN.token_hash, OTHER, 60))
    (used,) = join_tokens.read_all(conn)
    assert (used.used_at_ms, used.node) == (50, ONE)
    assert join_tokens.read(conn, b"other") is None


def test_denying_a_key_moves_the_epoch_once(writer: Writes, conn: Connection) -> None:
    key = NodeId(b"k" * 32)
    before = cluster.epochs(conn).trust
    assert writer.call(lambda at: denials.add(at, key, 5, "stolen"))
    assert not writer.call(lambda at: denials.add(at, key, 6, "stolen again"))
    assert denials.read_all(conn) == {key}
    assert cluster.epochs(conn).trust == before + 1
