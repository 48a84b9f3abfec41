"""The shard protocol over TLS, for gateways, movers and the coordinator of other boxes (RFC 8446, mutual).

Who is there is read from the certificate, never from what is said. A node's certificate may do nothing at a node, the
coordinator steers and audits, and no folder is opened from afar. A denied key is cut off where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from cyxcloud.core.certificates import Peer, Role, TlsIdentity, Untrusted, peer_of
from cyxcloud.core.ids import NodeId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.status import WireError
from nodefs.host import HostConnection, ShardServer
from nodefs.throttle import Line, throttled

log = structlog.get_logger(__name__)

_CUSTOMERS = frozenset({Role.GATEWAY, Role.MOVER, Role.COORDINATOR})
# Everybody who stores and reads may ask these; all other questions are the coordinator's.
_OPEN = frozenset({"hello", "put", "get", "exists", "stats", "delete"})
_NEVER = frozenset({"open_node", "locate"})
HANDSHAKE_SECONDS = 10.0


class Doorman:
    """Whom this node lets in."""

    def __init__(self, cluster_id: bytes, denied: Callable[[], frozenset[NodeId]] = frozenset) -> None:
        self._cluster_id, self._denied = cluster_id, denied

    def admit(self, transport: asyncio.BaseTransport) -> Peer:
        """Raises Untrusted."""
        connection = transport.get_extra_info("ssl_object")
        if connection is None:
            raise Untrusted("not a TLS connection")
        peer = peer_of(connection)
        if peer.cluster_id != self._cluster_id:
            raise Untrusted("of another fleet")
        if peer.role not in _CUSTOMERS:
            raise Untrusted(f"a {peer.role} has no business here")
        if peer.node_id in self._denied():
            raise Untrusted("its key is denied")
        return peer

    def still(self, peer: Peer) -> bool:
        return peer.node_id not in self._denied()


class TlsConnection(HostConnection):
    def __init__(self, server: ShardServer, doorman: Doorman) -> None:
        super().__init__(server)
        self._doorman = doorman
        self.certified: Peer | None = None

    def is_welcome(self, transport: asyncio.BaseTransport) -> bool:
        try:
            self.certified = self._doorman.admit(transport)
        except Untrusted as error:
            log.warning("connection refused", remote=transport.get_extra_info("peername"), reason=str(error))
            return False
        return True

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        body = message.WhichOneof("body")
        assert self.certified is not None
        if not self._doorman.still(self.certified):
            raise WireError("its key is denied")
        if body == "hello" and message.hello.role != self.certified.role:
            raise WireError(f"says it is a {message.hello.role}, its certificate that it is a {self.certified.role}")
        if body in _NEVER or (body not in _OPEN and self.certified.role is not Role.COORDINATOR):
            raise WireError(f"{body} is not for a {self.certified.role} of another box")
        super().frame_received(message, payload)


async def listen(
    address: str, server: ShardServer, doorman: Doorman, identity: Callable[[], TlsIdentity], line: Line
) -> asyncio.Server:
    """New handshakes show the certificate that `identity` gives then. OSError where the address cannot be had."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    shown = identity()
    context = shown.server_context()
    newest = (shown, context)

    def choose(connection: object, _name: str | None, _context: object) -> None:
        nonlocal newest
        now = identity()
        if now is not newest[0]:
            newest = now, now.server_context()
        if newest[1] is not context:
            connection.context = newest[1]  # type: ignore[attr-defined] # an SSLObject

    context.sni_callback = choose
    return await loop.create_server(
        throttled(lambda: TlsConnection(server, doorman), line),
        host.strip("[]") or None,
        int(port),
        ssl=context,
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
    )
