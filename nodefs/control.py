"""The rarer requests: EXISTS, LIST, VERIFY, findings, pointers, scrub, and the check of a delete order.

Plain functions, run in threads.
"""

from __future__ import annotations

from collections.abc import Mapping

from blake3 import blake3

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import write_file
from cyxcloud.core.ids import NODE_ID_BYTES, NodeId, ShardId
from cyxcloud.core.merkle import BLOCK_BYTES
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.auditproof import sign_answer
from cyxcloud.wire.codec import join_shards, scrub_message, split_nodes, split_shards, verify_message
from cyxcloud.wire.orders import Order, decode_order, order_signed_by
from cyxcloud.wire.shardhost import MAX_POINTER_BYTES, VerifyAnswer
from cyxcloud.wire.status import HostRefused, ScrubAction, Status
from nodefs.index import key_shard, shard_key
from nodefs.scrub import Scrubber
from nodefs.store import NodeStore

# A page of a list fits its message: 13 bytes an id and up to 5 for its size.
MAX_LIST = 4096
MAX_NONCE_BYTES = 64


def _audited(store: NodeStore, shard: ShardId, block: int, nonce: bytes) -> VerifyAnswer:
    """One block as it is read now: who asks compares it with the chunk's root."""
    found = store.read(shard.blob, shard.chunk, shard.index, block, 1)
    identity = store.folder.identity
    if isinstance(found, Status):
        return VerifyAnswer(found, 0, b"", b"", b"", signature=sign_answer(identity, nonce, shard, block, found, b""))
    data = bytes(found.payload)
    return VerifyAnswer(
        Status.OK,
        found.shard_size,
        found.block_hashes,
        found.proof,
        b"",
        data,
        sign_answer(identity, nonce, shard, block, Status.OK, data),
    )


