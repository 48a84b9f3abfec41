"""Heartbeats over real TLS: a node's sender against the coordinator's listener, away, back, renewed and impersonated."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import heartbeats, nodes
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import NodeRow
from cyxcloud.wire.fleetpeer import coordinator_context
from cyxcloud.wire.heartbeat import CONTENT_TYPE, Answer, Heartbeat, Serving, sign_heartbeat
from fleet import beatroute
from fleet.beatroute import HeartbeatRoute
from fleet.heartbeats import Heartbeats
from fleet.storeclock import CoordinatorClock
from nodefs.heartbeat import FleetAddress, HeartbeatSender
from nodefs.sequence import Sequence

CLOCK = SystemClock()
AUTHORITY = Authority(bytes(range(32)), b"c" * 16)
NUMBER = NodeNumber(1)
SETTINGS = FleetSettings(offline_after=5.0)


def certified(role: Role, key: Ed25519PrivateKey | None = None) -> TlsIdentity:
    key = key or Ed25519PrivateKey.generate()
    issued = AUTHORITY.issue(key.public_key().public_bytes_raw(), role, CLOCK.now_ms())
    return TlsIdentity(AUTHORITY.certificate, issued, key)


class WrongClock(SystemClock):
    """A box whose clock is off, by as much as it is told."""

    off_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.off_ms


@dataclass(slots=True)
class Coordinator:
    database: Database
    heartbeats: Heartbeats
    identity: TlsIdentity = field(default_factory=lambda: certified(Role.COORDINATOR))
    port: int = 0
    _runner: web.AppRunner | None = None

    async def listen(self) -> None:
        app = web.Application()
        app.add_routes(HeartbeatRoute(self.heartbeats, CLOCK).routes())
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        context = self.identity.server_context(demand_client=False)
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def go(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def connections(self) -> int:
        assert self._runner is not None
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    def sequence(self) -> int:
        beat = self.heartbeats.last_of(NUMBER)
        return beat.heartbeat.sequence if beat is not None else 0


@dataclass(slots=True)
class Node:
    identity: NodeIdentity
    path: Path
    coordinator: Coordinator
    clock: WrongClock = field(default_factory=WrongClock)
    tls: TlsIdentity = field(init=False)
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tls = certified(Role.NODE, self.identity.private_key)

    def report(self, sequence: int, timestamp_ms: int, state: Serving) -> Heartbeat:
        return Heartbeat(self.identity.node_id, timestamp_ms, sequence, 1000, 400, 600, 10, 7, state=state)

    def sender(self) -> HeartbeatSender:
        return HeartbeatSender(
            FleetAddress(f"https://127.0.0.1:{self.coordinator.port}/"),
            self.identity,
            lambda: self.tls,
            report=self.report,
            sequence=Sequence(self.path),
            clock=self.clock,
            on_answer=self.answers.append,
        )


Make = Callable[[], Node]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    identity = NodeIdentity.generate()
    database = Database(tmp_path / "meta.db")
    database.upgrade()
    reader, writer = database.reader(), database.writer()
    writer.start()
    row = NodeRow(
        number=NUMBER,
        node_id=identity.node_id,
        name="n1",
        endpoint="",
        host="box",
        disk="box",
        zone="",
        operator="",
        state="down",
        reason="",
        total_bytes=0,
        used_bytes=0,
        free_bytes=0,
        shard_count=0,
        seen_at_ms=0,
        joined_at_ms=0,
        public_key=identity.public_key,
    )
    writer.call(lambda conn: nodes.upsert(conn, row))
    taking = Heartbeats(reader, writer, CoordinatorClock(CLOCK, reader, writer), CLOCK, SETTINGS)
    coordinator = Coordinator(database, taking)
    await coordinator.listen()
    yield Node(identity, tmp_path / "sequence", coordinator)
    await coordinator.go()
    writer.close()
    database.close()


@contextlib.asynccontextmanager
async def reporting(node: Node) -> AsyncIterator[HeartbeatSender]:
    sender = node.sender()
    try:
        yield sender
    finally:
        await sender.end()


async def test_heartbeats_go_over_one_connection_at_the_pace_that_the_fleet_wants(node: Node) -> None:
    async with reporting(node) as sender:
        for turn in range(3):
            idle = await sender.step(100.0)
            assert 100.0 + 0.9 * SETTINGS.heartbeat <= idle.until <= 100.0 + SETTINGS.heartbeat
            assert (sender.last_error, node.coordinator.sequence()) == ("", turn + 1)
        assert len(node.answers) == 3
        assert node.coordinator.connections() == 1
    await node.coordinator.heartbeats.step(0.0)
    (row,) = heartbeats.read_all(node.coordinator.database.reader())
    assert row.sequence == 4


async def test_stop_in_order_is_told(node: Node) -> None:
    async with reporting(node) as sender:
        await sender.step(0.0)
    beat = node.coordinator.heartbeats.last_of(NUMBER)
    assert beat is not None
    assert beat.heartbeat.state is Serving.STOPPING


async def test_fleet_that_is_away_is_tried_again_ever_more_seldom_until_it_is_back(node: Node) -> None:
    async with reporting(node) as sender:
        await sender.step(0.0)
        await node.coordinator.go()
        pauses = [(await sender.step(0.0)).until for _ in range(6)]
        assert all(0 < pause <= SETTINGS.heartbeat for pause in pauses)
        assert sender.last_error
        await node.coordinator.listen()
        await sender.step(0.0)
        assert sender.last_error == ""


async def test_node_that_crashed_or_whose_numbers_were_set_back_is_taken_again(node: Node) -> None:
    async with reporting(node) as sender:
        await sender.step(0.0)
    async with reporting(node) as sender:  # the file says up to where
        await sender.step(0.0)
        assert sender.last_error == ""
    before = node.coordinator.sequence()
    node.path.unlink()  # restored from a copy without it
    async with reporting(node) as sender:
        await sender.step(0.0)
        assert sender.last_error == ""
    assert node.coordinator.sequence() > before


@pytest.mark.parametrize("minutes", [-15, 15])
async def test_node_whose_clock_is_off_is_told_and_taken_when_it_is_set(node: Node, minutes: int) -> None:
    node.clock.off_ms = minutes * 60_000
    async with reporting(node) as sender:
        await sender.step(0.0)
        assert "skewed" in sender.last_error
        node.clock.off_ms = 0
        await sender.step(0.0)
        assert (sender.last_error, node.coordinator.sequence()) == ("", 2)


@pytest.mark.parametrize("days", [-8, 8])
async def test_certificate_of_another_time_is_said_to_be_perhaps_the_clocks_fault(node: Node, days: int) -> None:
    """To a box whose clock is days off, every good certificate is past or yet to come."""
    await node.coordinator.go()
    key = Ed25519PrivateKey.generate()
    then_ms = CLOCK.now_ms() + days * 86_400_000
    issued = AUTHORITY.issue(key.public_key().public_bytes_raw(), Role.COORDINATOR, then_ms)
    node.coordinator.identity = TlsIdentity(AUTHORITY.certificate, issued, key)
    await node.coordinator.listen()
    async with reporting(node) as sender:
        await sender.step(0.0)
        assert "is this box's clock right?" in sender.last_error


async def test_renewed_certificate_is_shown_with_the_next_heartbeat(node: Node) -> None:
    async with reporting(node) as sender:
        await sender.step(0.0)
        node.tls = certified(Role.NODE, node.identity.private_key)
        await sender.step(0.0)
        assert sender.last_error == ""


async def test_node_that_answers_in_the_coordinators_place_is_not_believed(node: Node) -> None:
    await node.coordinator.go()
    node.coordinator.identity = certified(Role.NODE)
    await node.coordinator.listen()
    async with reporting(node) as sender:
        await sender.step(0.0)
        assert "in the coordinator's place" in sender.last_error
    assert node.coordinator.sequence() == 0


async def posted(node: Node, context: ssl.SSLContext, data: bytes) -> int:
    url = f"https://127.0.0.1:{node.coordinator.port}/v1/heartbeat"
    async with aiohttp.ClientSession() as session, session.post(url, data=data, ssl=context) as response:
        return response.status


async def test_only_the_node_itself_reports_for_it(node: Node) -> None:
    plain = node.report(1, CLOCK.now_ms(), Serving.SERVING)
    signed = sign_heartbeat(node.identity, plain)
    own = coordinator_context(node.tls)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    other = NodeIdentity.generate()
    assert await posted(node, bare, signed) == 403
    for role in (Role.GATEWAY, Role.MOVER, Role.COORDINATOR, Role.NODE):
        assert await posted(node, coordinator_context(certified(role)), signed) == 403
    for role in (Role.GATEWAY, Role.MOVER, Role.COORDINATOR):
        assert await posted(node, coordinator_context(certified(role, node.identity.private_key)), signed) == 403
    assert await posted(node, own, sign_heartbeat(replace(other, node_id=node.identity.node_id), plain)) == 403
    assert await posted(node, own, b"nonsense") == 400
    assert await posted(node, own, bytes(200_000)) == 400
    assert node.coordinator.sequence() == 0
    assert await posted(node, own, signed) == 200
    assert await posted(node, own, signed) == 409


async def test_connection_ends_after_its_time_so_that_dates_are_looked_at_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beatroute, "CONNECTION_SECONDS", 0.0)
    async with aiohttp.ClientSession() as session:
        for turn in (1, 2):
            data = sign_heartbeat(node.identity, node.report(turn, CLOCK.now_ms(), Serving.SERVING))
            url = f"https://127.0.0.1:{node.coordinator.port}/v1/heartbeat"
            async with session.post(url, data=data, ssl=coordinator_context(node.tls)) as response:
                assert (response.status, response.content_type) == (200, CONTENT_TYPE)
                assert response.headers["Connection"] == "close"


async def test_sender_keeps_to_its_time_when_the_fleet_says_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nodefs import heartbeat

    monkeypatch.setattr(heartbeat, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "_GOODBYE_SECONDS", 0.1)
    writers = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    node.coordinator.port = silent.sockets[0].getsockname()[1]
    async with reporting(node) as sender:
        began = asyncio.get_running_loop().time()
        await sender.step(0.0)
        assert asyncio.get_running_loop().time() - began < 5.0
        assert sender.last_error
    for writer in writers:
        writer.close()
    silent.close()
