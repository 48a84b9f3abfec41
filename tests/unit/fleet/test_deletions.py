from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cyxcloud.core.ids import BlobId, NodeNumber, PlacementId, ShardId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, cluster, deletions, nodes, orders, strays
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, ChunkRow, DueBlob, SegmentRow, StrayRow
from cyxcloud.wire.memory import StoredShard
from cyxcloud.wire.shardhost import DeleteAnswer
from cyxcloud.wire.status import Status
from fleet.deletions import LOOK_SECONDS, ORDER_MS, Deletions, shards_by_node
from tests.unit.fleet.conftest import CLUSTER, Fleet

ROOT = b"r" * 32
GRACE_MS = 1000


@pytest.fixture
def worker(fleet: Fleet) -> Deletions:
    return Deletions(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, fleet.signer)


def remove_blob(fleet: Fleet, number: int, chunks: int = 2) -> None:
    """A blob whose shards stand on the nodes, and whose last reference has just gone."""
    blob = BlobId(number)
    for chunk in range(chunks):
        for index in range(3):
            host, node = fleet.host_of(index + 1), fleet.rows[index].node_id
            host.shards[node][ShardId(blob, chunk, index)] = StoredShard(b"", b"", b"")
            host._order[node].append(ShardId(blob, chunk, index))
    gone = SegmentRow(blob, 0, chunks, b"", 0, 1, b"")
    due_ms = fleet.store_clock.now_ms() + GRACE_MS

    def change(conn: Connection) -> None:
        rows = [ChunkRow(n, ROOT, PlacementId(1)) for n in range(chunks)]
        blobs.insert_chunked(conn, BlobRow(blob, 1, chunks, 2, 1, 1, chunks), rows)
        blobs.release(conn, [gone], due_ms)

    fleet.writer.call(change)


def left(fleet: Fleet) -> int:
    return sum(len(shards) for host in fleet.hosts for shards in host.shards.values())


def unsettled(fleet: Fleet) -> int:
    return sum(len(orders.unsettled(fleet.reader, row.number)) for row in fleet.rows)


async def test_nothing_goes_before_it_is_due(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1)
    assert await worker.step(3.0) == Idle(3.0 + LOOK_SECONDS)
    assert left(fleet) == 6


async def test_what_is_due_goes_by_signed_orders_with_receipts(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1)
    remove_blob(fleet, 2)
    fleet.clock.advance(GRACE_MS / 1000)
    assert await worker.step(0.0) == Did(2, "deleting")
    assert (left(fleet), unsettled(fleet)) == (0, 0)
    assert deletions.due(fleet.reader, fleet.store_clock.now_ms(), 10) == []
    assert blobs.read(fleet.reader, BlobId(1)) is None
    assert isinstance(await worker.step(1.0), Idle)


async def test_a_node_that_is_away_gets_its_orders_when_it_is_back(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1)
    fleet.clock.advance(GRACE_MS / 1000)
    fleet.hosts[1].available = False
    assert await worker.step(0.0) == Did(1, "deleting")
    assert (left(fleet), unsettled(fleet)) == (2, 1)
    assert isinstance(await worker.step(1.0), Idle)
    fleet.hosts[1].available = True
    assert await worker.step(2.0) == Did(1, "delivering delete orders")
    assert (left(fleet), unsettled(fleet)) == (0, 0)


async def test_orders_of_a_coordinator_that_died_are_sent_by_the_next(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1)
    fleet.clock.advance(GRACE_MS / 1000)
    for host in fleet.hosts:
        host.available = False
    await worker.step(0.0)
    assert (left(fleet), unsettled(fleet)) == (6, 3)
    for host in fleet.hosts:
        host.available = True
    successor = Deletions(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, fleet.signer)
    assert await successor.step(0.0) == Did(3, "delivering delete orders")
    assert (left(fleet), unsettled(fleet)) == (0, 0)


async def test_a_refusal_of_one_node_does_not_hold_up_the_others(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1)
    fleet.clock.advance(GRACE_MS / 1000)
    fleet.hosts[0].state[fleet.rows[0].node_id] = Status.IO_ERROR
    await worker.step(0.0)
    assert (left(fleet), unsettled(fleet)) == (2, 1)


