"""Checks what an untrusted node sent against the chunk root, before any of it is decoded (pure).

A ChunkVerifier remembers the tree nodes and block hashes that it has proven to be under the root. Proofs of one chunk
share most of their nodes, so ten shards cost little more than one; and a second read of a chunk hashes only the blocks
it got. A shard's position comes from the asker, never from the answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from blake3 import blake3

from cyxcloud.core import merkle
from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.core.merkle import BLOCK_BYTES, HASH_BYTES
from cyxcloud.wire.shardhost import Extent

# About 5 KiB each when located (8 KiB when read through hosts), so some 20 to 30 MiB a worker.
MAX_REMEMBERED_CHUNKS = 4096


@dataclass(frozen=True, slots=True)
class Column:
    """Consecutive blocks of one shard, verified."""

    first_block: int
    data: memoryview

    def slice(self, first_block: int, size: int) -> memoryview:
        start = (first_block - self.first_block) * BLOCK_BYTES
        return self.data[start : start + size]


class ChunkVerifier:
    __slots__ = ("_known", "_leaves", "_total", "root")

    def __init__(self, root: bytes, total: int) -> None:
        self.root = root
        self._total = total
        self._known: dict[tuple[int, int], bytes] = {}
        self._leaves: dict[int, bytes] = {}
        self.shed()

    def shed(self) -> None:
        """Let go of what only helps to prove further shards: most of the memory, once those read are proven."""
        self._known = {((self._total - 1).bit_length(), 0): self.root}

    def accept(self, index: int, shard_size: int, hashes: bytes, proof: bytes) -> bool:
        """Whether these are the block hashes of shard `index` of the chunk with this root."""
        if self._leaves.get(index) == hashes:
            return True
        if len(hashes) != HASH_BYTES * merkle.block_count(shard_size):
            return False
        shard_root = hashes if len(hashes) == HASH_BYTES else merkle.tree_root(list(merkle.iter_hashes(hashes)))
        if not self._under_root(index, shard_root, proof):
            return False
        self._leaves[index] = hashes
        return True

    def matches(self, index: int, first_block: int, data: memoryview) -> bool:
        """Whether these are the bytes of blocks `first_block` and following, whose hashes have been accepted."""
        leaves = self._leaves[index]
        at = first_block * HASH_BYTES
        if len(data) <= BLOCK_BYTES:
            return merkle.leaf_hash(data) == leaves[at : at + HASH_BYTES]
        return b"".join(merkle.block_hashes(data)) == leaves[at : at + HASH_BYTES * merkle.block_count(len(data))]

    def _under_root(self, index: int, shard_root: bytes, proof: bytes) -> bool:
        """Walk up until a node known to be under the root; what the walk used is then known as well."""
        known = self._known
        node = blake3(b"\x00" + shard_root).digest()
        walked: dict[tuple[int, int], bytes] = {}
        level, position, width, used = 0, index, self._total, 0
        while (expected := known.get((level, position))) is None:
            walked[level, position] = node
            if position ^ 1 < width:
                sibling = proof[used : used + HASH_BYTES]
                if len(sibling) != HASH_BYTES:
                    return False
                used += HASH_BYTES
                walked[level, position ^ 1] = sibling
                node = merkle.node_hash(sibling, node) if position & 1 else merkle.node_hash(node, sibling)
            level, position, width = level + 1, position >> 1, (width + 1) >> 1
        if node != expected:
            return False
        known.update(walked)
        return True


@dataclass(frozen=True, slots=True)
class Place:
    """Where the payload of a shard lies: in a pack of a node on this box."""

    node: NodeId
    pack: tuple[NodeId, int]
    extent: Extent


class KnownChunk:
    """What a worker remembers of a chunk: what was proven of it, and where its shards were last seen."""

    __slots__ = ("locate_after", "places", "verifier")

    def __init__(self, verifier: ChunkVerifier) -> None:
        self.verifier = verifier
        self.places: dict[int, Place] = {}
        self.locate_after = 0.0  # monotonic: nobody is asked for the places that are missing before


class KnownChunks:
    """The chunks read last. A chunk's root never changes, so neither does what was proven of it."""

    def __init__(self, limit: int = MAX_REMEMBERED_CHUNKS) -> None:
        self._limit = limit
        self._chunks: OrderedDict[tuple[BlobId, int, bytes], KnownChunk] = OrderedDict()

    def get(self, blob: BlobId, chunk: int, root: bytes, total: int) -> KnownChunk:
        key = (blob, chunk, root)
        known = self._chunks.get(key)
        if known is None:
            known = self._chunks[key] = KnownChunk(ChunkVerifier(root, total))
            if len(self._chunks) > self._limit:
                self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end(key)
        return known
