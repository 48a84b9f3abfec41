"""A data plane over memory hosts, for the tests of this folder."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import BlobId, NodeId, PlacementId, ShardId
from cyxcloud.shards.budget import ByteBudget
from cyxcloud.shards.frames import BlobCipher
from cyxcloud.shards.gather import Fault
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.placement import Placement, PlacementPool
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.shards.plane import DataPlane, Limits
from cyxcloud.shards.reader import ChunkReader
from cyxcloud.shards.writer import WrittenChunk, store_chunk
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.shardhost import ShardHost

K, M = 10, 4
MIB = 1 << 20
DEK = bytes(range(32))

# Who gives up does so after milliseconds; nobody hedges unless a test asks for it, however busy the machine is.
QUICK = Limits(
    straggler_seconds=0.05,
    put_seconds=20.0,
    read_seconds=20.0,
    first_hedge_seconds=10.0,
    late_seconds=15.0,
    retry_seconds=0.05,
    retry_pause_seconds=0.005,
)
HEDGING = replace(QUICK, first_hedge_seconds=0.01, late_seconds=0.03)


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Rig:
    memory: list[MemoryHost]
    plane: DataPlane
    placements: list[Placement]
    bad: list[tuple[ShardId, NodeId, Fault]] = field(default_factory=list)
    blobs: Iterator[int] = field(default_factory=lambda: itertools.count(1 << 32 | 1))

    def cipher(self) -> BlobCipher:
        return BlobCipher(BlobId(next(self.blobs)), DEK)

    def reader(self) -> ChunkReader:
        return ChunkReader(self.plane, lambda shard, node, fault: self.bad.append((shard, node, fault)))

    def host_of(self, node: NodeId) -> MemoryHost:
        return next(host for host in self.memory if node in host.identities)

    def ref(self, cipher: BlobCipher, chunk: WrittenChunk) -> ChunkRef:
        placement = next(one for one in self.placements if one.id == chunk.placement)
        return ChunkRef(cipher.blob, chunk.index, chunk.root, placement.nodes, chunk.size, placement.k, placement.m)

    async def store(self, plaintext: bytes, index: int = 0) -> tuple[ChunkRef, BlobCipher]:
        cipher = self.cipher()
        return self.ref(cipher, await store_chunk(self.plane, cipher, index, plaintext)), cipher

    def wrong(self) -> dict[int, Fault]:
        """What was reported, by shard index."""
        return {shard.index: fault for shard, _, fault in self.bad}

    def with_hosts(self, wrapped: list[ShardHost]) -> None:
        self.plane.hosts.assign(wrapped)


@contextmanager
def rig(hosts: int = 1, nodes_each: int = 16, k: int = K, m: int = M, limits: Limits = QUICK) -> Iterator[Rig]:
    """`hosts` memory hosts, and as many placements as there are rotations of their nodes."""
    memory = [MemoryHost(nodes_each) for _ in range(hosts)]
    nodes = [node for host in memory for node in host.nodes]
    placements = [
        Placement(PlacementId(start + 1), k, m, tuple((nodes[start:] + nodes[:start])[: k + m]))
        for start in range(max(1, len(nodes) - k - m + 1))
    ]
    clock = SystemClock()
    host_map = HostMap(clock, memory)
    pool = PlacementPool(host_map, placements, random.Random(7))
    with ThreadPoolExecutor(2) as threads:
        receiving, sending, reading = (ByteBudget(64 * MIB) for _ in range(3))
        plane = DataPlane(host_map, pool, threads, clock, receiving, sending, reading, limits)
        yield Rig(memory, plane, placements)


def limits(**changes: float) -> Limits:
    return replace(QUICK, **changes)  # type: ignore[arg-type]
