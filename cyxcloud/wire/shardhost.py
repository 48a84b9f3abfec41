"""What a host of nodes does, as its users see it: the protocol that the real client and the memory fake share.

The unit is a batch: shards of one chunk for the nodes of one host. Each shard has its own Status; an exception
(HostUnavailable) says only that nobody knows what became of any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cyxcloud.core.ids import BlobId, NodeId, SessionNumber, ShardId
from cyxcloud.core.merkle import BLOCK_BYTES, Buffer
from cyxcloud.wire.status import NodeState, Status

# A put may wait for a disk that is busy with another process' writeback; a read is hedged long before its deadline.
PUT_SECONDS = 30.0
GET_SECONDS = 10.0
CONTROL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class NodeInfo:
    node_id: NodeId
    name: str
    disk: int
    state: NodeState
    incarnation: bytes
    total_bytes: int
    used_bytes: int
    free_bytes: int
    shard_count: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PutBatch:
    """Each sequence has one entry a shard, in the same order; block hashes and proofs are concatenated per shard."""

    blob: BlobId
    chunk: int
    total: int
    shard_size: int
    indexes: Sequence[int]
    nodes: Sequence[NodeId]
    block_hashes: Sequence[bytes]
    proofs: Sequence[bytes]
    payloads: Sequence[Buffer]
    verify: bool = False


@dataclass(frozen=True, slots=True)
class GetBatch:
    blob: BlobId
    chunk: int
    indexes: Sequence[int]
    nodes: Sequence[NodeId]
    first_block: int = 0
    block_count: int = 0  # 0 = to the end


@dataclass(frozen=True, slots=True)
class GetAnswer:
    """Nothing here is verified yet: the reader checks hashes and proofs against the chunk root."""

    statuses: list[Status]  # as asked
    shard_size: int  # of a whole shard
    payload: memoryview  # the OK shards' bytes, as asked, part_bytes each
    part_bytes: int
    hashes: list[bytes]  # per OK shard: all its block hashes, concatenated
    proofs: list[bytes]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a payload lies, and the CRC-32 that the header right before it has as long as the record is good."""

    pack: int  # its number on the node
    offset: int  # of the payload in the pack's file
    header_bytes: int
    header_crc: int


@dataclass(frozen=True, slots=True)
class LocateAnswer:
    """Where the OK shards' payloads lie. Nothing here is verified yet, and a record may go at any time."""

    statuses: list[Status]  # as asked
    shard_size: int
    hashes: list[bytes]  # per OK shard, as in GetAnswer
    proofs: list[bytes]
    extents: list[Extent]  # per OK shard


@dataclass(frozen=True, slots=True)
class DeleteAnswer:
    statuses: list[Status]
    receipt: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ListAnswer:
    shards: list[ShardId]
    sizes: list[int]
    more: bool


@dataclass(frozen=True, slots=True)
class VerifyAnswer:
    status: Status
    shard_size: int
    block_hashes: bytes
    proof: bytes
    answer: bytes


def range_bytes(shard_size: int, first_block: int, block_count: int) -> int:
    """How many bytes of a shard a block range holds."""
    start = min(shard_size, first_block * BLOCK_BYTES)
    end = shard_size if block_count == 0 else min(shard_size, (first_block + block_count) * BLOCK_BYTES)
    return max(0, end - start)


class Lender(Protocol):
    """A host on the same box that lends its packs, to be read without it."""

    async def locate(
        self, blob: BlobId, chunk: int, indexes: Sequence[int], nodes: Sequence[NodeId], *, seconds: float
    ) -> LocateAnswer: ...

    async def borrow(self, node: NodeId, pack: int, *, seconds: float) -> int:
        """A read-only descriptor of this pack, which is the caller's to close. HostRefused where there is none."""
        ...


class ShardHost(Protocol):
    @property
    def connected(self) -> bool: ...

    @property
    def lender(self) -> Lender | None:
        """None where it lends nothing: another box, another version, a filesystem that cannot."""
        ...

    @property
    def nodes(self) -> Mapping[NodeId, NodeInfo]:
        """As of the last HELLO or stats()."""
        ...

    async def put(self, batch: PutBatch, *, seconds: float = PUT_SECONDS) -> dict[int, Status]:
        """A status for every index; BUSY for those that were not answered in time."""
        ...

    async def get(
        self, batch: GetBatch, into: memoryview | None = None, *, seconds: float = GET_SECONDS
    ) -> GetAnswer: ...

    async def exists(
        self, blob: BlobId, chunk: int, indexes: Sequence[int], nodes: Sequence[NodeId]
    ) -> list[Status]: ...

    async def delete(self, order: bytes, signature: bytes) -> DeleteAnswer: ...

    async def list_shards(
        self, node: NodeId, after: ShardId | None = None, limit: int = 1000, session: SessionNumber | None = None
    ) -> ListAnswer: ...

    async def verify(self, node: NodeId, shard: ShardId, block: int, nonce: bytes) -> VerifyAnswer: ...

    async def stats(self) -> list[NodeInfo]: ...

    async def close(self) -> None: ...
