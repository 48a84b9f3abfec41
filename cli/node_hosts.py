"""The node hosts of a running store, for commands that have them open a folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from cli.home import Home
from cyxcloud.core.ids import NodeId
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.status import HostRefused, HostUnavailable

# A host that still serves a folder that was moved away finds that out within this time.
OPEN_SECONDS = 20.0
CONNECT_SECONDS = 5.0
POLL_SECONDS = 0.2


@contextlib.asynccontextmanager
async def node_hosts(home: Home, known: ClusterRow) -> AsyncIterator[list[HostClient]]:
    """Those that answer; none where the store does not run."""
    hello = Hello("coordinator", known.cluster_id, known.incarnation)
    hosts: list[HostClient] = []
    process = 0
    while (socket := home.node_socket(process)).exists():
        host = HostClient(socket, hello)
        with contextlib.suppress(HostUnavailable):
            await host.start(CONNECT_SECONDS)
        hosts.append(host)
        process += 1
    try:
        yield [host for host in hosts if host.connected]
    finally:
        for host in hosts:
            await host.close()


async def open_on(host: HostClient, node: NodeId, folder: Path) -> bool:
    """Whether the host now serves this node."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OPEN_SECONDS
    while loop.time() < deadline:
        with contextlib.suppress(HostRefused, HostUnavailable):
            if (await host.open_node(folder)).node_id == node:
                return True
        await asyncio.sleep(POLL_SECONDS)
    return False
