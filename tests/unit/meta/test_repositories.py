from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from cyxcloud.core.ids import AccountId, BlobId, BucketId, NodeId, NodeNumber, PlacementId, SessionNumber
from cyxcloud.meta import accounts, buckets, cluster, nodes, orders, placements, repairs, sessions, usage
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import (
    AccountRow,
    BucketFlags,
    ClusterRow,
    DeleteOrder,
    KeyRow,
    NodeRow,
    PlacementRow,
    PlacementState,
    RepairRow,
    UsageRow,
    Versioning,
)
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import ACCOUNT, BUCKET, add_bucket, bucket_row

ROW = AccountRow(ACCOUNT, "c" * 64, "Ann", "ann@example.com", is_root=True, created_at_ms=1)
KEY = KeyRow("AKEXAMPLE", ACCOUNT, b"sealed\x00", enabled=True, created_at_ms=1, description="first")


def test_accounts_and_keys(writer: Writer, conn: Connection) -> None:
    assert writer.call(lambda c: accounts.create(c, ROW))
    assert not writer.call(lambda c: accounts.create(c, replace(ROW, id=AccountId(8))))
    assert accounts.read(conn, ACCOUNT) == accounts.by_canonical_id(conn, "c" * 64) == ROW
    assert accounts.read(conn, AccountId(404)) is accounts.by_canonical_id(conn, "?") is None
    assert accounts.by_email(conn, "ann@example.com") == accounts.read_all(conn) == [ROW]
    assert writer.call(lambda c: accounts.create_key(c, KEY))
    assert not writer.call(lambda c: accounts.create_key(c, KEY))
    assert accounts.credentials(conn, KEY.access_key) == (KEY, ROW)
    assert accounts.credentials(conn, KEY.access_key.lower()) is None
    assert writer.call(lambda c: accounts.enable_key(c, KEY.access_key, enabled=False))
    assert accounts.keys(conn, ACCOUNT) == [replace(KEY, enabled=False)]
    assert writer.call(lambda c: accounts.remove_key(c, KEY.access_key))
    assert not writer.call(lambda c: accounts.remove_key(c, KEY.access_key))
    assert not writer.call(lambda c: accounts.enable_key(c, KEY.access_key, enabled=True))
    assert accounts.keys(conn, ACCOUNT) == []


def test_buckets_have_one_name(writer: Writer, conn: Connection) -> None:
    assert writer.call(add_bucket)
    assert not writer.call(partial(add_bucket, number=12))
    assert buckets.read(conn, "bucket") == buckets.read_by_id(conn, BUCKET) == bucket_row()
    assert buckets.read(conn, "Bucket") is buckets.read_by_id(conn, BucketId(404)) is None
    assert writer.call(lambda c: buckets.lock(c, BUCKET)) == bucket_row()
    assert writer.call(lambda c: buckets.remove(c, BUCKET))
    assert writer.call(lambda c: buckets.lock(c, BUCKET)) is None
    assert not writer.call(lambda c: buckets.remove(c, BUCKET))


def test_bucket_changes_are_compare_and_set(writer: Writer, conn: Connection) -> None:
    writer.call(add_bucket)
    change = partial(buckets.change, old=bucket_row(), versioning=Versioning.ENABLED, flags=BucketFlags.QUOTA)
    assert writer.call(change)
    assert not writer.call(change)
    changed = bucket_row()._replace(versioning=Versioning.ENABLED, flags=BucketFlags.QUOTA, revision=2)
    assert buckets.read(conn, "bucket") == changed


def test_buckets_of_an_account_are_paged_by_name(writer: Writer, conn: Connection) -> None:
    for number, name in enumerate(("b-1", "a-2", "b.0", "a-10", "b0"), start=1):
        writer.call(partial(add_bucket, number=number, name=name))
    writer.call(lambda c: buckets.create(c, bucket_row(9, "of-another", account=8)))
    names = lambda **options: [row.name for row in buckets.page(conn, ACCOUNT, **options)[0]]  # noqa: E731
    assert names() == ["a-10", "a-2", "b-1", "b.0", "b0"]
    assert names(prefix="b", after="b-1") == ["b.0", "b0"]
    assert names(prefix="b", after="a-2") == ["b-1", "b.0", "b0"]
    assert names(prefix="zz") == []
    rows, more = buckets.page(conn, ACCOUNT, limit=2)
    assert ([row.name for row in rows], more) == (["a-10", "a-2"], True)


