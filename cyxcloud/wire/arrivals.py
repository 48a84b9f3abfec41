"""Where nodes that nobody can dial come in: they dial, and are then asked as if they had been dialled.

Only TLS's client and server are exchanged: this side says HELLO and asks, the node serves. A node is taken if it is
waited for, by the id of its key; when it comes again its connection before is over, whatever that still looks like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import structlog

from cyxcloud.core.certificates import Role, TlsIdentity, Untrusted, peer_of
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.endpoint import P, RemoteEndpoint, tune
from cyxcloud.wire.listening import server_context
from cyxcloud.wire.status import HostUnavailable

log = structlog.get_logger(__name__)

HANDSHAKE_SECONDS = 10.0
_AGAIN_SECONDS = 1.0


class Arrivals:
    """`identity` is asked for each handshake."""

    def __init__(self, identity: Callable[[], TlsIdentity]) -> None:
        self._identity = identity
        self._waiting: dict[NodeId, Door] = {}
        self.address = ""  # where it listens, once it does

    def endpoint(self, node: NodeId) -> DialledEndpoint:
        """From now on this node is waited for; `forget` ends it."""
        door = self._waiting[node] = Door()
        return DialledEndpoint("a node that dials", node, self._identity, door=door)

    def forget(self, node: NodeId) -> None:
        door = self._waiting.pop(node, None)
        if door is not None:
            door.shut()

    async def serve(self, address: str) -> None:
        """Until cancelled; begins when there is a certificate."""
        host, _, port = address.rpartition(":")
        while True:
            try:
                server = await asyncio.get_running_loop().create_server(
                    lambda: _Arriving(self._arrived),
                    host.strip("[]") or None,
                    int(port),
                    ssl=server_context(self._identity),
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
                break
            except HostUnavailable:
                await asyncio.sleep(_AGAIN_SECONDS)
            except OSError as error:
                log.warning("nodes that dial cannot come in", address=address, reason=error.strerror)
                await asyncio.sleep(_AGAIN_SECONDS)
        self.address = f"{host}:{server.sockets[0].getsockname()[1]}"
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    def _arrived(self, transport: asyncio.Transport) -> None:
        try:
            peer = peer_of(transport.get_extra_info("ssl_object"))
        except Untrusted as error:
            self._refuse(transport, str(error))
            return
        if peer.role is not Role.NODE or peer.node_id not in self._waiting:
            self._refuse(transport, f"no node that is waited for: a {peer.role} with id {peer.node_id.hex()[:16]}")
            return
        tune(transport)
        self._waiting[peer.node_id].enter(transport)

    @staticmethod
    def _refuse(transport: asyncio.Transport, reason: str) -> None:
        log.warning("connection refused", remote=transport.get_extra_info("peername"), reason=reason)
        transport.abort()


@dataclass(slots=True)
class Door:
    """Of one node: its newest connection."""

    newest: asyncio.Transport | None = None
    knocked: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, transport: asyncio.Transport) -> None:
        self.shut()
        self.newest = transport
        self.knocked.set()

    def shut(self) -> None:
        if self.newest is not None:
            self.newest.abort()
        self.newest = None

    async def take(self) -> asyncio.Transport:
        while True:
            await self.knocked.wait()
            self.knocked.clear()
            if self.newest is not None and not self.newest.is_closing():
                return self.newest


@dataclass(frozen=True, slots=True, kw_only=True)
class DialledEndpoint(RemoteEndpoint):
    door: Door

    async def connect(self, make: Callable[[], P]) -> P:
        """Waits until the node has dialled."""
        transport = await self.door.take()
        protocol = make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return protocol


class _Arriving(asyncio.BufferedProtocol):
    """Until it is known who it is; a node says nothing before it is asked, so what comes now is nothing it may say."""

    def __init__(self, arrived: Callable[[asyncio.Transport], None]) -> None:
        self._arrived = arrived
        self._transport: asyncio.Transport | None = None
        self._unasked = memoryview(bytearray(1))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._arrived(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._unasked

    def buffer_updated(self, nbytes: int) -> None:  # noqa: ARG002 - asyncio's signature
        assert self._transport is not None
        self._transport.abort()
