"""A host that keeps its shards in memory: the maintained fake of the real one (tests/contract runs on both).

Faults are set per node or for the whole host: `state[node] = Status.DOWN`, `available = False`, `delay_seconds`.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blake3 import blake3

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.ids import BlobId, NodeId, SessionNumber, ShardId, session_of
from cyxcloud.core.merkle import BLOCK_BYTES, block_hashes
from cyxcloud.wire.orders import decode_order, make_receipt, order_signed_by
from cyxcloud.wire.shardhost import (
    GET_SECONDS,
    MAX_POINTER_BYTES,
    PUT_SECONDS,
    DeleteAnswer,
    FindingsAnswer,
    GetAnswer,
    GetBatch,
    ListAnswer,
    NodeInfo,
    PutBatch,
    ScrubProgress,
    VerifyAnswer,
    range_bytes,
)
from cyxcloud.wire.status import HostRefused, HostUnavailable, NodeState, ScrubAction, Status


@dataclass(frozen=True, slots=True)
class StoredShard:
    payload: bytes
    hashes: bytes
    proof: bytes


class MemoryHost:
    def __init__(
        self,
        identities: Iterable[NodeIdentity] | int,
        *,
        cluster_id: bytes = bytes(16),
        incarnation: bytes = bytes(16),
        coordinator_public_key: bytes = b"",
        clock: Clock | None = None,
        role: str = "coordinator",
    ) -> None:
        made = [NodeIdentity.generate() for _ in range(identities)] if isinstance(identities, int) else list(identities)
        self.identities = {identity.node_id: identity for identity in made}
        self.cluster_id = cluster_id
        self.incarnation = incarnation
        self.coordinator_public_key = coordinator_public_key
        self.shards: dict[NodeId, dict[ShardId, StoredShard]] = {node: {} for node in self.identities}
        self.state: dict[NodeId, Status] = {}  # what every request to this node gets instead
        self.available = True
        self.delay_seconds = 0.0
        self.role = role  # as whom the caller said HELLO
        self.folders: dict[Path, NodeIdentity] = {}  # the node folders that open_node finds
        self._settled: dict[NodeId, tuple[int, bytes, DeleteAnswer | None]] = {}
        self.found: dict[NodeId, list[ShardId]] = {node: [] for node in self.identities}
        self.pointers: dict[NodeId, bytes] = {}
        self._scrubbed_ms: dict[NodeId, int] = {}
        self._clock = clock or SystemClock()
        self._order: dict[NodeId, list[ShardId]] = {node: [] for node in self.identities}

    @property
    def connected(self) -> bool:
        return self.available

    @property
    def lender(self) -> None:
        """Memory cannot be lent; whoever reads from here takes the ordinary path."""
        return None

    @property
    def nodes(self) -> Mapping[NodeId, NodeInfo]:
        return {node: self._info(node, number) for number, node in enumerate(self.identities)}

    async def put(self, batch: PutBatch, *, seconds: float = PUT_SECONDS) -> dict[int, Status]:
        await self._enter(seconds)
        assert all(len(payload) == batch.shard_size for payload in batch.payloads)
        return {index: self._put_one(batch, at) for at, index in enumerate(batch.indexes)}

    async def get(self, batch: GetBatch, into: memoryview | None = None, *, seconds: float = GET_SECONDS) -> GetAnswer:
        await self._enter(seconds)
        found = [
            self._find(node, ShardId(batch.blob, batch.chunk, index))
            for node, index in zip(batch.nodes, batch.indexes, strict=True)
        ]
        statuses = [shard if isinstance(shard, Status) else Status.OK for shard in found]
        good = [shard for shard in found if isinstance(shard, StoredShard)]
        size = len(good[0].payload) if good else 0
        part = range_bytes(size, batch.first_block, batch.block_count)
        start = batch.first_block * BLOCK_BYTES
        payload = memoryview(b"".join(shard.payload[start : start + part] for shard in good))
        if into is not None and len(into) >= len(payload):
            into[: len(payload)] = payload
            payload = into[: len(payload)]
        hashes, proofs = [shard.hashes for shard in good], [shard.proof for shard in good]
        return GetAnswer(statuses, size, payload, part, hashes, proofs)

    async def exists(self, blob: BlobId, chunk: int, indexes: Sequence[int], nodes: Sequence[NodeId]) -> list[Status]:
        await self._enter()
        found = [self._find(node, ShardId(blob, chunk, index)) for node, index in zip(nodes, indexes, strict=True)]
        return [shard if isinstance(shard, Status) else Status.OK for shard in found]

    async def delete(self, order: bytes, signature: bytes) -> DeleteAnswer:
        await self._enter()
        parsed = decode_order(order)
        node = parsed.node_id
        if node not in self.identities:
            raise HostRefused(Status.DOWN, "no such node")
        if not order_signed_by(self.coordinator_public_key, order, signature) or parsed.cluster_id != self.cluster_id:
            raise HostRefused(Status.DENIED, "not the coordinator's order")
        if parsed.incarnation != self.incarnation:
            raise HostRefused(Status.WRONG_INCARNATION, "order of another incarnation")
        if parsed.expires_at_ms <= self._clock.now_ms():
            raise HostRefused(Status.DENIED, "order has expired")
        if node in self.state:
            raise HostRefused(self.state[node], "set by the test")
        sequence, last, answer = self._settled.get(node, (-1, b"", None))
        if answer is not None and last == order:
            return answer
        if parsed.sequence <= sequence:
            raise HostRefused(Status.DENIED, f"order {parsed.sequence} comes after {sequence} was carried out")
        statuses = [self._delete_one(node, shard) for shard in parsed.shards]
        answer = DeleteAnswer(statuses, *make_receipt(self.identities[node], order, statuses, self._clock.now_ms()))
        self._settled[node] = parsed.sequence, order, answer
        return answer

    async def list_shards(
        self, node: NodeId, after: ShardId | None = None, limit: int = 1000, session: SessionNumber | None = None
    ) -> ListAnswer:
        await self._enter()
        if node not in self.identities or node in self.state:
            raise HostRefused(self.state.get(node, Status.DOWN), "no such node")
        wanted = [
            shard
            for shard in self._order[node]
            if (after is None or shard > after) and (session is None or session_of(shard.blob) == session)
        ]
        page = wanted[:limit]
        sizes = [len(self.shards[node][shard].payload) for shard in page]
        return ListAnswer(page, sizes, len(wanted) > limit)

    async def verify(
        self, node: NodeId, shard: ShardId, block: int, nonce: bytes, *, with_block: bool = False
    ) -> VerifyAnswer:
        await self._enter()
        stored = self._find(node, shard)
        if isinstance(stored, Status):
            return VerifyAnswer(stored, 0, b"", b"", b"")
        data = stored.payload[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
        status = Status.OK if b"".join(block_hashes(stored.payload)) == stored.hashes else Status.CORRUPT
        answer = blake3(nonce + data).digest()
        if status is Status.CORRUPT:
            self._delete_one(node, shard)  # a host sets it aside within moments; here it is at once
        told = bytes(data) if with_block else b""
        return VerifyAnswer(status, len(stored.payload), stored.hashes, stored.proof, answer, told)

    async def stats(self) -> list[NodeInfo]:
        await self._enter()
        return list(self.nodes.values())

    async def open_node(self, folder: Path) -> NodeInfo:
        await self._enter()
        self._coordinator_only()
        identity = self.folders.get(folder)
        if identity is None:
            raise HostRefused(Status.DOWN, f"{folder}: no node here")
        node = identity.node_id
        if node not in self.identities:
            self.identities[node] = identity
            self.shards[node], self._order[node], self.found[node] = {}, [], []
        self.state.pop(node, None)
        return self.nodes[node]

    async def findings(self, node: NodeId, after: int = 0, limit: int = 1000) -> FindingsAnswer:
        await self._enter()
        self._open(node)
        page = self.found[node][after : after + limit]
        return FindingsAnswer([shard for shard in page if shard not in self.shards[node]], after + len(page))

    async def put_pointer(self, node: NodeId, pointer: bytes) -> None:
        await self._enter()
        self._coordinator_only()
        assert len(pointer) <= MAX_POINTER_BYTES
        self._open(node)
        self.pointers[node] = pointer

    async def get_pointer(self, node: NodeId) -> bytes | None:
        await self._enter()
        self._open(node)
        return self.pointers.get(node)

    async def scrub(self, action: ScrubAction, nodes: Sequence[NodeId] = ()) -> list[ScrubProgress]:
        """START ends at once here: what corrupt() changed is found and dropped."""
        await self._enter()
        if action is not ScrubAction.STATUS:
            self._coordinator_only()
        asked = list(nodes) or [node for node in self.identities if node not in self.state]
        for node in asked:
            self._open(node)
            if action is ScrubAction.START:
                self._scrub(node)
        return [self._progress(node) for node in asked]

    async def close(self) -> None:
        self.available = False

    # -- for tests

    def corrupt(self, node: NodeId, shard: ShardId, at: int = 0) -> None:
        """Flip a byte of a stored payload."""
        stored = self.shards[node][shard]
        payload = bytearray(stored.payload)
        payload[at] ^= 1
        self.shards[node][shard] = replace(stored, payload=bytes(payload))

    def drop(self, node: NodeId, shard: ShardId) -> None:
        self._delete_one(node, shard)

    # -- inside

    async def _enter(self, seconds: float = GET_SECONDS) -> None:
        if not self.available:
            raise HostUnavailable("memory host is set unavailable")
        if self.delay_seconds:
            await asyncio.sleep(min(self.delay_seconds, seconds))
            if self.delay_seconds >= seconds:
                raise HostUnavailable("no answer before the deadline")

    def _coordinator_only(self) -> None:
        if self.role != "coordinator":
            raise HostRefused(Status.DENIED, f"not for a {self.role}")

    def _open(self, node: NodeId) -> None:
        if node not in self.identities or node in self.state:
            raise HostRefused(self.state.get(node, Status.DOWN), "no such node")

    def _scrub(self, node: NodeId) -> None:
        for shard, stored in list(self.shards[node].items()):
            if b"".join(block_hashes(stored.payload)) != stored.hashes:
                self.found[node].append(shard)
                self._delete_one(node, shard)
        self._scrubbed_ms[node] = self._clock.now_ms()

    def _progress(self, node: NodeId) -> ScrubProgress:
        used = sum(len(shard.payload) for shard in self.shards[node].values())
        at = self._scrubbed_ms.get(node, 0)
        return ScrubProgress(
            node,
            running=False,
            done_bytes=used if at else 0,
            total_bytes=used,
            started_at_ms=at,
            finished_at_ms=at,
            found=len(self.found[node]),
        )

    def _put_one(self, batch: PutBatch, at: int) -> Status:
        node = batch.nodes[at]
        if node not in self.identities:
            return Status.DOWN
        if node in self.state:
            return self.state[node]
        shard = ShardId(batch.blob, batch.chunk, batch.indexes[at])
        stored = StoredShard(bytes(batch.payloads[at]), batch.block_hashes[at], batch.proofs[at])
        if batch.verify and b"".join(block_hashes(stored.payload)) != stored.hashes:
            return Status.CORRUPT
        old = self.shards[node].get(shard)
        if old is not None:
            return Status.OK if old.hashes == stored.hashes else Status.CONFLICT
        self.shards[node][shard] = stored
        insort(self._order[node], shard)
        return Status.OK

    def _find(self, node: NodeId, shard: ShardId) -> StoredShard | Status:
        if node not in self.identities:
            return Status.DOWN
        if self.state.get(node, Status.FULL) is not Status.FULL:
            return self.state[node]  # a full node still reads
        return self.shards[node].get(shard, Status.NOT_FOUND)

    def _delete_one(self, node: NodeId, shard: ShardId) -> Status:
        if self.shards[node].pop(shard, None) is None:
            return Status.NOT_FOUND
        self._order[node].remove(shard)
        return Status.OK

    def _info(self, node: NodeId, number: int) -> NodeInfo:
        used = sum(len(shard.payload) for shard in self.shards[node].values())
        up = self.state.get(node) is None
        return NodeInfo(
            node_id=node,
            name=f"memory-{number}",
            disk=1,
            state=NodeState.UP if up else NodeState.DOWN,
            incarnation=self.incarnation,
            total_bytes=1 << 40,
            used_bytes=used,
            free_bytes=(1 << 40) - used,
            shard_count=len(self.shards[node]),
            reason="" if up else self.state[node].name,
        )