def test_sessions_beat_until_they_are_closed_for_ever(writer: Writer, conn: Connection) -> None:
    number = SessionNumber(5)
    create = partial(sessions.create, number=number, role="gateway", now_ms=1)
    assert writer.call(create)
    assert not writer.call(create)
    assert writer.call(lambda c: sessions.beat(c, number))
    (row,) = sessions.open_ones(conn)
    assert (row.number, row.role, row.beat, row.closed_at_ms) == (5, "gateway", 1, None)
    assert writer.call(lambda c: sessions.close_lapsed(c, [(number, 0)], 2)) == [], "it has moved since"
    assert writer.call(lambda c: sessions.close_lapsed(c, [(number, 1)], 2)) == [number]
    assert not writer.call(lambda c: sessions.beat(c, number))
    assert not writer.call(lambda c: sessions.close(c, number, 3))
    assert not writer.call(create), "a number is never used twice"
    assert sessions.open_ones(conn) == []
    assert sessions.read_all(conn) == [replace(row, closed_at_ms=2)] == [sessions.read(conn, number)]
    assert sessions.read(conn, SessionNumber(404)) is None


def node_row(number: int, **changes: object) -> NodeRow:
    row = NodeRow(
        NodeNumber(number), NodeId(bytes([number]) * 32), f"n{number}", "unix:/run/host.sock", "host", "8:1", "", "",
        "up", "", 100, 10, 90, 5, 1, 1,
    )  # fmt: skip
    return replace(row, **changes)  # type: ignore[arg-type]


def test_nodes(writer: Writer, conn: Connection) -> None:
    for number in (2, 1):
        writer.call(partial(nodes.upsert, row=node_row(number)))
    assert nodes.read_all(conn) == [node_row(1), node_row(2)]
    writer.call(lambda c: nodes.upsert(c, node_row(2, endpoint="tcp:1")))
    assert writer.call(lambda c: nodes.set_state(c, NodeNumber(1), "down", "folder gone"))
    assert writer.call(
        lambda c: nodes.set_seen(
            c, NodeNumber(2), total_bytes=1, used_bytes=2, free_bytes=3, shard_count=4, seen_at_ms=5
        )
    )
    seen = {"total_bytes": 1, "used_bytes": 2, "free_bytes": 3, "shard_count": 4, "seen_at_ms": 5}
    assert nodes.read_all(conn) == [
        node_row(1, state="down", reason="folder gone"),
        node_row(2, endpoint="tcp:1", **seen),
    ]
    assert not writer.call(lambda c: nodes.set_state(c, NodeNumber(9), "down"))


def test_placements_keep_their_nodes_and_get_one_successor(writer: Writer, conn: Connection) -> None:
    wide = tuple(NodeNumber(each) for each in (65535, 0, 300, *range(1, 12)))
    first = PlacementRow(PlacementId(1), 10, 4, wide, PlacementState.OPEN, None)
    second = replace(first, id=PlacementId(2))
    assert placements.next_id(conn) == 1
    writer.call(lambda c: placements.add(c, [first, second]))
    assert placements.next_id(conn) == 3
    assert placements.read_all(conn) == [first, second]
    assert writer.call(lambda c: placements.set_state(c, first.id, PlacementState.CLOSED))
    assert writer.call(lambda c: placements.succeed(c, first.id, second.id))
    assert not writer.call(lambda c: placements.succeed(c, first.id, PlacementId(3)))
    assert not writer.call(lambda c: placements.set_state(c, first.id, PlacementState.OPEN))
    assert placements.read(conn, first.id) == replace(first, state=PlacementState.REPLACED, successor=second.id)
    assert placements.read(conn, PlacementId(404)) is None
    with pytest.raises(AssertionError):
        placements.pack_nodes((NodeNumber(1), NodeNumber(1)))


def test_repairs_are_filed_once(writer: Writer, conn: Connection) -> None:
    rows = [RepairRow(BlobId(1), 0, index, "missing", 5) for index in (3, 1)]
    for _again in range(2):
        writer.call(lambda c: repairs.add(c, [*rows, replace(rows[0], reason="again", found_at_ms=9)]))
    assert repairs.count(conn) == 2
    assert repairs.page(conn) == rows[::-1]
    assert repairs.page(conn, after=(1, 0, 1)) == rows[:1]
    assert writer.call(lambda c: repairs.remove(c, BlobId(1), 0, 3))
    assert not writer.call(lambda c: repairs.remove(c, BlobId(1), 0, 3))
    assert writer.call(lambda c: repairs.remove_blob(c, BlobId(1))) == 1


