"""GET: the shards of one request gathered into one answer.

Small ones are read in the event loop with RWF_NOWAIT, which never waits for a disk; whatever is big or not in the page
cache is read in a thread. Payloads go out as they were read, one buffer a shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from cyxcloud.core.ids import NodeId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.shardhost import GetBatch
from cyxcloud.wire.status import Status
from nodefs.index import shard_key
from nodefs.store import READ_NOWAIT, NodeStore, ShardRead, WouldBlock

# More than this is not copied in the event loop: 256 KiB take about 30 us.
_AT_ONCE_BYTES = 256 * 1024


@dataclass(slots=True)
class Reply:
    envelope: pb.Envelope
    payloads: list[memoryview]


class GetReader:
    def __init__(self, stores: Mapping[NodeId, NodeStore], threads: Executor) -> None:
        self._stores = stores
        self._threads = threads

    def at_once(self, batch: GetBatch) -> Reply | None:
        """The answer, if it is small and in the page cache."""
        if not READ_NOWAIT or self._size(batch) > _AT_ONCE_BYTES:
            return None
        try:
            return self._read(batch, READ_NOWAIT)
        except WouldBlock:
            return None

    def from_disk(self, batch: GetBatch) -> Reply:
        return self._read(batch, 0)

    def _size(self, batch: GetBatch) -> int:
        """About how much will be read; all shards of a chunk are of one size, so the first that is here tells."""
        for node, index in zip(batch.nodes, batch.indexes, strict=True):
            store = self._stores.get(node)
            where = store and store.index.find(shard_key(batch.blob, batch.chunk, index))
            if where:
                shard = min(where.size, (batch.block_count << 16) or where.size)
                return shard * len(batch.indexes)
        return 0

    def _read(self, batch: GetBatch, flags: int) -> Reply:
        envelope = pb.Envelope()
        result = envelope.get_result
        statuses = bytearray()
        hashes: list[bytes] = []
        proofs: list[bytes] = []
        payloads: list[memoryview] = []
        size = 0
        blob, chunk, first, count = batch.blob, batch.chunk, batch.first_block, batch.block_count
        for node, index in zip(batch.nodes, batch.indexes, strict=True):
            store = self._stores.get(node)
            found: ShardRead | Status = Status.DOWN
            if store is not None:
                found = store.read(blob, chunk, index, first, count, flags)
            if isinstance(found, ShardRead) and size in (0, found.shard_size):
                size = found.shard_size
                statuses.append(1)
                hashes.append(found.block_hashes)
                proofs.append(found.proof)
                payloads.append(found.payload)
            else:
                # Another size than its neighbours': whatever it is, it is not this chunk's.
                statuses.append(found if isinstance(found, Status) else Status.CORRUPT)
        result.statuses = bytes(statuses)
        result.shard_size = size
        result.block_hashes = b"".join(hashes)
        result.proofs.extend(proofs)
        envelope.payload_bytes = sum(len(payload) for payload in payloads)
        return Reply(envelope, payloads)
