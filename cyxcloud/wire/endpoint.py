"""Where a node on another box is, and how it is dialled: TLS 1.3, and exactly that node at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cyxcloud.core.certificates import Role, TlsIdentity, Untrusted, peer_of
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.status import HostUnavailable

P = TypeVar("P", bound=asyncio.BaseProtocol)

DIAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RemoteEndpoint:
    """`address` is HOST:PORT, [::1]:PORT for IPv6. `identity` is asked at each dialling; HostUnavailable where this
    process has no certificate yet."""

    address: str
    node_id: NodeId
    identity: Callable[[], TlsIdentity]

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
