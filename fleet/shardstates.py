"""How the shards of a chunk are: what their hosts say of them, or, deeply, what their bytes are.

A node that no host serves, or whose host does not answer, leaves its shard unknown, which is neither good nor bad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.shards.verify import ChunkVerifier
from cyxcloud.wire.shardhost import GetBatch, ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status, WireError


class ShardState(StrEnum):
    OK = "ok"
    MISSING = "missing"
    CORRUPT = "corrupt"
    UNREACHABLE = "unreachable"


_STATES = {
    Status.OK: ShardState.OK,
    Status.NOT_FOUND: ShardState.MISSING,
    Status.CORRUPT: ShardState.CORRUPT,
    Status.CONFLICT: ShardState.CORRUPT,
    Status.IO_ERROR: ShardState.CORRUPT,
}
_FAILURES = (HostUnavailable, HostRefused, WireError, TimeoutError)


@dataclass(frozen=True, slots=True)
class PlacedChunk:
    """A chunk as rows tell of it; `nodes` holds shard 0 first."""

    blob: BlobId
    n: int
    root: bytes
    nodes: tuple[NodeId, ...]


async def ask(hosts: Sequence[ShardHost], chunk: PlacedChunk) -> list[ShardState]:
    """By their hosts' indexes: nothing is read."""
    found = [ShardState.UNREACHABLE] * len(chunk.nodes)

    async def ask_host(host: ShardHost, indexes: Sequence[int]) -> None:
        try:
            statuses = await host.exists(chunk.blob, chunk.n, indexes, [chunk.nodes[index] for index in indexes])
        except _FAILURES:
            return
        for index, status in zip(indexes, statuses, strict=True):
            found[index] = _STATES.get(status, ShardState.UNREACHABLE)

    await asyncio.gather(*(ask_host(host, indexes) for host, indexes in _by_host(hosts, chunk)))
    return found


async def read(hosts: Sequence[ShardHost], chunk: PlacedChunk) -> list[ShardState]:
    """Every shard is read whole and held against the chunk's root by its own proof, one at a time."""
    found = [ShardState.UNREACHABLE] * len(chunk.nodes)
    for host, indexes in _by_host(hosts, chunk):
        for index in indexes:
            found[index] = await _read_one(host, chunk, index)
    return found


async def _read_one(host: ShardHost, chunk: PlacedChunk, index: int) -> ShardState:
    try:
        answer = await host.get(GetBatch(chunk.blob, chunk.n, (index,), (chunk.nodes[index],)))
    except _FAILURES:
        return ShardState.UNREACHABLE
    if answer.statuses[0] is not Status.OK:
        return _STATES.get(answer.statuses[0], ShardState.UNREACHABLE)
    verifier = ChunkVerifier(chunk.root, len(chunk.nodes))
    proven = verifier.accept(index, answer.shard_size, answer.hashes[0], answer.proofs[0])
    good = proven and len(answer.payload) == answer.shard_size and verifier.matches(index, 0, answer.payload)
    return ShardState.OK if good else ShardState.CORRUPT


def _by_host(hosts: Sequence[ShardHost], chunk: PlacedChunk) -> list[tuple[ShardHost, list[int]]]:
    host_of: Mapping[NodeId, ShardHost] = {node: host for host in hosts if host.connected for node in host.nodes}
    return [
        (host, [index for index, node in enumerate(chunk.nodes) if host_of.get(node) is host])
        for host in dict.fromkeys(host_of[node] for node in chunk.nodes if node in host_of)
    ]
