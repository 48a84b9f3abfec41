"""One suite for every ShardHost: the real server behind its socket, the same over TLS, and the memory fake."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from cyxcloud.core.certificates import Role
from cyxcloud.core.clock import ManualClock
from cyxcloud.core.ids import BlobId, NodeId, SessionNumber, ShardId
from cyxcloud.core.merkle import block_hashes, chunk_root_and_proofs, root_from_proof, tree_root
from cyxcloud.wire.client import (
    GetBatch,
    Hello,
    HostClient,
    HostRefused,
    HostUnavailable,
    NodeState,
    ShardHost,
    Status,
)
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.orders import decode_receipt, order_hash
from nodefs.app import NodeHost
from nodefs.provision import create_node
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, UNSYNCED, batch, pieces, signed_order
from tests.unit.nodefs.overtls import client_of, tls_node

NODES = 4
BLOB = 7 << 32 | 1
SMALL = pieces(6556)
BIG = pieces(419_533)


@contextlib.asynccontextmanager
async def real_host(folder: Path, role: str = "gateway") -> AsyncIterator[HostClient]:
    folders = [folder / f"n{number}" for number in range(NODES)]
    for path in folders:
        if not path.exists():
            create_node(path, path.name, CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    running = asyncio.create_task(NodeHost(folders, folder / "sock", clock=ManualClock()).run())
    client = HostClient(folder / "sock", Hello(role, CLUSTER, INCARNATION))
    try:
        await client.start(10)
        yield client
    finally:
        await client.close()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture(params=["real", "tls", "memory"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ShardHost]:
    if request.param == "real":
        async with real_host(tmp_path) as client:
            yield client
    elif request.param == "tls":
        # One node, as on every other box; the coordinator may ask for all that the suite asks for.
        async with tls_node(tmp_path / "n0") as node, client_of(node, Role.COORDINATOR) as client:
            yield client
    else:
        yield MemoryHost(
            NODES,
            cluster_id=CLUSTER,
            incarnation=INCARNATION,
            coordinator_public_key=COORDINATOR_PUBLIC,
            clock=ManualClock(),
        )


def nodes_of(host: ShardHost, count: int = 14) -> list[NodeId]:
    """More shards than nodes: some nodes take several."""
    known = sorted(host.nodes)
    return [known[at % len(known)] for at in range(count)]


@pytest.mark.parametrize("made", [SMALL, BIG], ids=["small", "big"])
async def test_what_is_put_is_got_and_proves_itself(host: ShardHost, made: object) -> None:
    shards = SMALL if made is SMALL else BIG
    nodes = nodes_of(host)
    statuses = await host.put(batch(shards, nodes, BLOB))
    assert statuses == dict.fromkeys(range(14), Status.OK)
    answer = await host.get(GetBatch(BlobId(BLOB), 0, range(14), nodes))
    assert answer.statuses == [Status.OK] * 14
    assert bytes(answer.payload) == b"".join(shards.payloads)
    root, _ = chunk_root_and_proofs([tree_root(block_hashes(payload)) for payload in shards.payloads])
    for index in range(14):
        leaves = [answer.hashes[index][at : at + 32] for at in range(0, len(answer.hashes[index]), 32)]
        assert root_from_proof(tree_root(leaves), index, 14, answer.proofs[index]) == root


async def test_many_at_once(host: ShardHost) -> None:
    nodes = nodes_of(host)

    async def one(number: int) -> None:
        shards = BIG if number % 8 == 0 else SMALL
        assert set((await host.put(batch(shards, nodes, BLOB + number))).values()) == {Status.OK}
        answer = await host.get(GetBatch(BlobId(BLOB + number), 0, range(10), nodes[:10]))
        assert bytes(answer.payload) == b"".join(shards.payloads[:10])

    await asyncio.gather(*(one(number) for number in range(32)))


async def test_get_into_a_given_buffer(host: ShardHost) -> None:
    nodes = nodes_of(host)
    await host.put(batch(BIG, nodes, BLOB))
    target = bytearray(10 * 419_533)
    answer = await host.get(GetBatch(BlobId(BLOB), 0, range(10), nodes[:10]), memoryview(target))
    assert answer.payload.obj is target
    assert bytes(target) == b"".join(BIG.payloads[:10])


async def test_get_of_blocks_and_of_what_is_missing(host: ShardHost) -> None:
    nodes = nodes_of(host)
    await host.put(batch(BIG, nodes[:12], BLOB))
    stranger = NodeId(b"s" * 32)
    asked = GetBatch(BlobId(BLOB), 0, [3, 12, 0, 9], [nodes[3], nodes[5], stranger, nodes[9]], 2, 3)
    answer = await host.get(asked)
    assert answer.statuses == [Status.OK, Status.NOT_FOUND, Status.DOWN, Status.OK]
    assert answer.part_bytes == 3 * 65536
    assert answer.shard_size == 419_533
    start, end = 2 * 65536, 5 * 65536
    assert bytes(answer.payload) == BIG.payloads[3][start:end] + BIG.payloads[9][start:end]
    assert answer.hashes == [BIG.hashes[3], BIG.hashes[9]]
    assert answer.proofs == [BIG.proofs[3], BIG.proofs[9]]
    nothing = await host.get(GetBatch(BlobId(BLOB + 9), 0, [1], [nodes[1]]))
    assert nothing.statuses == [Status.NOT_FOUND]
    assert len(nothing.payload) == 0


async def test_put_twice_and_put_otherwise(host: ShardHost) -> None:
    nodes = nodes_of(host)
    await host.put(batch(SMALL, nodes, BLOB))
    assert set((await host.put(batch(SMALL, nodes, BLOB))).values()) == {Status.OK}
    assert set((await host.put(batch(pieces(6556, seed=3), nodes, BLOB))).values()) == {Status.CONFLICT}


async def test_put_to_an_unknown_node_is_down_and_the_others_are_stored(host: ShardHost) -> None:
    nodes = nodes_of(host)
    nodes[2] = NodeId(b"s" * 32)
    statuses = await host.put(batch(SMALL, nodes, BLOB))
    assert statuses.pop(2) is Status.DOWN
    assert set(statuses.values()) == {Status.OK}


async def test_verified_put_refuses_a_wrong_payload(host: ShardHost) -> None:
    lying = pieces(6556)
    lying.payloads[1] = bytes(6556)
    statuses = await host.put(batch(lying, nodes_of(host, 3), BLOB, verify=True))
    assert statuses == {0: Status.OK, 1: Status.CORRUPT, 2: Status.OK}


async def test_exists(host: ShardHost) -> None:
    nodes = nodes_of(host, 3)
    await host.put(batch(SMALL, nodes[:2], BLOB))
    assert await host.exists(BlobId(BLOB), 0, [0, 1, 2], nodes) == [Status.OK, Status.OK, Status.NOT_FOUND]


async def test_delete_by_order(host: ShardHost) -> None:
    nodes = nodes_of(host, 2)
    await host.put(batch(SMALL, nodes, BLOB))
    shards = [ShardId(BlobId(BLOB), 0, 0), ShardId(BlobId(BLOB), 0, 9)]
    order, signature = signed_order(nodes[0], shards, ManualClock().now_ms())
    answer = await host.delete(order, signature)
    assert answer.statuses == [Status.OK, Status.NOT_FOUND]
    assert decode_receipt(answer.receipt).order_hash == order_hash(order)
    assert await host.exists(BlobId(BLOB), 0, [0, 1], nodes) == [Status.NOT_FOUND, Status.OK]


async def test_order_again_is_answered_again_and_an_older_one_refused(host: ShardHost) -> None:
    node = nodes_of(host, 1)[0]
    await host.put(batch(SMALL, [node] * 2, BLOB))
    now_ms = ManualClock().now_ms()
    orders = [signed_order(node, [ShardId(BlobId(BLOB), 0, index)], now_ms, sequence=7 + index) for index in range(2)]
    answers = [await host.delete(*order) for order in orders]
    await host.put(batch(SMALL, [node] * 2, BLOB))
    assert await host.delete(*orders[1]) == answers[1]
    with pytest.raises(HostRefused, match="carried out") as refused:
        await host.delete(*orders[0])
    assert refused.value.status is Status.DENIED
    assert await host.exists(BlobId(BLOB), 0, [0, 1], [node] * 2) == [Status.OK] * 2


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"incarnation": b"incarnation-two!"}, Status.WRONG_INCARNATION),
        ({"cluster_id": b"another-cluster!"}, Status.DENIED),
        ({"expires_at_ms": 1}, Status.DENIED),
        ({"node_id": NodeId(b"s" * 32)}, Status.DOWN),
    ],
)
async def test_order_that_is_not_for_this_node_now_is_refused(
    host: ShardHost, changes: dict[str, object], status: Status
) -> None:
    nodes = nodes_of(host, 1)
    await host.put(batch(SMALL, nodes, BLOB))
    shards = [ShardId(BlobId(BLOB), 0, 0)]
    with pytest.raises(HostRefused) as refused:
        await host.delete(*signed_order(nodes[0], shards, ManualClock().now_ms(), **changes))
    assert refused.value.status is status
    assert await host.exists(BlobId(BLOB), 0, [0], nodes) == [Status.OK]


async def test_order_with_a_forged_signature_is_refused(host: ShardHost) -> None:
    nodes = nodes_of(host, 1)
    order, signature = signed_order(nodes[0], [ShardId(BlobId(BLOB), 0, 0)], ManualClock().now_ms())
    with pytest.raises(HostRefused) as refused:
        await host.delete(order, bytes(64))
    assert refused.value.status is Status.DENIED
    with pytest.raises(HostRefused):
        await host.delete(order + b"\x38\x02", signature)


async def test_list_pages_in_order_and_by_session(host: ShardHost) -> None:
    node = nodes_of(host, 1)[0]
    blobs = [5 << 32 | 1, BLOB, BLOB + 1, 9 << 32 | 4]
    for blob in blobs:
        await host.put(batch(SMALL, [node] * 3, blob))
    everything = [ShardId(BlobId(blob), 0, index) for blob in blobs for index in range(3)]
    first = await host.list_shards(node, limit=5)
    assert first.shards == everything[:5]
    assert first.more
    assert len(first.sizes) == 5
    rest = await host.list_shards(node, after=first.shards[-1], limit=100)
    assert rest.shards == everything[5:]
    assert not rest.more
    ours = await host.list_shards(node, session=SessionNumber(7))
    assert ours.shards == everything[3:9]
    after = await host.list_shards(node, after=everything[4], session=SessionNumber(7))
    assert after.shards == everything[5:9]


async def test_verify_answers_for_one_block(host: ShardHost) -> None:
    from blake3 import blake3

    node = nodes_of(host, 1)[0]
    await host.put(batch(BIG, [node], BLOB))
    answer = await host.verify(node, ShardId(BlobId(BLOB), 0, 0), 1, b"nonce")
    assert answer.status is Status.OK
    assert answer.block_hashes == BIG.hashes[0]
    assert answer.proof == BIG.proofs[0]
    assert answer.answer == blake3(b"nonce" + BIG.payloads[0][65536:131072]).digest()
    missing = await host.verify(node, ShardId(BlobId(BLOB), 0, 8), 0, b"nonce")
    assert missing.status is Status.NOT_FOUND


async def test_stats_count_what_is_there(host: ShardHost) -> None:
    nodes = nodes_of(host, 2)
    await host.put(batch(SMALL, nodes, BLOB))
    infos = {info.node_id: info for info in await host.stats()}
    assert infos.keys() == host.nodes.keys()
    assert all(info.state is NodeState.UP for info in infos.values())
    assert infos[nodes[0]].shard_count == nodes.count(nodes[0])
    assert infos[nodes[0]].used_bytes >= 6556
    assert host.nodes[nodes[0]].shard_count == nodes.count(nodes[0])


async def test_unavailable_host_says_so(host: ShardHost) -> None:
    nodes = nodes_of(host)
    await host.close()
    assert not host.connected
    with pytest.raises(HostUnavailable):
        await host.put(batch(SMALL, nodes, BLOB))
    with pytest.raises(HostUnavailable):
        await host.get(GetBatch(BlobId(BLOB), 0, [0], nodes[:1]))


# -- what only the real one has


async def test_restarted_host_has_everything_and_clients_come_back(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        await client.put(batch(BIG, nodes, BLOB))
    async with real_host(tmp_path) as client:
        answer = await client.get(GetBatch(BlobId(BLOB), 0, range(14), nodes))
        assert bytes(answer.payload) == b"".join(BIG.payloads)


async def test_writes_of_another_incarnation_or_cluster_are_refused(tmp_path: Path) -> None:
    async with real_host(tmp_path) as first:
        nodes = nodes_of(first)
        for hello, status in (
            (Hello("gateway", CLUSTER, b"incarnation-two!"), Status.WRONG_INCARNATION),
            (Hello("gateway", b"another-cluster!", INCARNATION), Status.DENIED),
        ):
            client = HostClient(tmp_path / "sock", hello)
            await client.start(5)
            assert set((await client.put(batch(SMALL, nodes, BLOB))).values()) == {status}
            await client.close()


async def test_unknown_role_is_turned_away(tmp_path: Path) -> None:
    async with real_host(tmp_path):
        client = HostClient(tmp_path / "sock", Hello("stranger", CLUSTER, INCARNATION))
        with pytest.raises(HostUnavailable):
            await client.start(0.1)
        await client.close()


async def test_node_without_its_folder_is_lost_and_the_others_serve(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
    (tmp_path / "n3").rename(tmp_path / "moved")
    folders = [tmp_path / f"n{number}" for number in range(NODES)]
    running = asyncio.create_task(NodeHost(folders, tmp_path / "sock").run())
    client = HostClient(tmp_path / "sock", Hello("gateway", CLUSTER, INCARNATION))
    try:
        await client.start(10)
        infos = {info.name: info for info in await client.stats()}
        assert infos["n3"].state is NodeState.LOST
        assert "no node here" in infos["n3"].reason
        statuses = await client.put(batch(SMALL, nodes, BLOB))
        assert set(statuses.values()) == {Status.OK, Status.DOWN}
        assert not (tmp_path / "n3").exists()
    finally:
        await client.close()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_garbage_ends_only_its_own_connection(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        for data in (os.urandom(500), b"\xff\xff\xff\xff", b"\x00\x00\x00\x02\x08\x01", b"\x00\x00\x00\x03\x1a\x05x"):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
            writer.write(data)
            writer.write_eof()
            await reader.read()
            writer.close()
        assert set((await client.put(batch(SMALL, nodes_of(client), BLOB))).values()) == {Status.OK}


async def test_late_answers_are_dropped_and_leave_the_callers_buffer_alone(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        await client.put(batch(BIG, nodes, BLOB))
        asked = GetBatch(BlobId(BLOB), 0, range(10), nodes[:10])
        target = bytearray(10 * 419_533)
        with pytest.raises(HostUnavailable, match="deadline"):
            await client.get(asked, memoryview(target), seconds=0.0)
        target[:] = bytes(len(target))
        answer = await client.get(replace(asked, indexes=range(10)))
        assert bytes(answer.payload) == b"".join(BIG.payloads[:10])
        assert not any(target)


async def round_trip(client: HostClient) -> bytes:
    nodes = nodes_of(client)
    await client.put(batch(BIG, nodes, BLOB))
    return bytes((await client.get(GetBatch(BlobId(BLOB), 0, range(14), nodes))).payload)


def test_host_and_client_work_on_uvloop(tmp_path: Path) -> None:
    async def run() -> bytes:
        async with real_host(tmp_path) as client:
            return await round_trip(client)

    assert uvloop.run(run()) == b"".join(BIG.payloads)


def test_host_and_client_work_on_uvloop_over_tls(tmp_path: Path) -> None:
    async def run() -> bytes:
        async with tls_node(tmp_path / "n0") as node, client_of(node, Role.GATEWAY) as client:
            return await round_trip(client)

    assert uvloop.run(run()) == b"".join(BIG.payloads)