class ControlRequests:
    def __init__(self, stores: Mapping[NodeId, NodeStore], scrubbers: Mapping[NodeId, Scrubber], clock: Clock) -> None:
        self._stores = stores
        self._scrubbers = scrubbers
        self._clock = clock

    def answer(self, message: pb.Envelope, body: str) -> pb.Envelope:
        envelope = pb.Envelope(request_id=message.request_id)
        if body == "exists":
            envelope.exists_result.statuses = self._exists(message.exists)
        elif body == "list":
            self._list(message.list, envelope.list_result)
        elif body == "verify":
            verify_message(envelope, self._verify(message.verify))
        elif body == "findings":
            self._findings(message.findings, envelope.findings_result)
        elif body == "put_pointer":
            self._put_pointer(message.put_pointer)
            envelope.pointer_result.found = True
        elif body == "get_pointer":
            self._get_pointer(message.get_pointer, envelope.pointer_result)
        elif body == "scrub":
            envelope.scrub_result.progress.extend(self._scrub(message.scrub))
        else:
            raise HostRefused(Status.DENIED, f"{body} is not for a host")
        return envelope

    def check_order(self, order: bytes, signature: bytes) -> tuple[NodeStore, Order]:
        """Whose order it is and what it says; HostRefused unless the coordinator told this very node."""
        parsed = decode_order(order)
        store = self._store(parsed.node_id)
        marker = store.folder.marker
        if not order_signed_by(marker.coordinator_public_key, order, signature):
            raise HostRefused(Status.DENIED, "not the coordinator's order")
        if parsed.cluster_id != marker.cluster_id:
            raise HostRefused(Status.DENIED, "order of another cluster")
        if parsed.incarnation != store.incarnation:
            raise HostRefused(Status.WRONG_INCARNATION, "order of another incarnation")
        if parsed.expires_at_ms <= self._clock.now_ms():
            raise HostRefused(Status.DENIED, "order has expired")
        return store, parsed

    def _exists(self, ask: pb.Exists) -> bytes:
        nodes = split_nodes(ask.nodes, len(ask.indexes))
        return bytes(
            self._has(node, ask.blob, ask.chunk, index) for node, index in zip(nodes, ask.indexes, strict=True)
        )

    def _has(self, node: NodeId, blob: int, chunk: int, index: int) -> Status:
        store = self._stores.get(node)
        if store is None:
            return Status.DOWN
        found = store.read(blob, chunk, index, 0, 1)
        return found if isinstance(found, Status) else Status.OK

    def _list(self, ask: pb.List, result: pb.ListResult) -> None:
        store = self._store(NodeId(ask.node_id))
        limit = min(ask.limit or MAX_LIST, MAX_LIST)
        after = split_shards(ask.after)[0] if ask.after else None
        key = None if after is None else shard_key(after.blob, after.chunk, after.index)
        store.checkpoint()
        page = store.index.list_page(key, limit + 1, ask.session or None)
        result.shards = join_shards(key_shard(found) for found, _ in page[:limit])
        result.sizes.extend(where.size for _, where in page[:limit])
        result.more = len(page) > limit

    def _verify(self, ask: pb.Verify) -> VerifyAnswer:
        store = self._store(NodeId(ask.node_id))
        shards = split_shards(ask.shard)
        if len(shards) != 1 or len(ask.nonce) > MAX_NONCE_BYTES:
            raise HostRefused(Status.DENIED, "one shard and a short nonce are asked for")
        if ask.with_block:
            return _audited(store, shards[0], ask.block, ask.nonce)
        status, found = store.check(shards[0].blob, shards[0].chunk, shards[0].index)
        if found is None:
            return VerifyAnswer(status, 0, b"", b"", b"")
        block = found.payload[ask.block * BLOCK_BYTES : (ask.block + 1) * BLOCK_BYTES]
        hasher = blake3(ask.nonce)
        hasher.update(block)
        return VerifyAnswer(status, found.shard_size, found.block_hashes, found.proof, hasher.digest())

    def _findings(self, ask: pb.AskFindings, result: pb.FindingsResult) -> None:
        store = self._store(NodeId(ask.node_id))
        shards, result.last = store.findings.page(ask.after, min(ask.limit or MAX_LIST, MAX_LIST))
        result.shards = join_shards(shards)

    def _put_pointer(self, ask: pb.PutPointer) -> None:
        store = self._store(NodeId(ask.node_id))
        if len(ask.pointer) > MAX_POINTER_BYTES:
            raise HostRefused(Status.DENIED, f"a pointer of {len(ask.pointer)} bytes")
        try:
            write_file(store.folder.pointer, ask.pointer)
        except OSError as error:
            raise HostRefused(Status.IO_ERROR, f"writing {store.folder.pointer}: {error}") from error

    def _get_pointer(self, ask: pb.GetPointer, result: pb.PointerResult) -> None:
        store = self._store(NodeId(ask.node_id))
        try:
            result.pointer = store.folder.pointer.read_bytes()
        except FileNotFoundError:
            return
        result.found = True

    def _scrub(self, ask: pb.Scrub) -> list[pb.ScrubProgress]:
        nodes = split_nodes(ask.nodes, len(ask.nodes) // NODE_ID_BYTES)
        stores = [self._store(node) for node in nodes] or [store for store in self._stores.values() if store.readable]
        scrubbers = [self._scrubbers[store.node_id] for store in stores]
        if ask.action == ScrubAction.START:
            for scrubber in scrubbers:
                scrubber.begin_pass()
        elif ask.action == ScrubAction.STOP:
            for scrubber in scrubbers:
                scrubber.slow_down()
        elif ask.action != ScrubAction.STATUS:
            raise HostRefused(Status.DENIED, f"scrub {ask.action} is unknown")
        return [scrub_message(scrubber.progress()) for scrubber in scrubbers]

    def _store(self, node: NodeId) -> NodeStore:
        store = self._stores.get(node)
        if store is None or not store.readable:
            raise HostRefused(Status.DOWN, store.info().reason if store else "no such node here")
        return store
