"""Nodes that joined, as processes of their own: stopped in order, killed and hung, seen by the coordinator's watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.sockets import free_port
from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.profile import Profile
from cyxcloud.core.settings import FleetSettings
from cyxcloud.core.worker import Runner
from cyxcloud.meta import cluster, join_tokens, nodes, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.join_tokens import JoinTokenRow
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.objects.hosting import Hosting
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.joining import JoinToken
from fleet import remotestate
from fleet.enrolment import Enrolment
from fleet.listener import JoinRoutes, listening
from fleet.nodewatch import NodeWatch
from fleet.reporting import Reporting
from fleet.storeclock import CoordinatorClock
from nodefs.joining import Wish, join

CLOCK = SystemClock()
CLUSTER = ClusterRow(b"c" * 16, b"i" * 16, 1, 0)
SETTINGS = FleetSettings(offline_after=4.0, warning_after=1.5, heartbeat=0.3)
RUN = (
    "import sys; from pathlib import Path; from tests.cluster.test_remote_nodes import serve; serve(Path(sys.argv[1]))"
)


def serve(root: Path) -> None:
    """A node's process, as `cyxcloud node run` is one."""
    from nodefs.remote import RemoteNode

    async def until_told() -> None:
        task = asyncio.create_task(RemoteNode(root).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_told())


@dataclass(slots=True)
class Fleet:
    reader: Connection
    url: str
    token: Callable[[], Awaitable[JoinToken]]
    folder: Path

    def told(self) -> tuple[str, str]:
        (row,) = nodes.read_all(self.reader)
        return row.state, row.reason

    async def until(self, state: str, reason: str, seconds: float = 20.0) -> float:
        """The seconds that it took."""
        began = CLOCK.monotonic()
        while self.told() != (state, reason):
            assert CLOCK.monotonic() - began < seconds, self.told()
            await asyncio.sleep(0.02)
        return CLOCK.monotonic() - began

    async def joined(self) -> Path:
        root = self.folder / "node"
        address = free_port("127.0.0.1:0")
        await join(Wish(root, await self.token(), self.url, address, "n1", 0), CLOCK)
        return root


def _make(conn: Connection) -> None:
    cluster.create(conn, CLUSTER)
    profiles.create(conn, Profile(2, 1))


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    database = Database(tmp_path / "meta.db")
    database.upgrade()
    reader, writer = database.reader(), database.writer()
    writer.start()
    await writer.submit(_make)
    authority, key = Authority(secrets.token_bytes(32), CLUSTER.cluster_id), Ed25519PrivateKey.generate()
    shown = TlsIdentity(
        authority.certificate,
        authority.issue(key.public_key().public_bytes_raw(), Role.COORDINATOR, CLOCK.now_ms()),
        key,
    )
    clock = CoordinatorClock(CLOCK, reader, writer)
    hosting = Hosting(reader, (), Hello("coordinator", CLUSTER.cluster_id, CLUSTER.incarnation), lambda: shown)
    reporting = Reporting.of(reader, writer, clock, CLOCK, SETTINGS, hosts=lambda: hosting.remote)
    watch = NodeWatch((), reader, writer, clock, reporting.nodes)
    runner = Runner([clock, reporting.heartbeats, watch], CLOCK)
    enrolment = Enrolment(authority, CLUSTER, key, reader, writer, clock, CLOCK, SETTINGS, 14)

    async def token() -> JoinToken:
        made, now_ms = JoinToken.generate(authority.fingerprint), clock.now_ms()
        row = JoinTokenRow(made.hash, "", "", "", now_ms, now_ms + 60_000)
        await writer.submit(lambda conn: join_tokens.add(conn, row))
        return made

    async def follow() -> None:
        while True:
            await hosting.sync()
            await asyncio.sleep(0.1)

    routes = [*JoinRoutes(enrolment).routes(), *reporting.route.routes()]
    async with listening("127.0.0.1:0", lambda: shown, routes) as (host, port):
        tasks = [asyncio.create_task(runner.run()), asyncio.create_task(follow())]
        yield Fleet(reader, f"https://{host}:{port}", token, tmp_path)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await hosting.close()
    await asyncio.to_thread(writer.close)
    database.close()


@contextlib.asynccontextmanager
async def running(root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, str(root), env=dict(os.environ))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_node_is_up_when_it_reports_and_down_at_once_when_it_is_stopped_in_order(fleet: Fleet) -> None:
    root = await fleet.joined()
    assert fleet.told()[0] == "down"
    async with running(root) as process:
        await fleet.until("up", "")
        (row,) = nodes.read_all(fleet.reader)
        process.send_signal(signal.SIGTERM)
        assert await fleet.until("down", remotestate.STOPPED) < 3.0
        assert await process.wait() == 0
    async with running(root):
        await fleet.until("up", "")
    assert row.node_id == nodes.read_all(fleet.reader)[0].node_id


async def test_node_that_is_killed_takes_no_writes_then_is_down_and_comes_back(fleet: Fleet) -> None:
    root = await fleet.joined()
    async with running(root):
        await fleet.until("up", "")
    await fleet.until("read-only", remotestate.LATE, 5.0)
    await fleet.until("down", remotestate.SILENT, 6.0)
    async with running(root):
        await fleet.until("up", "")


async def test_node_that_hangs_with_its_connections_open_is_found_by_its_silence(fleet: Fleet) -> None:
    root = await fleet.joined()
    async with running(root) as process:
        await fleet.until("up", "")
        process.send_signal(signal.SIGSTOP)
        await fleet.until("read-only", remotestate.LATE, 5.0)
        await fleet.until("down", remotestate.SILENT, 6.0)
        process.send_signal(signal.SIGCONT)
        await fleet.until("up", "")
