"""What the nodes of a running store hold, beside what its rows say they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.meta.placements import unpack_nodes
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from tests.cluster.running import ROOT, START_SECONDS, Running
from tests.cluster.s3 import Request, Signing

Held = set[tuple[bytes, ShardId]]
PAGE = 4000
HALF_BYTES = 10 << 20


async def held(store: Running) -> Held:
    """Every shard on every node, as its host lists them."""
    ((cluster_id, incarnation),) = store.rows("SELECT cluster_id, incarnation FROM cluster")
    found: Held = set()
    for path in sorted((store.data / "run").glob("nodes-?.sock")):
        host = HostClient(path, Hello("coordinator", cluster_id=cluster_id, incarnation=incarnation))
        await host.start(START_SECONDS)
        try:
            assert host.nodes, path
            for node in host.nodes:
                found |= {(node, shard) for shard in await _list(host, node)}
        finally:
            await host.close()
    return found


def placed(store: Running) -> Held:
    """Every shard that a chunk row places, of queued blobs as well."""
    ids = dict(store.rows("SELECT number, node_id FROM node"))
    members = {row[0]: unpack_nodes(row[1]) for row in store.rows("SELECT id, nodes FROM placement")}
    return {
        (ids[node], ShardId(BlobId(blob), n, index))
        for blob, n, placement in store.rows("SELECT blob, n, placement FROM chunk")
        for index, node in enumerate(members[placement])
    }


async def orphans(store: Running) -> Held:
    """On the nodes and of nobody. Rows are read last, so that what is committed meanwhile is nobody's orphan."""
    there = await held(store)
    return there - placed(store)


@asynccontextmanager
async def half_sent(store: Running, path: str) -> AsyncIterator[None]:
    """A PutObject of which the first half is sent, so that whole chunks of it stand on the nodes."""
    request = Signing(ROOT).by_header(Request("PUT", path), store.endpoint, "UNSIGNED-PAYLOAD")
    headers = {"host": f"{store.endpoint.host}:{store.endpoint.port}", "content-length": str(2 * HALF_BYTES)}
    lines = [
        f"PUT {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in {**headers, **dict(request.headers)}.items()),
    ]
    _, writer = await asyncio.open_connection(store.endpoint.host, store.endpoint.port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + bytes(HALF_BYTES))
        await writer.drain()
        yield
    finally:
        writer.close()


async def _list(host: HostClient, node: NodeId) -> list[ShardId]:
    found: list[ShardId] = []
    more = True
    while more:
        page = await host.list_shards(node, found[-1] if found else None, PAGE)
        found += page.shards
        more = page.more
    return found
