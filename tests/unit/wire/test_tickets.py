"""Tickets: good for who signed, for exactly what it says, for some minutes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import get_message
from cyxcloud.wire.framing import frame
from cyxcloud.wire.shardhost import GetBatch
from cyxcloud.wire.tickets import (
    SKEW_MS,
    TICKET_MS,
    Operation,
    Scope,
    TicketRefused,
    TicketSigner,
    check_ticket,
    signed_bytes,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SCOPE = Scope(b"cluster-16-bytes", b"incarnation-one!")
NODE = NodeId(bytes(range(32)))
CLOCK = ManualClock(1_800_000_000_000)
NOW_MS = CLOCK.now_ms()


def asked() -> pb.GetShards:
    return get_message(GetBatch(BlobId(7 << 32 | 5), 3, [2, 9], [NODE, NodeId(b"n" * 32)], 1, 2), 78, 5000).get


def ticketed(clock: ManualClock = CLOCK, scope: Scope = SCOPE, key: Ed25519PrivateKey = KEY) -> pb.GetShards:
    message = asked()
    TicketSigner(key, scope, clock).sign(Operation.GET, message)
    return message


def check(message: pb.GetShards, operation: Operation = Operation.GET, now_ms: int = NOW_MS) -> None:
    check_ticket(operation, message, SCOPE, KEY.public_key(), now_ms)


def test_signed_request_is_accepted_until_it_expires() -> None:
    message = ticketed()
    check(message)
    check(message, now_ms=NOW_MS + TICKET_MS - 1)
    with pytest.raises(TicketRefused, match="expired"):
        check(message, now_ms=NOW_MS + TICKET_MS)


def test_clock_that_is_a_little_ahead_is_let_pass_and_a_ticket_for_ever_is_not() -> None:
    check(ticketed(ManualClock(NOW_MS + SKEW_MS)))
    with pytest.raises(TicketRefused, match="too long"):
        check(ticketed(ManualClock(NOW_MS + SKEW_MS + 1)))


def _set(name: str, value: object) -> Callable[[pb.GetShards], None]:
    return lambda message: setattr(message, name, value)


def _later(message: pb.GetShards) -> None:
    message.ticket.expires_at_ms += 1


@pytest.mark.parametrize(
    "alter",
    [
        _set("blob", 7 << 32 | 6),
        _set("chunk", 4),
        _set("indexes", b"\x02\x08"),
        _set("nodes", bytes(NODE) * 2),
        _later,
    ],
    ids=["blob", "chunk", "indexes", "nodes", "expiry"],
)
def test_altered_request_is_refused_with_what_was_signed(alter: Callable[[pb.GetShards], None]) -> None:
    message = ticketed()
    alter(message)
    with pytest.raises(TicketRefused, match="did not sign") as refused:
        check(message)
    assert refused.value.signature == message.ticket.signature
    assert refused.value.signed == signed_bytes(Operation.GET, message, SCOPE, message.ticket.expires_at_ms)


def test_ticket_of_another_operation_cluster_incarnation_or_key_is_refused() -> None:
    with pytest.raises(TicketRefused):
        check(ticketed(), Operation.PUT)
    for scope in (Scope(b"another-cluster!", SCOPE.incarnation), Scope(SCOPE.cluster_id, b"incarnation-two!")):
        with pytest.raises(TicketRefused):
            check(ticketed(scope=scope))
    with pytest.raises(TicketRefused):
        check(ticketed(key=Ed25519PrivateKey.generate()))


def test_request_without_a_ticket_is_refused() -> None:
    with pytest.raises(TicketRefused, match="no ticket"):
        check(asked())


def test_what_is_signed_and_sent_never_changes() -> None:
    envelope = get_message(GetBatch(BlobId(7 << 32 | 5), 3, [2], [NODE]), 78, 5000)
    TicketSigner(KEY, SCOPE, CLOCK).sign(Operation.GET, envelope.get)
    expires_at_ms = envelope.get.ticket.expires_at_ms
    assert signed_bytes(Operation.GET, envelope.get, SCOPE, expires_at_ms).hex() == SIGNED
    assert frame(envelope).hex() == SENT


SIGNED = "637978636c6f7564207469636b65742076310002000000070000000500000003000001a3186577c000011010636c75737465722d31362d6279746573696e6361726e6174696f6e2d6f6e652102000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
SENT = "0000007f084e1088273a7808858080807010031a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2201023a4908c0ef95c3b134124097d1c6ab4c3923b134db9a401101e9056faee568dbe82756ac0e0d3d1eb958f363f2af0a930a2ae34cc421c84fe20a61573b76ae862df538c8450520d7685e01"
