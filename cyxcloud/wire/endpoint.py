"""Where a node on another box is, and how it is dialled: TLS 1.3, and exactly that node at the other end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cyxcloud.core.certificates import Role, TlsIdentity, Untrusted, peer_of
from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.status import HostUnavailable
from cyxcloud.wire.tickets import Scope, TicketSigner

P = TypeVar("P", bound=asyncio.BaseProtocol)

DIAL_SECONDS = 10.0
_CLOCK = SystemClock()
# A box that went without a word (power, network) is noticed within about half a minute, also where nothing is sent.
_SILENT_SECONDS = 15
_PROBE_SECONDS = 5
_PROBES = 3
_UNSENT_MS = 30_000


@dataclass(frozen=True, slots=True)
class RemoteEndpoint:
    """`address` is HOST:PORT, [::1]:PORT for IPv6. `identity` is asked at each dialling; HostUnavailable where this
    process has no certificate yet. Each `look_seconds` a connection looks whether it gives another one by then."""

    address: str
    node_id: NodeId
    identity: Callable[[], TlsIdentity]
    clock: Clock = _CLOCK
    look_seconds: float = 60.0

    def signer(self, hello: Hello) -> TicketSigner:
        return TicketSigner(self.identity().private_key, Scope(hello.cluster_id, hello.incarnation), self.clock)

    async def connect(self, make: Callable[[], P]) -> P:
        """OSError or HostUnavailable where there is no such node."""
        host, _, port = self.address.rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                transport, protocol = await loop.create_connection(
                    make, host.strip("[]"), int(port), ssl=self.identity().client_context()
                )
        except TimeoutError as error:
            raise HostUnavailable(f"{self.address} does not answer") from error
        except ValueError as error:
            raise HostUnavailable(f"{self.address} is no address") from error
        tune(transport)
        try:
            self._check(transport)
        except Untrusted as error:
            transport.abort()
            raise HostUnavailable(f"{self.address}: {error}") from error
        return protocol

    def _check(self, transport: asyncio.BaseTransport) -> None:
        peer = peer_of(transport.get_extra_info("ssl_object"))
        if peer.role is not Role.NODE or peer.node_id != self.node_id:
            raise Untrusted(f"a {peer.role} with id {peer.node_id.hex()[:16]} answers in this node's place")

    def __str__(self) -> str:
        return self.address


def tune(transport: asyncio.BaseTransport) -> None:
    """Frames go out as they are written, and a peer that is gone without a word is noticed."""
    connection: socket.socket = transport.get_extra_info("socket")
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNSENT_MS),
    ):
        connection.setsockopt(level, option, value)
