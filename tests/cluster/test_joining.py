"""Joining a fleet over real TLS: the right fleet, lost answers, crashes, renewal, denied keys."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from cyxcloud.core.certificates import Authority, Role, TlsIdentity, joining_context
from cyxcloud.core.ids import NodeId
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import nodes
from cyxcloud.meta.rows import DISQUALIFIED
from cyxcloud.wire.fleetpeer import coordinator_context
from cyxcloud.wire.joining import AUTHORITY_PATH, DENIED_PATH, JOIN_PATH, RENEW_PATH, JoinToken
from fleet.denying import deny
from nodefs.denied import Denied
from nodefs.fleetfolder import AUTHORITY, CERTIFICATE, DENIED, read_fleet, read_identity
from nodefs.folder import FolderUnusable, open_folder
from nodefs.joining import NotJoined, Wish, join
from nodefs.renewal import Renewal
from tests.cluster import door as doors
from tests.cluster.door import CLOCK, KNOWN, Door, certified


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    with doors.made(tmp_path) as made:
        async with made.open():
            yield made


def wish(door: Door, root: Path, token: JoinToken) -> Wish:
    return Wish(root, token, door.url, "127.0.0.1:4001", "box", 10**9, zone="z", operator="o", region="r")


async def joined(door: Door, root: Path) -> TlsIdentity:
    await join(wish(door, root, door.token()), CLOCK)
    return read_identity(root, open_folder(root).identity)


def denied_by(door: Door, node: NodeId) -> None:
    door.writer.call(lambda conn: deny(conn, node, CLOCK.now_ms(), "a test"))


async def test_join_makes_a_whole_node_folder(door: Door, tmp_path: Path) -> None:
    token = door.token()
    answer = await join(wish(door, tmp_path / "n", token), CLOCK)
    folder, (row,) = open_folder(tmp_path / "n"), door.rows()
    assert (folder.marker.name, folder.marker.node_id, folder.capacity_bytes) == ("box", row.node_id, 10**9)
    assert (folder.marker.cluster_id, folder.marker.incarnation) == (KNOWN.cluster_id, KNOWN.incarnation)
    coordinator = door.enrolment.coordinator_key.public_key().public_bytes_raw()
    assert folder.marker.coordinator_public_key == coordinator
    fleet = read_fleet(tmp_path / "n")
    assert (fleet.url, fleet.listen, fleet.token) == (door.url, "127.0.0.1:4001", token.hash.hex())
    assert (tmp_path / "n" / AUTHORITY).read_bytes() == door.enrolment.authority.certificate
    assert (tmp_path / "n" / "identity" / "private_key.pem").stat().st_mode & 0o777 == 0o600
    assert read_identity(tmp_path / "n", folder.identity).node_id == row.node_id
    assert token.secret.hex() not in (tmp_path / "n" / "fleet.json").read_text()
    assert not list(tmp_path.glob(".n*")), "nothing of the attempt is left"
    assert answer.name == "box"


async def test_join_tells_nothing_to_a_fleet_that_the_token_is_not_for(door: Door, tmp_path: Path) -> None:
    token = replace(door.token(), pin=bytes(32))
    with pytest.raises(NotJoined, match="not the fleet that this token is for"):
        await join(wish(door, tmp_path / "n", token), CLOCK)
    assert door.asked == [AUTHORITY_PATH]
    assert not (tmp_path / "n").exists()


async def test_join_tells_nothing_to_another_holder_of_the_fleets_certificates(door: Door, tmp_path: Path) -> None:
    """A node on the way has the authority's certificate and one of its own; the token is not for its eyes."""
    door.identity = certified(Role.NODE)
    async with door.open():
        with pytest.raises(NotJoined, match="a node answers in the coordinator's place"):
            await join(wish(door, tmp_path / "n", door.token()), CLOCK)
    assert JOIN_PATH not in door.asked


async def test_join_tells_nothing_to_who_copied_the_fleets_certificate(door: Door, tmp_path: Path) -> None:
    """It is public: whoever shows it must also have been certified by its key."""
    door.identity = certified(Role.COORDINATOR, Authority(bytes(32), KNOWN.cluster_id))
    async with door.open():
        with pytest.raises(NotJoined, match="certificate verify failed"):
            await join(wish(door, tmp_path / "n", door.token()), CLOCK)
    assert door.asked == [AUTHORITY_PATH]