async def test_sequences_of_a_node_go_up(fleet: Fleet, worker: Deletions) -> None:
    for host in fleet.hosts:
        host.available = False
    for number in (1, 2, 3):
        remove_blob(fleet, number)
        fleet.clock.advance(GRACE_MS / 1000)
        await worker.step(0.0)
    for row in fleet.rows[:3]:
        assert [order.sequence for order in orders.unsettled(fleet.reader, row.number)] == sorted(
            {order.sequence for order in orders.unsettled(fleet.reader, row.number)}
        )
        assert len(orders.unsettled(fleet.reader, row.number)) == 3


def members(*numbers: int) -> tuple[NodeNumber, ...]:
    return tuple(NodeNumber(number) for number in numbers)


def test_shards_by_node_names_each_shard_once() -> None:
    due = [
        DueBlob(BlobId(1), 10, 2, 1, (ChunkRow(0, ROOT, PlacementId(1)), ChunkRow(1, ROOT, PlacementId(2)))),
        DueBlob(BlobId(2), 10, 2, 1, (ChunkRow(0, ROOT, PlacementId(1)),)),
    ]
    found = shards_by_node(due, {PlacementId(1): members(7, 8, 9), PlacementId(2): members(9, 7, 5)}, {})
    assert found == {
        7: [ShardId(BlobId(1), 0, 0), ShardId(BlobId(1), 1, 1), ShardId(BlobId(2), 0, 0)],
        8: [ShardId(BlobId(1), 0, 1), ShardId(BlobId(2), 0, 1)],
        9: [ShardId(BlobId(1), 0, 2), ShardId(BlobId(1), 1, 0), ShardId(BlobId(2), 0, 2)],
        5: [ShardId(BlobId(1), 1, 2)],
    }


def test_shards_by_node_names_the_nodes_of_successors_too() -> None:
    due = [DueBlob(BlobId(1), 10, 2, 1, (ChunkRow(0, ROOT, PlacementId(1)),))]
    lists = {PlacementId(1): members(7, 8, 9), PlacementId(2): members(7, 5, 9), PlacementId(3): members(7, 5, 4)}
    found = shards_by_node(due, lists, {PlacementId(1): PlacementId(2), PlacementId(2): PlacementId(3)})
    assert found == {
        7: [ShardId(BlobId(1), 0, 0)],
        **{node: [ShardId(BlobId(1), 0, 1)] for node in (8, 5)},
        **{node: [ShardId(BlobId(1), 0, 2)] for node in (9, 4)},
    }


# Strays


def leave_stray(fleet: Fleet, number: int, index: int, node: int) -> StrayRow:
    """A shard on a node, and the row that says that it may go."""
    shard = ShardId(BlobId(number), 0, index)
    host, node_id = fleet.host_of(node), fleet.rows[node - 1].node_id
    host.shards[node_id][shard] = StoredShard(b"", b"", b"")
    host._order[node_id].append(shard)
    row = StrayRow(NodeNumber(node), shard.blob, 0, index, fleet.store_clock.now_ms() + GRACE_MS)
    fleet.writer.call(lambda conn: strays.add(conn, [row]))
    return row


def add_blob(fleet: Fleet, number: int) -> None:
    def add(conn: Connection) -> None:
        row = BlobRow(BlobId(number), 1, 1, 2, 1, 1, 1)
        blobs.insert_chunked(conn, row, [ChunkRow(0, ROOT, PlacementId(1))])

    fleet.writer.call(add)


async def test_strays_that_are_due_go_by_one_order_a_node(fleet: Fleet, worker: Deletions) -> None:
    leave_stray(fleet, 1, 0, 4)
    leave_stray(fleet, 2, 1, 4)
    assert isinstance(await worker.step(0.0), Idle)
    fleet.clock.advance(GRACE_MS / 1000)
    assert await worker.step(1.0) == Did(2, "deleting")
    assert (left(fleet), unsettled(fleet), strays.count(fleet.reader)) == (0, 0, 0)
    assert orders.next_sequence(fleet.reader, NodeNumber(4)) == 2


