"""Who is let into the fleet, and who keeps a certificate."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from cyxcloud.core.certificates import Peer, Role, parse_peer
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import cluster, join_tokens, node_events, nodes
from cyxcloud.meta.rows import DISQUALIFIED, DOWN, TRUSTED, VETTING
from cyxcloud.wire.joining import JoinRequest, prove
from fleet.denying import DENIED, deny
from fleet.enrolment import JOINED, JOINED_AGAIN, Refused
from tests.unit.fleet.conftest import CLUSTER, Fleet
from tests.unit.fleet.joining import TOKEN_SECONDS, Door, peer

SMALL_ORDER = (1).to_bytes(32, "little")


@pytest.fixture
def door(fleet: Fleet) -> Door:
    return Door.of(fleet)


@pytest.fixture
def box() -> NodeIdentity:
    return NodeIdentity.generate()


def certified(pem: str) -> Peer:
    return parse_peer(ssl.PEM_cert_to_DER_cert(pem))


def stand(door: Door, box: NodeIdentity, standing: str) -> None:
    row = door.row(box)
    assert row is not None
    door.fleet.writer.call(lambda conn: nodes.set_standing(conn, row.number, standing))


def shut(door: Door, box: NodeIdentity, reason: str = "stolen") -> bool:
    return door.fleet.writer.call(lambda conn: deny(conn, box.node_id, 7, reason))


async def test_join_makes_a_node_that_is_down_until_it_reports(door: Door, box: NodeIdentity) -> None:
    before = cluster.epochs(door.fleet.reader).topology
    answer = await door.enrolment.join(door.request(door.token(), box))
    row = door.row(box)
    assert row is not None
    assert (row.number, row.name, row.state, row.public_key) == (5, "box", DOWN, box.public_key)
    assert (row.address, row.host, row.disk) == ("192.0.2.1:4001", "192.0.2.1", box.node_id.hex())
    assert (row.zone, row.operator, row.region, row.total_bytes) == ("cellar", "alice", "eu", 10**12)
    assert cluster.epochs(door.fleet.reader).topology == before + 1
    assert (answer.name, answer.cluster_id) == ("box", CLUSTER.cluster_id.hex())
    assert certified(answer.certificate) == peer(box)
    (event,) = node_events.page(door.fleet.reader, row.number)
    assert (event.kind, event.detail["address"]) == (JOINED, "192.0.2.1:4001")


async def test_join_whose_answer_was_lost_gives_it_again(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    first = await door.enrolment.join(door.request(token, box))
    door.fleet.clock.advance(2 * TOKEN_SECONDS)  # however late
    again = await door.enrolment.join(door.request(token, box))
    assert replace(again, certificate="") == replace(first, certificate="")
    assert len(nodes.read_all(door.fleet.reader)) == 5


async def test_join_again_from_another_address_moves_the_node(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    await door.enrolment.join(door.request(token, box))
    await door.enrolment.join(door.request(token, box, address="[2001:db8::1]:4001"))
    row = door.row(box)
    assert row is not None
    assert row.address == "[2001:db8::1]:4001"


async def test_token_is_good_for_one_node(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    await door.enrolment.join(door.request(token, box))
    with pytest.raises(Refused, match="used by another node"):
        await door.enrolment.join(door.request(token, NodeIdentity.generate()))
    assert len(nodes.read_all(door.fleet.reader)) == 5


async def test_token_expires(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    door.fleet.clock.advance(TOKEN_SECONDS + 1)
    await door.fleet.store_clock.step(0.0)
    with pytest.raises(Refused, match="expired"):
        await door.enrolment.join(door.request(token, box))
    found = join_tokens.read(door.fleet.reader, token.hash)
    assert found is not None
    assert found.used_at_ms is None


async def test_token_that_nobody_gave_is_refused_before_the_writer_is_asked(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    door.fleet.writer.close()
    with pytest.raises(Refused, match="not known"):
        await door.enrolment.join(door.request(replace(token, secret=b"x" * 20), box))


async def test_node_that_was_away_for_long_comes_back_as_itself_with_a_new_token(door: Door, box: NodeIdentity) -> None:
    await door.enrolment.join(door.request(door.token(), box))
    stand(door, box, VETTING)
    token = door.token()
    answer = await door.enrolment.join(door.request(token, box, name="other", address="192.0.2.2:4001"))
    row = door.row(box)
    assert row is not None
    assert (answer.name, row.number, row.address, row.standing) == ("box", 5, "192.0.2.2:4001", VETTING)
    assert [event.kind for event in node_events.page(door.fleet.reader, row.number)] == [JOINED_AGAIN, JOINED]
    with pytest.raises(Refused, match="used by another node"):
        await door.enrolment.join(door.request(token, NodeIdentity.generate()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda asked: replace(asked, proof=bytes(64).hex()), "not signed by the key"),
        (lambda asked: replace(asked, time_ms=asked.time_ms + 1), "not signed by the key"),
        (
            lambda asked: replace(asked, public_key=SMALL_ORDER.hex(), proof=(SMALL_ORDER + bytes(32)).hex()),
            "no Ed25519",
        ),
        (lambda asked: replace(asked, public_key="11"), "no Ed25519"),
        (lambda asked: replace(asked, public_key="zz"), "malformed"),
        (lambda asked: replace(asked, operator="al\x1b[2Jice"), "operator: 'al"),
        (lambda asked: replace(asked, zone="z" * 64), "zone"),
        (lambda asked: replace(asked, region="e u"), "region"),
        (lambda asked: replace(asked, address="192.0.2.1"), "no HOST:PORT"),
        (lambda asked: replace(asked, address="192.0.2.1:0"), "no HOST:PORT"),
        (lambda asked: replace(asked, address="192.0.2.1:99999"), "no HOST:PORT"),
        (lambda asked: replace(asked, address="a b:1"), "no HOST:PORT"),
        (lambda asked: replace(asked, address="::1:4001"), "no HOST:PORT"),
        (lambda asked: replace(asked, capacity_bytes=-1), "capacity"),
        (lambda asked: replace(asked, capacity_bytes=1 << 70), "capacity"),
    ],
)
async def test_request_that_is_wrong_is_refused_and_spends_no_token(
    door: Door, box: NodeIdentity, change: Callable[[JoinRequest], JoinRequest], said: str
) -> None:
    token = door.token()
    with pytest.raises(Refused, match=said.replace("[", r"\[")):
        await door.enrolment.join(change(door.request(token, box)))
    await door.enrolment.join(door.request(token, box))


@pytest.mark.parametrize(("off_ms", "said"), [(301_000, "301 s ahead of"), (-301_000, "301 s behind")])
async def test_clock_that_is_off_is_refused_and_told(door: Door, box: NodeIdentity, off_ms: int, said: str) -> None:
    token = door.token()
    time_ms = door.fleet.clock.now_ms() + off_ms
    proof = prove(box, token.hash, time_ms).hex()
    with pytest.raises(Refused, match=f"{said} the fleet's; set it by NTP"):
        await door.enrolment.join(door.request(token, box, time_ms=time_ms, proof=proof))


async def test_what_the_token_says_of_the_node_counts_more_than_what_the_node_says(
    door: Door, box: NodeIdentity
) -> None:
    await door.enrolment.join(door.request(door.token(zone="north", operator="bob"), box))
    row = door.row(box)
    assert row is not None
    assert (row.zone, row.operator, row.region) == ("north", "bob", "eu")


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("n1", "n1-{id}"), ("", "node-{id}"), ("my böx!", "my-b-x"), ("../../x", "x"), ("é" * 99, "node-{id}")],
)
async def test_name_is_one_that_a_folder_takes_and_nobody_else_has(
    door: Door, box: NodeIdentity, wanted: str, got: str
) -> None:
    answer = await door.enrolment.join(door.request(door.token(), box, name=wanted))
    assert answer.name == got.format(id=box.node_id.hex()[:8])


async def test_nodes_beyond_those_that_hold_a_chunk_are_vetted(fleet: Fleet) -> None:
    door = Door.of(fleet, founders=5)
    boxes = [NodeIdentity.generate() for _ in range(2)]
    for each in boxes:
        await door.enrolment.join(door.request(door.token(), each))
    rows = [door.row(each) for each in boxes]
    assert [row.standing for row in rows if row is not None] == [TRUSTED, VETTING]


async def test_nodes_are_trusted_as_they_come_where_that_is_set(fleet: Fleet, box: NodeIdentity) -> None:
    door = Door.of(fleet, FleetSettings(vetting=False), founders=1)
    await door.enrolment.join(door.request(door.token(), box))
    row = door.row(box)
    assert row is not None
    assert row.standing == TRUSTED


async def test_node_that_only_dials_has_no_address(door: Door, box: NodeIdentity) -> None:
    await door.enrolment.join(door.request(door.token(), box, address=""))
    row = door.row(box)
    assert row is not None
    assert (row.address, row.host) == ("", box.node_id.hex()[:16])


# Renewal


async def test_renewal_certifies_the_same_key_for_as_long_again(door: Door, box: NodeIdentity) -> None:
    await door.enrolment.join(door.request(door.token(), box))
    assert certified(door.enrolment.renew(peer(box))) == peer(box)


async def test_renewal_is_refused_to_who_is_no_node_of_this_fleet(door: Door, box: NodeIdentity) -> None:
    await door.enrolment.join(door.request(door.token(), box))
    for other in (
        peer(NodeIdentity.generate()),
        peer(box, Role.GATEWAY),
        peer(box, cluster_id=b"x" * 16),
    ):
        with pytest.raises(Refused):
            door.enrolment.renew(other)


async def test_denied_key_gets_no_certificate_by_any_way(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    await door.enrolment.join(door.request(token, box))
    assert shut(door, box)
    with pytest.raises(Refused):
        door.enrolment.renew(peer(box))
    with pytest.raises(Refused, match="denied"):
        await door.enrolment.join(door.request(token, box))
    with pytest.raises(Refused, match="denied"):
        await door.enrolment.join(door.request(door.token(), box))


async def test_disqualified_node_gets_no_certificate_by_any_way(door: Door, box: NodeIdentity) -> None:
    token = door.token()
    await door.enrolment.join(door.request(token, box))
    stand(door, box, DISQUALIFIED)
    with pytest.raises(Refused):
        door.enrolment.renew(peer(box))
    for given in (token, door.token()):
        with pytest.raises(Refused, match="has left"):
            await door.enrolment.join(door.request(given, box))


# Denying


async def test_deny_disqualifies_the_node_and_writes_down_why(door: Door, box: NodeIdentity) -> None:
    await door.enrolment.join(door.request(door.token(), box))
    before = cluster.epochs(door.fleet.reader)
    assert shut(door, box, "its key was copied")
    after, row = cluster.epochs(door.fleet.reader), door.row(box)
    assert row is not None
    assert row.standing == DISQUALIFIED
    assert (after.trust, after.topology) == (before.trust + 1, before.topology + 1)
    event = node_events.page(door.fleet.reader, row.number)[0]
    assert (event.kind, event.detail["reason"]) == (DENIED, "its key was copied")
    assert not shut(door, box)


def test_deny_takes_keys_that_are_no_nodes(door: Door, box: NodeIdentity) -> None:
    assert shut(door, box)
    with pytest.raises(Refused):
        door.enrolment.renew(peer(box))
