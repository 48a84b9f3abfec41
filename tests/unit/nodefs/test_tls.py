"""A node on another box: who may do what at it (R36)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import ManualClock, SystemClock
from cyxcloud.core.identity import verify
from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.client import GetBatch, Hello, HostClient, HostRefused, HostUnavailable, Status
from cyxcloud.wire.codec import get_message, hello_message
from cyxcloud.wire.connection import Connection
from cyxcloud.wire.endpoint import RemoteEndpoint
from cyxcloud.wire.status import ScrubAction
from cyxcloud.wire.tickets import TICKET_MS, Operation, Scope, TicketSigner
from nodefs.evidence import LINES_A_SECOND, EvidenceLog, Refusal
from tests.unit.nodefs.making import CLUSTER, INCARNATION, batch, pieces, signed_order
from tests.unit.nodefs.overtls import TlsNode, client_of, identity_of, tls_node

BLOB = 7 << 32 | 1
MADE = pieces(6556, count=2)
SHARD = ShardId(BlobId(BLOB), 0, 0)


async def _put(client: HostClient, node: TlsNode) -> None:
    assert await client.put(batch(MADE, [node.node_id], BLOB)) == {0: Status.OK}


Ask = Callable[[HostClient, NodeId], Awaitable[object]]
REQUESTS: dict[str, Ask] = {
    "get": lambda host, node: host.get(GetBatch(BlobId(BLOB), 0, [0], [node])),
    "exists": lambda host, node: host.exists(BlobId(BLOB), 0, [0], [node]),
    "stats": lambda host, _: host.stats(),
    "verify": lambda host, node: host.verify(node, SHARD, 0, b"nonce"),
    "list": lambda host, node: host.list_shards(node),
    "findings": lambda host, node: host.findings(node),
    "get_pointer": lambda host, node: host.get_pointer(node),
    "put_pointer": lambda host, node: host.put_pointer(node, b"there"),
    "scrub": lambda host, _: host.scrub(ScrubAction.STATUS),
    "delete": lambda host, node: host.delete(*signed_order(node, [SHARD], SystemClock().now_ms())),
    "open_node": lambda host, _: host.open_node(Path("/")),
    "locate": lambda host, node: host.locate(BlobId(BLOB), 0, [0], [node], seconds=5.0),
}
STORES = {"get", "exists", "stats"}
ALLOWED = {
    Role.GATEWAY: STORES,
    Role.MOVER: STORES | {"verify"},
    Role.COORDINATOR: REQUESTS.keys() - {"open_node", "locate"},
}


@pytest.mark.parametrize("role", ALLOWED)
async def test_each_role_may_do_its_own_and_nothing_else(tmp_path: Path, role: Role) -> None:
    async with tls_node(tmp_path / "n0") as node, client_of(node, role) as client:
        await _put(client, node)
        allowed, statuses = set(), set()
        for name, ask in REQUESTS.items():
            try:
                await ask(client, node.node_id)
                allowed.add(name)
            except HostRefused as refused:
                statuses.add(refused.status)
        assert (allowed, statuses) == (ALLOWED[role], {Status.DENIED})
        assert {line["what"] for line in await node.refused()} == REQUESTS.keys() - ALLOWED[role]


async def test_certificate_of_a_node_may_do_nothing_at_a_node(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node:
        with pytest.raises(HostUnavailable):
            async with client_of(node, Role.NODE, seconds=0.3):
                pass
        assert (await node.refused())[0]["reason"] == "a node has no business here"


async def test_role_that_is_said_must_be_the_certificates(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node:
        for hello in (Hello("coordinator", CLUSTER, INCARNATION), Hello("gateway", b"another-cluster!", INCARNATION)):
            with pytest.raises(HostUnavailable):
                async with client_of(node, Role.GATEWAY, hello=hello, seconds=0.3):
                    pass
        reasons = {line["reason"] for line in await node.refused()}
        assert any("says it is a coordinator" in reason for reason in reasons)
        assert any("another fleet" in reason for reason in reasons)


async def test_another_authoritys_or_an_expired_certificate_is_not_let_in(tmp_path: Path) -> None:
    stranger = identity_of(Role.GATEWAY, authority=Authority(bytes(32), CLUSTER))
    expired = identity_of(Role.GATEWAY, seconds=-1.0)
    async with tls_node(tmp_path / "n0") as node:
        for identity in (stranger, expired):
            with pytest.raises(HostUnavailable):
                async with client_of(node, Role.GATEWAY, identity=identity, seconds=0.3):
                    pass
        assert not node.server.connections


async def test_denied_key_is_cut_off_where_it_stands(tmp_path: Path) -> None:
    identity = identity_of(Role.GATEWAY)
    async with (
        tls_node(tmp_path / "n0") as node,
        client_of(node, Role.GATEWAY) as other,
        client_of(node, Role.GATEWAY, identity=identity) as client,
    ):
        await _put(client, node)
        node.denied.add(identity.node_id)
        with pytest.raises((HostUnavailable, HostRefused)):
            await client.get(GetBatch(BlobId(BLOB), 0, [0], [node.node_id]))
        with pytest.raises(HostUnavailable):
            async with client_of(node, Role.GATEWAY, identity=identity, seconds=0.3):
                pass
        await _put(other, node)
        assert (await node.refused())[0]["peer"] == identity.node_id.hex()


async def test_certificate_that_runs_out_ends_its_connection(tmp_path: Path) -> None:
    clock = ManualClock(SystemClock().now_ms())
    async with tls_node(tmp_path / "n0", clock=clock) as node, client_of(node, Role.GATEWAY) as client:
        await _put(client, node)
        clock.advance(3600.0 + 301.0)
        with pytest.raises((HostUnavailable, HostRefused)):
            await client.get(GetBatch(BlobId(BLOB), 0, [0], [node.node_id]))
        assert (await node.refused())[0]["reason"] == "its certificate has expired"


async def test_renewed_certificate_takes_over_and_calls_in_hand_end_well(tmp_path: Path) -> None:
    first = identity_of(Role.GATEWAY)
    shown = [first]
    async with tls_node(tmp_path / "n0") as node:
        endpoint = RemoteEndpoint(f"127.0.0.1:{node.port}", node.node_id, lambda: shown[0], look_seconds=0.01)
        client = HostClient(endpoint, Hello("gateway", CLUSTER, INCARNATION))
        await client.start(5.0)
        (before,) = node.server.connections
        shown[0] = identity_of(Role.GATEWAY, key=first.private_key)
        while before in node.server.connections:
            await _put(client, node)
        assert client.connected
        await _put(client, node)
        assert len(node.server.connections) == 1
        await client.close()


async def test_node_that_answers_in_anothers_place_is_not_talked_to(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node:
        client = HostClient(
            node.endpoint(identity_of(Role.GATEWAY), node=NodeId(b"s" * 32)), Hello("gateway", CLUSTER, INCARNATION)
        )
        with pytest.raises(HostUnavailable, match="in this node's place"):
            await client.start(0.3)
        await client.close()


async def test_node_over_ipv6(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0", address="[::1]") as node, client_of(node, Role.GATEWAY) as client:
        await _put(client, node)


# -- tickets


async def _asked(node: TlsNode, identity: TlsIdentity, signer: TicketSigner | None, node_id: NodeId) -> Status:
    """What a GET with this ticket comes to."""
    loop = asyncio.get_running_loop()
    connection = await node.endpoint(identity).connect(lambda: Connection(loop, lambda _: None, lambda *_: None))
    assert connection.transport is not None
    try:
        hello = hello_message(Hello("gateway", CLUSTER, INCARNATION), 1)
        await connection.wait(1, connection.send(hello, (), 5.0))
        envelope = get_message(GetBatch(BlobId(BLOB), 0, [0], [node.node_id]), 2, 5000)
        if signer is not None:
            signer.sign(Operation.GET, envelope.get)
        envelope.get.nodes = bytes(node_id)
        message, _ = await connection.wait(2, connection.send(envelope, (), 5.0))
        return Status(message.get_result.statuses[0])
    except HostRefused as refused:
        return refused.status
    finally:
        connection.transport.abort()


SCOPE = Scope(CLUSTER, INCARNATION)
LONG_AGO = ManualClock(SystemClock().now_ms() - TICKET_MS - 1)


@pytest.mark.parametrize("flaw", ["none", "missing", "expired", "foreign", "another incarnation", "another node"])
async def test_get_needs_a_ticket_of_its_own_key_for_this_node_now(tmp_path: Path, flaw: str) -> None:
    identity = identity_of(Role.GATEWAY)
    key = identity.private_key
    async with tls_node(tmp_path / "n0") as node, client_of(node, Role.MOVER) as other:
        await _put(other, node)
        signers = {
            "none": TicketSigner(key, SCOPE, SystemClock()),
            "expired": TicketSigner(key, SCOPE, LONG_AGO),
            "foreign": TicketSigner(identity_of(Role.GATEWAY).private_key, SCOPE, SystemClock()),
            "another incarnation": TicketSigner(key, Scope(CLUSTER, b"incarnation-two!"), SystemClock()),
            "another node": TicketSigner(key, SCOPE, SystemClock()),
        }
        node_id = NodeId(b"s" * 32) if flaw == "another node" else node.node_id
        status = await _asked(node, identity, signers.get(flaw), node_id)
        refusals = await node.refused()
        if flaw == "none":
            assert (status, refusals) == (Status.OK, [])
            return
        assert status is Status.DENIED
        assert (refusals[0]["peer"], refusals[0]["what"]) == (identity.node_id.hex(), "get")
        if flaw == "expired":  # whoever has this line can prove who asked
            signed, signature = bytes.fromhex(refusals[0]["signed"]), bytes.fromhex(refusals[0]["signature"])
            assert verify(bytes.fromhex(refusals[0]["public_key"]), signed, signature)


async def test_put_whose_ticket_is_for_another_shard_is_not_stored(tmp_path: Path) -> None:
    identity = identity_of(Role.GATEWAY)

    class Altering(TicketSigner):
        def sign(self, operation: Operation, asked: pb.PutShards | pb.GetShards) -> None:
            super().sign(operation, asked)
            asked.blob += 1

    async with tls_node(tmp_path / "n0") as node, client_of(node, Role.GATEWAY, identity=identity) as client:
        client._signer = Altering(identity.private_key, SCOPE, SystemClock())  # a hostile client
        with pytest.raises(HostRefused, match="did not sign"):
            await client.put(batch(MADE, [node.node_id], BLOB))
        assert [info.shard_count for info in await client.stats()] == [0]


async def test_writes_for_another_incarnation_are_refused(tmp_path: Path) -> None:
    hello = Hello("gateway", CLUSTER, b"incarnation-two!")
    async with tls_node(tmp_path / "n0") as node, client_of(node, Role.GATEWAY, hello=hello) as client:
        assert await client.put(batch(MADE, [node.node_id], BLOB)) == {0: Status.WRONG_INCARNATION}


async def test_other_content_for_a_shard_is_a_conflict_whoever_sends_it(tmp_path: Path) -> None:
    async with tls_node(tmp_path / "n0") as node, client_of(node, Role.GATEWAY) as client:
        await _put(client, node)
        async with client_of(node, Role.MOVER) as other:
            statuses = await other.put(batch(pieces(6556, count=2, seed=9), [node.node_id], BLOB))
        assert statuses == {0: Status.CONFLICT}
        answer = await client.get(GetBatch(BlobId(BLOB), 0, [0], [node.node_id]))
        assert bytes(answer.payload) == MADE.payloads[0]


async def test_evidence_is_bounded(tmp_path: Path) -> None:
    clock = ManualClock()
    with ThreadPoolExecutor(1) as threads:
        evidence = EvidenceLog(tmp_path / "refused.log", clock, threads, max_bytes=2000)
        for _ in range(20):
            for _ in range(LINES_A_SECOND + 5):
                evidence.add(Refusal(None, "here", "get", "why not"))
            clock.advance(1.0)
    assert evidence.left_out == 100
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"refused.log", "refused.1.log"}
