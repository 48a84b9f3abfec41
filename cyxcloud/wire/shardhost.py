"""What a host of nodes does, as its users see it: the protocol that the real client and the memory fake share.

The unit is a batch: shards of one chunk for the nodes of one host. Each shard has its own Status; an exception
(HostUnavailable) says only that nobody knows what became of any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cyxcloud.core.ids import BlobId, NodeId, SessionNumber, ShardId
from cyxcloud.core.merkle import BLOCK_BYTES, Buffer
from cyxcloud.wire.sharing import Slot
from cyxcloud.wire.status import NodeState, ScrubAction, Status

# A put may wait for a disk that is busy with another process' writeback; a read is hedged long before its deadline.
PUT_SECONDS = 30.0
GET_SECONDS = 10.0
CONTROL_SECONDS = 30.0
# Opening reads what the index does not know yet: all headers of the node where it has to be made again.
OPEN_SECONDS = 600.0
MAX_POINTER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """node_id is empty where a folder cannot say whose it is (missing, foreign): its name is then the folder's."""

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
    slot: Slot | None = None  # what the payloads are parts of: all shards of the chunk


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
    block: bytes = b""  # of an audit, with the node's signature over what it was asked and answers
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class FindingsAnswer:
    """Shards of this node that are bad or missing on its disk; `last` is the number to ask after next time."""

    shards: list[ShardId]
    last: int


@dataclass(frozen=True, slots=True)
class ScrubProgress:
    node_id: NodeId
    running: bool  # a full pass was asked for and has not ended
    done_bytes: int
    total_bytes: int
    started_at_ms: int
    finished_at_ms: int  # end of the last full pass, 0 = never
    found: int


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

    async def verify(
        self, node: NodeId, shard: ShardId, block: int, nonce: bytes, *, with_block: bool = False
    ) -> VerifyAnswer: ...

    async def stats(self) -> list[NodeInfo]: ...

    # These change or steer a host and are the coordinator's: any other role is refused (get_pointer and findings read).

    async def open_node(self, folder: Path) -> NodeInfo:
        """Open this node folder, or open it again, and serve it; HostRefused says why not. Safe to repeat."""
        ...

    async def findings(self, node: NodeId, after: int = 0, limit: int = 1000) -> FindingsAnswer:
        """Damage that the node found by itself (scrub, reads, recovery), in the order of finding.

        The numbers outlive restarts of the host; a shard may be told again, and may have been made good meanwhile.
        """
        ...

    async def put_pointer(self, node: NodeId, pointer: bytes) -> None:
        """Keep this instead of the pointer before; durable on return."""
        ...

    async def get_pointer(self, node: NodeId) -> bytes | None: ...

    async def scrub(self, action: ScrubAction, nodes: Sequence[NodeId] = ()) -> list[ScrubProgress]:
        """START, STOP or STATUS for these nodes (none named: all that are open); then how far each is."""
        ...

    async def close(self) -> None: ...