def test_delete_orders_wait_for_their_receipt(writer: Writer, conn: Connection) -> None:
    node = NodeNumber(4)
    assert orders.next_sequence(conn, node) == 1
    made = [DeleteOrder(node, sequence, 1, 2, b"order", b"signature") for sequence in (1, 2)]
    writer.call(lambda c: orders.add(c, [*made, replace(made[0], node=NodeNumber(5))]))
    assert orders.next_sequence(conn, node) == 3
    assert orders.unsettled(conn, node) == made
    settle = partial(orders.settle, node=node, sequence=1, receipt=b"r", receipt_signature=b"s", now_ms=10)
    assert writer.call(settle)
    assert not writer.call(settle)
    assert orders.unsettled(conn, node) == made[1:]
    assert writer.call(lambda c: orders.forget(c, 9)) == 0
    assert writer.call(lambda c: orders.forget(c, 10)) == 1


def test_last_order_is_kept_since_the_next_is_counted_from_it(writer: Writer, conn: Connection) -> None:
    node = NodeNumber(4)
    writer.call(lambda c: orders.add(c, [DeleteOrder(node, number, 1, 2, b"order", b"by") for number in (1, 2, 3)]))
    for number in (1, 2, 3):
        writer.call(partial(orders.settle, node=node, sequence=number, receipt=b"r", receipt_signature=b"s", now_ms=10))
    assert writer.call(lambda c: orders.forget(c, 10)) == 2
    assert orders.next_sequence(conn, node) == 4


def test_usage_is_the_same_before_and_after_folding(writer: Writer, conn: Connection) -> None:
    writer.call(add_bucket)
    for number in range(1, 8):
        delta = 1 if number < 6 else -1
        writer.call(partial(usage.add, bucket_id=BUCKET, delta_id=number, objects=delta, size_bytes=100 * delta))
    for _step in range(4):
        assert usage.of_bucket(conn, BUCKET) == UsageRow(BUCKET, 3, 300)
        writer.call(lambda c: usage.fold(c, limit=3))
    assert writer.call(usage.fold) == 0
    assert usage.of_account(conn, ACCOUNT) == [UsageRow(BUCKET, 3, 300)]
    writer.call(partial(usage.add, bucket_id=BUCKET, delta_id=99, objects=1, size_bytes=1))
    writer.call(lambda c: usage.remove(c, BUCKET))
    assert usage.of_bucket(conn, BUCKET) == UsageRow(BUCKET, 0, 0)


def test_cluster_is_made_once(writer: Writer, conn: Connection) -> None:
    row = ClusterRow(b"c" * 16, b"i" * 16, 1, 5)
    assert cluster.read(conn) is None
    assert writer.call(lambda c: cluster.create(c, row))
    assert not writer.call(lambda c: cluster.create(c, replace(row, cluster_id=b"x" * 16)))
    assert writer.call(lambda c: cluster.set_restored(c, b"j" * 16, 7))
    restored = replace(row, incarnation=b"j" * 16, adopted=False, restored_at_ms=7)
    assert cluster.read(conn) == restored
    assert writer.call(cluster.set_adopted)
    assert cluster.read(conn) == replace(restored, adopted=True)


def test_epochs_are_counted_apart(writer: Writer, conn: Connection) -> None:
    assert cluster.epochs(conn) == cluster.Epochs(topology=0, access=0)
    bumped = [writer.call(lambda c: cluster.bump(c, cluster.Epoch.TOPOLOGY)) for _ in range(2)]
    assert bumped == [1, 2]
    writer.call(lambda c: cluster.bump(c, cluster.Epoch.ACCESS))
    assert cluster.epochs(conn) == cluster.Epochs(topology=2, access=1)


def test_store_clock_never_goes_back(writer: Writer, conn: Connection) -> None:
    assert cluster.clock(conn) is None
    assert writer.call(lambda c: cluster.tick(c, 100, 1000))
    assert not writer.call(lambda c: cluster.tick(c, 99, 1001))
    assert cluster.clock(conn) == (100, 1000)
    assert writer.call(lambda c: cluster.tick(c, 101, 900))
    assert cluster.clock(conn) == (101, 900)


def test_raise_epoch_never_lowers(writer: Writer, conn: Connection) -> None:
    assert cluster.snapshot_sequence(conn) == 0
    for value, expected in ((5, 5), (3, 5), (9, 9)):
        writer.call(lambda c, value=value: cluster.raise_epoch(c, cluster.Epoch.SNAPSHOT, value))  # type: ignore[misc]
        assert cluster.snapshot_sequence(conn) == expected
    assert writer.call(lambda c: cluster.bump(c, cluster.Epoch.SNAPSHOT)) == 10
