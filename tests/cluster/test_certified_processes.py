"""Certificates of the store's own processes, from the coordinator's control socket, and the nodes that they dial."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Role, parse_peer
from cyxcloud.core.clock import ManualClock
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import cluster, denials, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED
from cyxcloud.objects.hosting import Hosting
from cyxcloud.wire.certified import CERTIFICATE_PATH, Certified, Issued, ask_coordinator
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.status import HostUnavailable
from fleet.remotehosts import certificate_routes
from nodefs.folder import open_folder
from nodefs.joining import Wish, join
from tests.cluster import door as doors
from tests.cluster.door import AUTHORITY, CLOCK, KNOWN, Door

HELLO = Hello("gateway", KNOWN.cluster_id, KNOWN.incarnation)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    with doors.made(tmp_path, FleetSettings(certificate_lifetime=3.0)) as made:
        async with made.open():
            yield made


@pytest.fixture
async def socket(door: Door, tmp_path: Path) -> AsyncIterator[Path]:
    app = web.Application()
    app.add_routes(certificate_routes(door.enrolment))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "control.sock")).start()
    yield tmp_path / "control.sock"
    await runner.cleanup()


@pytest.mark.parametrize("role", [Role.GATEWAY, Role.MOVER])
async def test_process_gets_a_certificate_for_the_key_that_it_made(socket: Path, role: Role) -> None:
    certified = Certified(role, ask_coordinator(socket), CLOCK)
    with pytest.raises(HostUnavailable):
        certified()
    await certified.keep()
    identity = certified()
    peer = parse_peer(ssl.PEM_cert_to_DER_cert(identity.certificate_pem.decode()))
    assert (peer.role, peer.node_id, peer.cluster_id) == (role, identity.node_id, KNOWN.cluster_id)


@pytest.mark.parametrize("role", ["node", "coordinator", "admin", 7])
async def test_socket_gives_no_other_roles(socket: Path, role: object) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    connector = aiohttp.UnixConnector(str(socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://c{CERTIFICATE_PATH}", json={"role": role, "public_key": key.hex()}) as response,
    ):
        assert response.status == 400


async def test_certificate_is_asked_for_anew_when_two_thirds_are_over() -> None:
    clock, asked = ManualClock(), []

    async def ask(public_key: bytes, role: Role) -> Issued:
        asked.append(clock.elapsed)
        return Issued(AUTHORITY.certificate, AUTHORITY.issue(public_key, role, clock.now_ms(), seconds=300))

    certified = Certified(Role.GATEWAY, ask, clock)
    for _ in range(420):
        await certified.keep()
        clock.advance(1.0)
    assert asked == [0.0, 200.0, 400.0]
    assert certified().node_id == certified().node_id


async def test_coordinator_that_is_away_is_asked_again_and_the_old_certificate_stays(tmp_path: Path) -> None:
    clock, fail = ManualClock(), False

    async def ask(public_key: bytes, role: Role) -> Issued:
        if fail:
            return await ask_coordinator(tmp_path / "nobody.sock")(public_key, role)
        return Issued(AUTHORITY.certificate, AUTHORITY.issue(public_key, role, clock.now_ms(), seconds=300))

    certified = Certified(Role.GATEWAY, ask, clock)
    await certified.keep()
    first, fail = certified(), True
    clock.advance(250)
    await certified.keep()
    assert certified() is first
    fail = False
    clock.advance(2)
    await certified.keep()
    assert certified() is not first


async def test_hosts_that_are_denied_disqualified_or_gone_are_dialled_no_more(door: Door, tmp_path: Path) -> None:
    found = []
    for name in ("one", "two", "three", "four"):
        await join(Wish(tmp_path / name, door.token(), door.url, "127.0.0.1:1", name, 0), CLOCK)
        found.append(open_folder(tmp_path / name).marker.node_id)
    hosting = Hosting(door.reader, (), HELLO, lambda: door.identity)
    assert await hosting.sync()
    assert set(hosting.remote) == set(found)
    assert not await hosting.sync()
    denied, disqualified, gone, kept = found
    numbers = {row.node_id: row.number for row in door.rows()}

    def change(conn: Connection) -> None:
        nodes.set_standing(conn, numbers[disqualified], DISQUALIFIED)
        nodes.retire(conn, numbers[gone], "gone", "", 0)
        cluster.bump(conn, Epoch.TOPOLOGY)

    door.writer.call(change)
    door.writer.call(lambda conn: denials.add(conn, denied, CLOCK.now_ms(), "a test"))
    assert await hosting.sync()
    assert set(hosting.remote) == {kept}
    await hosting.close()
    await asyncio.sleep(0)