async def test_a_stray_whose_node_is_its_home_again_stays(fleet: Fleet, worker: Deletions) -> None:
    add_blob(fleet, 1)
    leave_stray(fleet, 1, 2, 3)
    fleet.clock.advance(GRACE_MS / 1000)
    await worker.step(0.0)
    assert (left(fleet), strays.count(fleet.reader)) == (1, 0)
    assert orders.next_sequence(fleet.reader, NodeNumber(3)) == 1


async def test_a_stray_on_a_node_that_is_away_stays_ordered_until_its_receipt(fleet: Fleet, worker: Deletions) -> None:
    row = leave_stray(fleet, 1, 0, 4)
    fleet.clock.advance(GRACE_MS / 1000)
    fleet.hosts[1].available = False
    await worker.step(0.0)
    assert strays.find(fleet.reader, row.node, ShardId(row.blob, 0, 0)) == replace(row, sequence=1)
    fleet.hosts[1].available = True
    await worker.step(1.0)
    assert (left(fleet), strays.count(fleet.reader)) == (0, 0)


async def test_an_order_that_nobody_can_carry_out_any_more_is_made_anew(fleet: Fleet, worker: Deletions) -> None:
    leave_stray(fleet, 1, 0, 4)
    fleet.clock.advance(GRACE_MS / 1000)
    fleet.hosts[1].available = False
    await worker.step(0.0)
    fleet.clock.advance(ORDER_MS / 1000)
    fleet.hosts[1].available = True
    await worker.step(1.0)
    await worker.step(2.0)
    assert (left(fleet), unsettled(fleet), strays.count(fleet.reader)) == (0, 0, 0)


async def test_nothing_goes_from_a_restored_store_before_it_is_adopted(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1)
    leave_stray(fleet, 2, 0, 4)
    fleet.clock.advance(GRACE_MS / 1000)
    fleet.writer.call(lambda conn: cluster.set_restored(conn, CLUSTER.incarnation, 1))
    assert isinstance(await worker.step(0.0), Idle)
    assert left(fleet) == 7
    fleet.writer.call(cluster.set_adopted)
    assert await worker.step(1.0) == Did(2, "deleting")
    assert left(fleet) == 0


async def test_a_node_that_is_gone_is_sent_nothing(fleet: Fleet, worker: Deletions) -> None:
    remove_blob(fleet, 1, chunks=1)
    leave_stray(fleet, 2, 0, 3)
    fleet.writer.call(lambda conn: nodes.retire(conn, NodeNumber(3), "n3~3", "", 0))
    fleet.clock.advance(GRACE_MS / 1000)
    await worker.step(0.0)
    assert left(fleet) == 2
    assert orders.next_sequence(fleet.reader, NodeNumber(3)) == 1


async def test_a_receipt_that_the_node_has_not_signed_settles_nothing(
    fleet: Fleet, worker: Deletions, tmp_path: Path
) -> None:
    node = fleet.rows[0]
    (tmp_path / "node" / "identity").mkdir(parents=True)
    key = fleet.hosts[0].identities[node.node_id].private_key.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "node" / "identity" / "public_key.pem").write_bytes(pem)
    fleet.writer.call(lambda conn: nodes.upsert(conn, replace(node, endpoint=(tmp_path / "node").as_uri())))
    honest = fleet.hosts[0].delete

    async def forged(order: bytes, signature: bytes) -> DeleteAnswer:
        answer = await honest(order, signature)
        return replace(answer, signature=bytes(64))

    fleet.hosts[0].delete = forged  # type: ignore[method-assign]
    remove_blob(fleet, 1, chunks=1)
    fleet.clock.advance(GRACE_MS / 1000)
    await worker.step(0.0)
    assert len(orders.unsettled(fleet.reader, node.number)) == 1
    fleet.hosts[0].delete = honest  # type: ignore[method-assign]
    await worker.step(1.0)
    assert orders.unsettled(fleet.reader, node.number) == []
