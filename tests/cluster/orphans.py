"""What the nodes of a running store hold, beside what its rows say they should."""

from __future__ import annotations

from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.meta.placements import unpack_nodes
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from tests.cluster.running import Running

Held = set[tuple[bytes, ShardId]]
PAGE = 4000


async def held(store: Running) -> Held:
    """Every shard on every node, as its host lists them."""
    ((cluster_id, incarnation),) = store.rows("SELECT cluster_id, incarnation FROM cluster")
    found: Held = set()
    for path in sorted((store.data / "run").glob("nodes-?.sock")):
        host = HostClient(path, Hello("coordinator", cluster_id=cluster_id, incarnation=incarnation))
        await host.start()
        try:
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


async def _list(host: HostClient, node: NodeId) -> list[ShardId]:
    found: list[ShardId] = []
    more = True
    while more:
        page = await host.list_shards(node, found[-1] if found else None, PAGE)
        found += page.shards
        more = page.more
    return found
