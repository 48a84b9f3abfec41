"""A node that dials: served over the connection that it made, as over any other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from cyxcloud.core.certificates import Role
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.wire.arrivals import Arrivals
from cyxcloud.wire.client import GetBatch, Hello, HostClient, HostRefused, HostUnavailable, Status
from nodefs.dialling import Dialling
from nodefs.evidence import EvidenceLog
from nodefs.throttle import Line
from nodefs.tls import Doorman
from tests.unit.nodefs.making import CLUSTER, INCARNATION, batch, pieces
from tests.unit.nodefs.overtls import TlsNode, identity_of, tls_node

BLOB = 7 << 32 | 1
MADE = pieces(419_533, count=2)
CLOCK = SystemClock()


@dataclass(slots=True)
class Side:
    """A process of the fleet where nodes come in."""

    arrivals: Arrivals
    client: HostClient
    address: str


@contextlib.asynccontextmanager
async def accepting(node: NodeId, role: Role = Role.GATEWAY) -> AsyncIterator[Side]:
    shown = identity_of(role)
    arrivals = Arrivals(lambda: shown)
    serving = asyncio.create_task(arrivals.serve("127.0.0.1:0"))
    client = HostClient(arrivals.endpoint(node), Hello(str(role), CLUSTER, INCARNATION))
    await client.start()
    while not arrivals.address:
        await asyncio.sleep(0.01)
    try:
        yield Side(arrivals, client, arrivals.address)
    finally:
        serving.cancel()
        await client.close()


@contextlib.asynccontextmanager
async def dialling(node: TlsNode, *, rate: int = 0) -> AsyncIterator[Dialling]:
    shown = identity_of(Role.NODE, key=next(iter(node.server.stores.values())).folder.identity.private_key)
    doorman = Doorman(CLUSTER, EvidenceLog(node.root / "logs" / "refused.log", CLOCK, node.server.threads))
    dials = Dialling(node.server, doorman, lambda: shown, Line.of(rate, rate, CLOCK))
    try:
        yield dials
    finally:
        dials.close()


async def connected(client: HostClient) -> None:
    async with asyncio.timeout(10):
        while not client.connected:
            await asyncio.sleep(0.01)


async def round_trip(root: Path, rate: int = 0) -> None:
    async with tls_node(root) as node, accepting(node.node_id) as side, dialling(node, rate=rate) as dials:
        dials.told([side.address])
        await connected(side.client)
        assert await side.client.put(batch(MADE, [node.node_id], BLOB)) == {0: Status.OK}
        answer = await side.client.get(GetBatch(BlobId(BLOB), 0, [0], [node.node_id]))
        assert bytes(answer.payload) == MADE.payloads[0]
        with pytest.raises(HostRefused):  # its role is that of its certificate, whoever dialled
            await side.client.verify(node.node_id, ShardId(BlobId(BLOB), 0, 0), 0, b"nonce")


async def test_node_that_dialled_is_asked_as_any_other(tmp_path: Path) -> None:
    await round_trip(tmp_path / "n0")


def test_node_that_dialled_is_asked_on_uvloop(tmp_path: Path) -> None:
    uvloop.run(round_trip(tmp_path / "n0"))


async def test_node_that_dials_keeps_to_its_line(tmp_path: Path) -> None:
    await round_trip(tmp_path / "n0", rate=8 << 20)


async def test_connection_that_was_lost_is_dialled_again(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node, accepting(node.node_id) as side, dialling(node) as dials:
        dials.told([side.address])
        await connected(side.client)
        (before,) = node.server.connections
        assert before.transport is not None
        before.transport.abort()
        while before in node.server.connections or not node.server.connections:
            await asyncio.sleep(0.01)
        await connected(side.client)
        assert await side.client.put(batch(MADE, [node.node_id], BLOB)) == {0: Status.OK}


async def test_node_that_comes_again_ends_its_connection_before(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node, accepting(node.node_id) as side, dialling(node) as dials:
        dials.told([side.address])
        await connected(side.client)
        (before,) = node.server.connections
        async with dialling(node) as others, asyncio.timeout(5):
            others.told([side.address])
            while before in node.server.connections:
                await asyncio.sleep(0.01)


async def test_node_that_nobody_waits_for_is_turned_away(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node, accepting(NodeId(b"s" * 32)) as side, dialling(node) as dials:
        dials.told([side.address])
        await asyncio.sleep(0.3)
        assert not side.client.connected
        side.arrivals.endpoint(node.node_id)
        side.arrivals.forget(node.node_id)


async def test_address_that_is_told_no_more_is_left(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node, accepting(node.node_id) as side, dialling(node) as dials:
        dials.told([side.address])
        await connected(side.client)
        dials.told([])
        async with asyncio.timeout(5):
            while node.server.connections:
                await asyncio.sleep(0.01)


async def test_node_serves_nobody_who_only_answers_in_the_fleets_place(tmp_path: Path) -> None:
    async with (
        tls_node(tmp_path / "n0") as node,
        accepting(node.node_id, Role.NODE) as side,
        dialling(node) as dials,
    ):
        dials.told([side.address])
        await asyncio.sleep(0.3)
        with pytest.raises(HostUnavailable):
            await side.client.stats()
        assert {line["reason"] for line in await node.refused()} == {"a node has no business here"}
