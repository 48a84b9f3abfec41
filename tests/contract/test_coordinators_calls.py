"""What a coordinator asks of a host beside shards, on the real server and on the memory fake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.wire.client import HostClient, HostRefused, NodeState, ScrubAction, ShardHost, Status
from cyxcloud.wire.memory import MemoryHost
from nodefs.provision import create_node
from tests.contract.test_shard_host import BLOB, NODES, SMALL, nodes_of, real_host
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, UNSYNCED, batch


def memory_host(role: str) -> MemoryHost:
    return MemoryHost(
        NODES,
        cluster_id=CLUSTER,
        incarnation=INCARNATION,
        coordinator_public_key=COORDINATOR_PUBLIC,
        clock=ManualClock(),
        role=role,
    )


@pytest.fixture(params=["real", "memory"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ShardHost]:
    if request.param == "memory":
        yield memory_host("coordinator")
        return
    async with real_host(tmp_path, "coordinator") as client:
        yield client


@pytest.fixture(params=["real", "memory"])
async def gateways(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ShardHost]:
    if request.param == "memory":
        yield memory_host("gateway")
        return
    async with real_host(tmp_path) as client:
        yield client


def new_node(host: ShardHost, path: Path) -> NodeId:
    if isinstance(host, MemoryHost):
        host.folders[path] = NodeIdentity.generate()
        return host.folders[path].node_id
    return create_node(path, path.name, CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)


async def test_opened_node_is_served_at_once_and_opening_it_again_changes_nothing(
    host: ShardHost, tmp_path: Path
) -> None:
    made = new_node(host, tmp_path / "n9")
    for _ in range(2):
        info = await host.open_node(tmp_path / "n9")
        assert (info.node_id, info.state) == (made, NodeState.UP)
        assert len(await host.stats()) == NODES + 1
    assert set((await host.put(batch(SMALL, [made] * 3, BLOB))).values()) == {Status.OK}


async def test_folder_without_a_node_is_refused_and_not_made(host: ShardHost, tmp_path: Path) -> None:
    with pytest.raises(HostRefused, match="no node here"):
        await host.open_node(tmp_path / "n9")
    assert not (tmp_path / "n9").exists()
    assert len(await host.stats()) == NODES


async def test_pointer_is_what_was_put_last(host: ShardHost) -> None:
    node, other = nodes_of(host, 2)
    assert await host.get_pointer(node) is None
    for pointer in (b"first", b"", b"p" * 65536):
        await host.put_pointer(node, pointer)
        assert await host.get_pointer(node) == pointer
    assert await host.get_pointer(other) is None


async def test_unknown_node_is_refused(host: ShardHost) -> None:
    stranger = NodeId(b"s" * 32)
    with pytest.raises(HostRefused):
        await host.put_pointer(stranger, b"p")
    with pytest.raises(HostRefused):
        await host.get_pointer(stranger)
    with pytest.raises(HostRefused):
        await host.findings(stranger)
    with pytest.raises(HostRefused):
        await host.scrub(ScrubAction.STATUS, [stranger])


async def test_nothing_is_found_on_good_nodes(host: ShardHost) -> None:
    node = nodes_of(host, 1)[0]
    await host.put(batch(SMALL, [node] * 3, BLOB))
    answer = await host.findings(node)
    assert (answer.shards, answer.last) == ([], 0)
    assert [progress.found for progress in await host.scrub(ScrubAction.STATUS)] == [0] * NODES


async def test_scrub_finds_damage_and_numbers_it(host: ShardHost, tmp_path: Path) -> None:
    import asyncio

    node, other = nodes_of(host, 2)
    await host.put(batch(SMALL, [node] * 3 + [other], BLOB))
    damaged = ShardId(BlobId(BLOB), 0, 1)
    if isinstance(host, MemoryHost):
        host.corrupt(node, damaged)
    else:
        name = host.nodes[node].name
        with (tmp_path / name / "data/packs/00000001.pack").open("r+b") as file:
            file.seek(4096 + 8192 + 1000)
            file.write(b"decayed")
    started = await host.scrub(ScrubAction.START, [node])
    assert [progress.node_id for progress in started] == [node]
    async with asyncio.timeout(10):
        while not (await host.findings(node)).shards or (await host.scrub(ScrubAction.STATUS, [node]))[0].running:
            await asyncio.sleep(0.02)
    answer = await host.findings(node)
    assert (answer.shards, answer.last) == ([damaged], 1)
    again = await host.findings(node, after=1)
    assert (again.shards, again.last) == ([], 1)
    (progress,) = await host.scrub(ScrubAction.STATUS, [node])
    assert (progress.found, progress.finished_at_ms) == (1, ManualClock().now_ms())
    (untouched,) = await host.scrub(ScrubAction.STOP, [other])
    assert (untouched.running, untouched.finished_at_ms) == (False, 0)
    assert await host.exists(BlobId(BLOB), 0, [0, 1, 2], [node] * 3) == [Status.OK, Status.NOT_FOUND, Status.OK]


async def test_gateway_may_neither_open_nodes_nor_put_pointers_nor_steer_scrub(
    gateways: ShardHost, tmp_path: Path
) -> None:
    node = nodes_of(gateways, 1)[0]
    new_node(gateways, tmp_path / "n9")
    for refused in (
        gateways.open_node(tmp_path / "n9"),
        gateways.put_pointer(node, b"p"),
        gateways.scrub(ScrubAction.START),
        gateways.scrub(ScrubAction.STOP, [node]),
    ):
        with pytest.raises(HostRefused) as denied:
            await refused
        assert denied.value.status is Status.DENIED
    assert await gateways.get_pointer(node) is None
    assert len(await gateways.scrub(ScrubAction.STATUS)) == NODES
    assert (await gateways.findings(node)).last == 0
    assert len(await gateways.stats()) == NODES


# -- what only the real one has


async def test_findings_outlive_the_host(tmp_path: Path) -> None:
    async with real_host(tmp_path, "coordinator") as client:
        node = nodes_of(client, 1)[0]
        await test_scrub_finds_damage_and_numbers_it(client, tmp_path)
        await client.put_pointer(node, b"where")
    async with real_host(tmp_path, "coordinator") as client:
        answer = await client.findings(node)
        assert (answer.shards, answer.last) == ([ShardId(BlobId(BLOB), 0, 1)], 1)
        assert await client.get_pointer(node) == b"where"
        assert isinstance(client, HostClient)