async def test_join_whose_answer_is_lost_is_the_same_node_when_repeated(door: Door, tmp_path: Path) -> None:
    asked = wish(door, tmp_path / "n", door.token())
    door.silent = {JOIN_PATH}
    with pytest.raises(NotJoined, match="does not answer"):
        await join(asked, CLOCK)
    assert len(door.rows()) == 1
    assert not (tmp_path / "n").exists()
    door.silent = set()
    await join(asked, CLOCK)
    (row,) = door.rows()
    assert row.node_id == open_folder(tmp_path / "n").marker.node_id


async def test_join_that_is_done_says_the_same_and_asks_nobody(door: Door, tmp_path: Path) -> None:
    asked = wish(door, tmp_path / "n", door.token())
    first = await join(asked, CLOCK)
    door.asked.clear()
    assert await join(asked, CLOCK) == first
    assert door.asked == []


async def test_join_leaves_what_stands_there_alone(door: Door, tmp_path: Path) -> None:
    await joined(door, tmp_path / "n")
    with pytest.raises(NotJoined, match="holds the node box, which has joined"):
        await join(wish(door, tmp_path / "n", door.token()), CLOCK)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(NotJoined, match="not empty"):
        await join(wish(door, tmp_path / "full", door.token()), CLOCK)
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    assert len(door.rows()) == 1


async def test_node_whose_certificate_has_ended_comes_back_with_a_new_token(tmp_path: Path) -> None:
    with doors.made(tmp_path, FleetSettings(certificate_lifetime=1.0)) as door:
        async with door.open():
            old = await joined(door, tmp_path / "n")
            await asyncio.sleep(1.1)
            moved = replace(wish(door, tmp_path / "n", door.token()), listen="127.0.0.1:4002")
            await join(moved, CLOCK)
            new = read_identity(tmp_path / "n", open_folder(tmp_path / "n").identity)
            assert new.node_id == old.node_id
            assert new.expires_at_ms > old.expires_at_ms
            assert read_fleet(tmp_path / "n").listen == "127.0.0.1:4002"
            assert [row.address for row in door.rows()] == ["127.0.0.1:4002"]


async def test_join_that_is_refused_says_why(door: Door, tmp_path: Path) -> None:
    token = door.token()
    await join(wish(door, tmp_path / "one", token), CLOCK)
    with pytest.raises(NotJoined, match="the fleet refused: this token was used by another node"):
        await join(wish(door, tmp_path / "two", token), CLOCK)
    assert not (tmp_path / "two").exists()


async def test_join_without_a_fleet_says_that_nobody_answers(door: Door, tmp_path: Path) -> None:
    nobody = replace(wish(door, tmp_path / "n", door.token()), url="https://127.0.0.1:1")
    with pytest.raises(NotJoined, match="does not answer"):
        await join(nobody, CLOCK)


# Who may ask what


async def test_what_is_for_nodes_asks_for_a_certificate(door: Door, tmp_path: Path) -> None:
    identity = await joined(door, tmp_path / "n")
    nobody = joining_context(door.enrolment.authority.certificate)
    async with aiohttp.ClientSession() as session:
        for method, path in (("POST", RENEW_PATH), ("GET", DENIED_PATH)):
            async with session.request(method, door.url + path, ssl=nobody) as response:
                assert response.status == 403
            async with session.request(method, door.url + path, ssl=coordinator_context(identity)) as response:
                assert response.status == 200
        async with session.post(door.url + RENEW_PATH, ssl=certified(Role.GATEWAY).client_context()) as response:
            assert response.status == 403


async def test_certificate_of_another_authority_or_time_is_not_let_in(door: Door) -> None:
    foreign = certified(Role.NODE, Authority(bytes(32), KNOWN.cluster_id))
    foreign = replace(foreign, authority_pem=door.enrolment.authority.certificate)
    expired = certified(Role.NODE, seconds=-1)
    async with aiohttp.ClientSession() as session:
        for identity in (foreign, expired):
            with pytest.raises((aiohttp.ClientError, OSError)):
                async with session.post(door.url + RENEW_PATH, ssl=identity.client_context()) as response:
                    await response.read()
    assert door.asked == []


async def test_body_that_is_too_long_is_not_read(door: Door) -> None:
    nobody = joining_context(door.enrolment.authority.certificate)
    async with aiohttp.ClientSession() as session:
        async with session.post(door.url + JOIN_PATH, data=b"x" * 100_000, ssl=nobody) as response:
            assert response.status == 413
        async with session.post(door.url + JOIN_PATH, data=b"{}", ssl=nobody) as response:
            assert response.status == 400


