"""The shard protocol over TLS, for gateways, movers and the coordinator of other boxes (RFC 8446, mutual).

Who is there is read from the certificate, never from what is said, and what it may do follows from its role: shards are
put and got with a ticket, only the coordinator steers, audits and carries delete orders, no folder is opened from afar,
and a node's certificate may do nothing at a node. A denied key, or one whose certificate has run out, is cut off where
it stands. What is refused is kept as evidence.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cyxcloud.core.certificates import SKEW_SECONDS, Peer, Role, TlsIdentity, Untrusted, peer_of
from cyxcloud.core.ids import NodeId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.endpoint import tune
from cyxcloud.wire.listening import server_context
from cyxcloud.wire.status import Status, WireError
from cyxcloud.wire.tickets import Operation, Scope, TicketRefused, check_ticket
from nodefs.evidence import EvidenceLog, Refusal
from nodefs.host import HostConnection, ShardServer
from nodefs.throttle import Line, throttled

_STORES = frozenset({"hello", "put", "get", "exists", "stats"})
RIGHTS = {
    Role.GATEWAY: _STORES,
    # Looks whether a shard is still good where it lies before it makes another.
    Role.MOVER: _STORES | {"verify"},
    Role.COORDINATOR: _STORES
    | {"verify", "delete", "list", "findings", "put_pointer", "get_pointer", "scrub"},
}  # fmt: skip
HANDSHAKE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """`expires_at_ms` of the certificate, with what clocks may differ by."""

    peer: Peer
    expires_at_ms: int


class Doorman:
    """Whom this node lets in, and where it writes down whom it did not."""

    def __init__(
        self, cluster_id: bytes, evidence: EvidenceLog, denied: Callable[[], frozenset[NodeId]] = frozenset
    ) -> None:
        self._cluster_id, self._denied = cluster_id, denied
        self.evidence = evidence

    def admit(self, transport: asyncio.BaseTransport) -> Admitted:
        """Raises Untrusted."""
        connection = transport.get_extra_info("ssl_object")
        if connection is None:
            raise Untrusted("not a TLS connection")
        peer = peer_of(connection)
        if peer.cluster_id != self._cluster_id:
            raise Untrusted("of another fleet")
        if peer.role not in RIGHTS:
            raise Untrusted(f"a {peer.role} has no business here")
        if peer.node_id in self._denied():
            raise Untrusted("its key is denied")
        return Admitted(peer, _expires_at_ms(connection))

    def against(self, admitted: Admitted, now_ms: int) -> str:
        """Why it may not go on; empty where it may."""
        if admitted.peer.node_id in self._denied():
            return "its key is denied"
        return "its certificate has expired" if now_ms > admitted.expires_at_ms else ""


class TlsConnection(HostConnection):
    def __init__(self, server: ShardServer, doorman: Doorman) -> None:
        super().__init__(server)
        self._doorman = doorman
        self._admitted: Admitted | None = None
        self._key: Ed25519PublicKey
        self._remote = ""

    @property
    def certified(self) -> Peer | None:
        return None if self._admitted is None else self._admitted.peer

    def is_welcome(self, transport: asyncio.BaseTransport) -> bool:
        self._remote = str(transport.get_extra_info("peername"))
        try:
            self._admitted = self._doorman.admit(transport)
        except Untrusted as error:
            self.misused("connection", str(error))
            return False
        tune(transport)
        self._key = Ed25519PublicKey.from_public_bytes(self._admitted.peer.public_key)
        return True

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        admitted = self._admitted
        assert admitted is not None
        body = message.WhichOneof("body") or "nothing"
        reason = self._doorman.against(admitted, self._server.clock.now_ms())
        if body == "hello" and not reason:
            reason = self._doubt(admitted.peer, message.hello)
        if reason:
            self.misused(body, reason)
            raise WireError(reason)
        if body not in RIGHTS[admitted.peer.role]:
            self._deny(message, body, TicketRefused(f"{body} is not for a {admitted.peer.role} of another box"))
            return
        if self._peer is not None and body in {"put", "get"}:
            try:
                self._check(message, body)
            except TicketRefused as refusal:
                self._deny(message, body, refusal)
                return
        super().frame_received(message, payload)

    def misused(self, what: str, reason: str, signed: bytes = b"", signature: bytes = b"") -> None:
        self._doorman.evidence.add(Refusal(self.certified, self._remote, what, reason, signed, signature))

    @staticmethod
    def _doubt(peer: Peer, hello: pb.Hello) -> str:
        if hello.role != peer.role:
            return f"says it is a {hello.role}, its certificate that it is a {peer.role}"
        return "" if hello.cluster_id == peer.cluster_id else "says it is of another fleet than its certificate"

    def _check(self, message: pb.Envelope, body: str) -> None:
        """Raises TicketRefused."""
        assert self._peer is not None
        operation, asked = (Operation.PUT, message.put) if body == "put" else (Operation.GET, message.get)
        if body == "put" and message.put.memory:
            raise TicketRefused("nobody on another box shares memory")
        scope = Scope(self._peer.cluster_id, self._peer.incarnation)
        check_ticket(operation, asked, scope, self._key, self._server.clock.now_ms())

    def _deny(self, message: pb.Envelope, body: str, refusal: TicketRefused) -> None:
        self.misused(body, str(refusal), refusal.signed, refusal.signature)
        self._refuse(message.request_id, Status.DENIED, str(refusal))


async def listen(
    address: str, server: ShardServer, doorman: Doorman, identity: Callable[[], TlsIdentity], line: Line
) -> asyncio.Server:
    """New handshakes show the certificate that `identity` gives then. OSError where the address cannot be had."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        throttled(lambda: TlsConnection(server, doorman), line),
        host.strip("[]") or None,
        int(port),
        ssl=server_context(identity),
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
    )


def _expires_at_ms(connection: ssl.SSLObject) -> int:
    shown = connection.getpeercert()
    assert shown, "the handshake demanded one"
    return int((ssl.cert_time_to_seconds(str(shown["notAfter"])) + SKEW_SECONDS) * 1000)
