"""Tickets: what a gateway or mover signs for each PUT and GET at a node on another box, byte for byte (pure).

The signature is by the key of its certificate, over the operation, the shards, the nodes, an expiry, and the cluster
and incarnation it works for; the node checks it against the certificate of the connection that the request came by. So
a ticket is good for who signed it alone, at the nodes it names, for what it says, for some minutes. Only the expiry and
the signature travel: all else stands in the request itself. One signature covers a batch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cyxcloud.core.clock import Clock
from cyxcloud.wire import messages_pb2 as pb

_PREFIX = b"cyxcloud ticket v1\x00"
# Operation, blob, chunk, expiry, number of shards, lengths of the cluster's id and of the incarnation.
_HEAD = struct.Struct(">BQIQHBB")
TICKET_MS = 10 * 60 * 1000
# What the clocks of a node and of who signs may differ by: as much as certificates allow.
SKEW_MS = 5 * 60 * 1000


class Operation(IntEnum):
    PUT = 1
    GET = 2


class TicketRefused(Exception):
    """`signed` is what the signature would have to cover: with the signature, evidence of who asked for what."""

    def __init__(self, text: str, signed: bytes = b"", signature: bytes = b"") -> None:
        super().__init__(text)
        self.signed, self.signature = signed, signature


@dataclass(frozen=True, slots=True)
class Scope:
    """For which store a ticket is: the same on both sides, so it is not sent."""

    cluster_id: bytes
    incarnation: bytes


Asked = pb.PutShards | pb.GetShards


@dataclass(frozen=True, slots=True)
class TicketSigner:
    key: Ed25519PrivateKey
    scope: Scope
    clock: Clock

    def sign(self, operation: Operation, asked: Asked) -> None:
        """Put the ticket into the request, which is complete but for it."""
        expires_at_ms = self.clock.now_ms() + TICKET_MS
        asked.ticket.expires_at_ms = expires_at_ms
        asked.ticket.signature = self.key.sign(signed_bytes(operation, asked, self.scope, expires_at_ms))


def signed_bytes(operation: Operation, asked: Asked, scope: Scope, expires_at_ms: int) -> bytes:
    head = _HEAD.pack(
        operation,
        asked.blob,
        asked.chunk,
        expires_at_ms,
        len(asked.indexes),
        len(scope.cluster_id),
        len(scope.incarnation),
    )
    return b"".join((_PREFIX, head, scope.cluster_id, scope.incarnation, asked.indexes, asked.nodes))


def check_ticket(operation: Operation, asked: Asked, scope: Scope, key: Ed25519PublicKey, now_ms: int) -> None:
    """Raises TicketRefused unless whoever holds this key asks for exactly this, now."""
    if not asked.HasField("ticket"):
        raise TicketRefused("no ticket")
    expires_at_ms, signature = asked.ticket.expires_at_ms, asked.ticket.signature
    signed = signed_bytes(operation, asked, scope, expires_at_ms)
    try:
        key.verify(signature, signed)
    except InvalidSignature as error:
        raise TicketRefused("a ticket that this certificate's key did not sign for this", signed, signature) from error
    if expires_at_ms <= now_ms:
        raise TicketRefused("a ticket that has expired", signed, signature)
    if expires_at_ms > now_ms + TICKET_MS + SKEW_MS:
        raise TicketRefused("a ticket that is good for too long", signed, signature)