async def test_listener_shows_the_certificate_that_is_the_newest(door: Door) -> None:
    def shown() -> bytes:
        _, port = door.url.removeprefix("https://").split(":")
        return ssl.get_server_certificate(("127.0.0.1", int(port))).encode()

    first = await asyncio.to_thread(shown)
    assert first == door.identity.certificate_pem
    door.identity = certified(Role.COORDINATOR)
    async with asyncio.timeout(10):
        while await asyncio.to_thread(shown) == first:
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(shown) == door.identity.certificate_pem


# Renewal


def renewal(door: Door, root: Path, identity: TlsIdentity, taken: list[TlsIdentity]) -> Renewal:
    return Renewal(root, door.url, identity, CLOCK, taken.append)


async def test_renewal_comes_when_two_thirds_are_over(tmp_path: Path) -> None:
    with doors.made(tmp_path, FleetSettings(certificate_lifetime=3.0)) as door:
        async with door.open():
            taken: list[TlsIdentity] = []
            identity = await joined(door, tmp_path / "n")
            worker = renewal(door, tmp_path / "n", identity, taken)
            await worker.step(0.0)
            assert taken == [], "it is new"
            await asyncio.sleep(2.1)
            await worker.step(2.1)
            (new,) = taken
            assert new.expires_at_ms > identity.expires_at_ms
            assert new.node_id == identity.node_id
            stored = read_identity(tmp_path / "n", open_folder(tmp_path / "n").identity)
            assert stored.certificate_pem == new.certificate_pem


async def test_renewal_that_fails_keeps_the_old_certificate_and_tries_again(tmp_path: Path) -> None:
    with doors.made(tmp_path, FleetSettings(certificate_lifetime=1.0)) as door:
        async with door.open():
            taken: list[TlsIdentity] = []
            identity = await joined(door, tmp_path / "n")
        worker = renewal(door, tmp_path / "n", identity, taken)
        await asyncio.sleep(0.7)
        idle = await worker.step(0.0)  # nobody listens
        assert (taken, worker.identity) == ([], identity)
        assert idle.until <= 2.0
        assert (tmp_path / "n" / CERTIFICATE).read_bytes() == identity.certificate_pem


async def test_renewal_is_refused_to_a_denied_or_disqualified_node(tmp_path: Path) -> None:
    with doors.made(tmp_path, FleetSettings(certificate_lifetime=1.0)) as door:
        async with door.open():
            taken: list[TlsIdentity] = []
            for name, shut in (("one", denied_by), ("two", disqualify)):
                identity = await joined(door, tmp_path / name)
                shut(door, identity.node_id)
                await asyncio.sleep(0.7)
                await renewal(door, tmp_path / name, identity, taken).step(0.0)
            assert taken == []


def disqualify(door: Door, node: NodeId) -> None:
    row = next(row for row in door.rows() if row.node_id == node)
    door.writer.call(lambda conn: nodes.set_standing(conn, row.number, DISQUALIFIED))


# Denied keys


async def test_denied_keys_are_fetched_when_the_epoch_moves_and_kept(door: Door, tmp_path: Path) -> None:
    identity = await joined(door, tmp_path / "n")
    denied = Denied(tmp_path / "n" / DENIED, door.url)
    assert denied.keys == frozenset()
    stolen = certified(Role.GATEWAY).node_id
    denied_by(door, stolen)
    denied.heard(1, identity)
    async with asyncio.timeout(10):
        while stolen not in denied.keys:
            await asyncio.sleep(0.01)
    again = Denied(tmp_path / "n" / DENIED, door.url)
    assert (again.keys, again.epoch) == (frozenset({stolen}), denied.epoch), "also after a restart"
    door.asked.clear()
    denied.heard(denied.epoch, identity)
    await asyncio.sleep(0.05)
    assert door.asked == []


async def test_denied_keys_that_cannot_be_fetched_are_asked_for_again(door: Door, tmp_path: Path) -> None:
    identity = await joined(door, tmp_path / "n")
    denied = Denied(tmp_path / "n" / DENIED, door.url)
    denied_by(door, certified(Role.GATEWAY).node_id)
    door.silent = {DENIED_PATH}
    denied.heard(1, identity)
    async with asyncio.timeout(10):
        while DENIED_PATH not in door.asked or denied.is_asking:
            await asyncio.sleep(0.01)
    assert denied.keys == frozenset()
    door.silent = set()
    denied.heard(1, identity)
    async with asyncio.timeout(10):
        while not denied.keys:
            await asyncio.sleep(0.01)


def test_folder_that_is_no_node_of_a_fleet_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match="cyxcloud node init"):
        read_fleet(tmp_path)
