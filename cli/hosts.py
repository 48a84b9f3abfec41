"""Connections to the node hosts of a running store, for commands that look at shards or have a folder opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cli.store import Store
from cyxcloud.core.ids import NodeId
from cyxcloud.meta import cluster
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.status import HostRefused, HostUnavailable

CONNECT_SECONDS = 5.0
# A host that still serves a folder that was moved away finds that out within this time.
OPEN_SECONDS = 20.0
POLL_SECONDS = 0.2


@asynccontextmanager
async def connected(store: Store) -> AsyncIterator[list[HostClient]]:
    """Those that answer; what the others hold is unknown. None on a stopped store."""
    known = cluster.read(store.reader)
    assert known is not None
    hello = Hello("coordinator", known.cluster_id, known.incarnation)
    hosts = [HostClient(path, hello) for path in sorted(store.home.run.glob("nodes-*.sock"))]
    try:
        await asyncio.gather(*(_start(host) for host in hosts))
        yield [host for host in hosts if host.connected]
    finally:
        for host in hosts:
            await host.close()


async def open_on(host: HostClient, node: NodeId, folder: Path) -> bool:
    """Whether the host now serves this node."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OPEN_SECONDS
    while loop.time() < deadline:
        with suppress(HostRefused, HostUnavailable):
            if (await host.open_node(folder)).node_id == node:
                return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _start(host: HostClient) -> None:
    try:
        await host.start(CONNECT_SECONDS)
    except HostUnavailable:
        return
