"""Connections to the node hosts of a running store, for commands that look at shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.store import Store
from cyxcloud.meta import cluster
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.status import HostUnavailable

CONNECT_SECONDS = 5.0


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


async def _start(host: HostClient) -> None:
    try:
        await host.start(CONNECT_SECONDS)
    except HostUnavailable:
        return
