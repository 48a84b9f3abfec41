"""Nodes on other boxes for tests: a node served over TLS in this process, and clients with certificates of any role."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.client import Hello, HostClient
from cyxcloud.wire.endpoint import RemoteEndpoint
from nodefs.commit import TaskJob
from nodefs.evidence import EvidenceLog
from nodefs.fleetfolder import REFUSED
from nodefs.folder import open_folder
from nodefs.health import Limits
from nodefs.host import ShardServer
from nodefs.provision import create_node
from nodefs.rack import Rack
from nodefs.threads import ReadThreads
from nodefs.throttle import Line
from nodefs.tls import Doorman, listen
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, UNSYNCED

AUTHORITY = Authority(bytes(range(32)), CLUSTER)


def identity_of(
    role: Role, *, key: Ed25519PrivateKey | None = None, authority: Authority = AUTHORITY, seconds: float = 3600.0
) -> TlsIdentity:
    """A certificate that runs out after `seconds`."""
    key = key or Ed25519PrivateKey.generate()
    now_ms = SystemClock().now_ms()
    issued = authority.issue(key.public_key().public_bytes_raw(), role, now_ms, seconds=seconds)
    return TlsIdentity(authority.certificate, issued, key)


@dataclass(slots=True)
class TlsNode:
    """One provider's box. `denied` may be changed while it runs."""

    root: Path
    node_id: NodeId
    port: int
    server: ShardServer
    denied: set[NodeId] = field(default_factory=set)
    address: str = "127.0.0.1"

    def endpoint(self, identity: TlsIdentity, *, node: NodeId | None = None) -> RemoteEndpoint:
        return RemoteEndpoint(f"{self.address}:{self.port}", node or self.node_id, lambda: identity)

    async def settled(self) -> None:
        """All that was written before this is on the disk, and refusals are written down."""
        for store in self.server.stores.values():
            done = asyncio.get_running_loop().create_future()
            self.server.committers[store.device].submit(
                TaskJob(store, lambda: None, lambda _, done=done: done.set_result(None))  # type: ignore[misc]
            )
            await done

    async def refused(self) -> list[dict[str, Any]]:
        """The evidence, oldest first."""
        await asyncio.get_running_loop().run_in_executor(self.server.threads, lambda: None)
        path = self.root / REFUSED
        lines = await asyncio.to_thread(path.read_text) if path.exists() else ""
        return [json.loads(line) for line in lines.splitlines()]


@contextlib.asynccontextmanager
async def tls_node(root: Path, *, clock: Clock | None = None, address: str = "127.0.0.1") -> AsyncIterator[TlsNode]:
    clock = clock or SystemClock()
    if not root.exists():
        create_node(root, root.name, CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    folder = open_folder(root)
    identity = identity_of(Role.NODE, key=folder.identity.private_key)
    rack, threads = Rack(clock, Limits(), scrub_seconds=86_400.0), ReadThreads(1)
    await rack.open_all([root])
    server = ShardServer(rack, clock, threads)
    node = TlsNode(root, folder.identity.node_id, 0, server, address=address)
    doorman = Doorman(CLUSTER, EvidenceLog(root / REFUSED, clock, threads), lambda: frozenset(node.denied))
    listening = await listen(f"{address}:0", server, doorman, lambda: identity, Line.of(0, 0, clock))
    node.port = listening.sockets[0].getsockname()[1]
    try:
        yield node
    finally:
        listening.close()
        for connection in list(server.connections):
            if connection.transport is not None:
                connection.transport.abort()
        threads.shutdown()
        rack.close()


@contextlib.asynccontextmanager
async def client_of(
    node: TlsNode, role: Role, *, identity: TlsIdentity | None = None, hello: Hello | None = None, seconds: float = 10.0
) -> AsyncIterator[HostClient]:
    client = HostClient(node.endpoint(identity or identity_of(role)), hello or Hello(str(role), CLUSTER, INCARNATION))
    try:
        await client.start(seconds)
        yield client
    finally:
        await client.close()
