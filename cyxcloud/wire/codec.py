"""Between the messages on the wire and the values the code works with (pure).

Parsing raises WireError where a message does not say one clear thing: lengths that disagree, unknown states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NODE_ID_BYTES, SHARD_ID_BYTES, BlobId, NodeId, ShardId
from cyxcloud.core.merkle import HASH_BYTES, Buffer, block_count
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.shardhost import (
    Extent,
    GetAnswer,
    GetBatch,
    LocateAnswer,
    NodeInfo,
    PutBatch,
    ScrubProgress,
    VerifyAnswer,
    range_bytes,
)
from cyxcloud.wire.sharing import Slot
from cyxcloud.wire.status import STATUS_BY_CODE, NodeState, Status, WireError

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1


@dataclass(frozen=True, slots=True)
class Hello:
    """Who speaks: a gateway, coordinator or mover with the incarnation it writes for, or a host with its nodes."""

    role: str
    cluster_id: bytes = b""
    incarnation: bytes = b""
    features: tuple[str, ...] = ()
    nodes: tuple[NodeInfo, ...] = ()


def hello_message(hello: Hello, request_id: int = 0) -> pb.Envelope:
    envelope = pb.Envelope(request_id=request_id)
    message = envelope.hello
    message.protocol_min, message.protocol_max = PROTOCOL_MIN, PROTOCOL_MAX
    message.features.extend(hello.features)
    message.role = hello.role
    message.cluster_id = hello.cluster_id
    message.incarnation = hello.incarnation
    message.nodes.extend(node_message(node) for node in hello.nodes)
    return envelope


def parse_hello(message: pb.Hello) -> Hello:
    if message.protocol_min > PROTOCOL_MAX or message.protocol_max < PROTOCOL_MIN:
        raise WireError(f"speaks protocol {message.protocol_min} to {message.protocol_max}, we {PROTOCOL_MAX}")
    return Hello(
        role=message.role,
        cluster_id=message.cluster_id,
        incarnation=message.incarnation,
        features=tuple(message.features),
        nodes=tuple(parse_node(node) for node in message.nodes),
    )


def node_message(node: NodeInfo) -> pb.NodeInfo:
    return pb.NodeInfo(
        node_id=node.node_id,
        name=node.name,
        disk=node.disk,
        state=node.state.value,
        incarnation=node.incarnation,
        total_bytes=node.total_bytes,
        used_bytes=node.used_bytes,
        free_bytes=node.free_bytes,
        shard_count=node.shard_count,
        reason=node.reason,
    )


def parse_node(message: pb.NodeInfo) -> NodeInfo:
    try:
        state = NodeState(message.state)
    except ValueError as error:
        raise WireError(f"unknown node state {message.state}") from error
    return NodeInfo(
        node_id=NodeId(message.node_id),
        name=message.name,
        disk=message.disk,
        state=state,
        incarnation=message.incarnation,
        total_bytes=message.total_bytes,
        used_bytes=message.used_bytes,
        free_bytes=message.free_bytes,
        shard_count=message.shard_count,
        reason=message.reason,
    )


def put_message(batch: PutBatch, request_id: int, deadline_ms: int, shared: Slot | None = None) -> pb.Envelope:
    """With `shared` no payload follows: the host has that slot's memory mapped."""
    count = len(batch.indexes)
    assert count == len(batch.nodes) == len(batch.block_hashes) == len(batch.proofs) == len(batch.payloads)
    # Attributes set one by one cost half of what keyword construction does.
    envelope = pb.Envelope()
    envelope.request_id = request_id
    envelope.deadline_ms = deadline_ms
    put = envelope.put
    if shared is None:
        envelope.payload_bytes = count * batch.shard_size
    else:
        assert shared.memory is not None
        put.memory, put.memory_offset = shared.memory.number, shared.offset
    put.blob, put.chunk, put.total, put.shard_size = batch.blob, batch.chunk, batch.total, batch.shard_size
    put.nodes = b"".join(batch.nodes)
    put.indexes = bytes(batch.indexes)
    put.block_hashes = b"".join(batch.block_hashes)
    put.proofs.extend(batch.proofs)
    put.verify = batch.verify
    return envelope


def parse_put(message: pb.PutShards, payload: memoryview, memory: memoryview | None = None) -> PutBatch:
    """`memory` is what the message names, if it names one."""
    indexes, proofs, size = message.indexes, list(message.proofs), message.shard_size
    nodes = split_nodes(message.nodes, len(indexes))
    step = HASH_BYTES * block_count(size)
    hashes = message.block_hashes
    if not indexes or size == 0 or not 0 < message.total <= 256:
        raise WireError("a put without shards, size or total")
    if len(hashes) != step * len(indexes) or len(proofs) != len(indexes):
        raise WireError("a put whose lengths disagree")
    if len(payload) != (0 if memory is not None else size * len(indexes)):
        raise WireError("a put whose payload has another length")
    if max(indexes) >= message.total or any(len(proof) > 8 * HASH_BYTES for proof in proofs):
        raise WireError("a put with an index or a proof outside its tree")
    if memory is not None:
        shards = memory[message.memory_offset : message.memory_offset + size * message.total]
        if len(shards) != size * message.total:
            raise WireError("a put of shards beyond the memory that they shall lie in")
        payloads = [shards[at * size : (at + 1) * size] for at in indexes]
    else:
        payloads = [payload[at : at + size] for at in range(0, len(payload), size)]
    return PutBatch(
        blob=BlobId(message.blob),
        chunk=message.chunk,
        total=message.total,
        shard_size=size,
        indexes=indexes,
        nodes=nodes,
        block_hashes=[hashes[at : at + step] for at in range(0, len(hashes), step)],
        proofs=proofs,
        payloads=payloads,
        verify=message.verify,
    )


def get_message(batch: GetBatch, request_id: int, deadline_ms: int) -> pb.Envelope:
    envelope = pb.Envelope()
    envelope.request_id = request_id
    envelope.deadline_ms = deadline_ms
    get = envelope.get
    get.blob, get.chunk = batch.blob, batch.chunk
    get.nodes = b"".join(batch.nodes)
    get.indexes = bytes(batch.indexes)
    get.first_block, get.block_count = batch.first_block, batch.block_count
    return envelope


def parse_get(message: pb.GetShards) -> GetBatch:
    return GetBatch(
        blob=BlobId(message.blob),
        chunk=message.chunk,
        indexes=message.indexes,
        nodes=split_nodes(message.nodes, len(message.indexes)),
        first_block=message.first_block,
        block_count=message.block_count,
    )


def parse_get_result(message: pb.GetResult, payload: memoryview, batch: GetBatch) -> GetAnswer:
    statuses = parse_statuses(message.statuses, len(batch.indexes))
    good = statuses.count(Status.OK)
    part = range_bytes(message.shard_size, batch.first_block, batch.block_count)
    step = HASH_BYTES * block_count(message.shard_size)
    hashes, proofs = message.block_hashes, list(message.proofs)
    if len(payload) != part * good or len(hashes) != step * good or len(proofs) != good:
        raise WireError("an answer to get whose lengths disagree")
    parts = [hashes[at : at + step] for at in range(0, len(hashes), step)]
    return GetAnswer(statuses, message.shard_size, payload, part, parts, proofs)


def locate_message(blob: BlobId, chunk: int, indexes: Sequence[int], nodes: Sequence[NodeId]) -> pb.Envelope:
    envelope = pb.Envelope()
    ask = envelope.locate
    ask.blob, ask.chunk, ask.indexes, ask.nodes = blob, chunk, bytes(indexes), b"".join(nodes)
    return envelope


def parse_locate_result(message: pb.LocateResult, expected: int) -> LocateAnswer:
    statuses = parse_statuses(message.statuses, expected)
    good = statuses.count(Status.OK)
    step = HASH_BYTES * block_count(message.shard_size)
    hashes, proofs = message.block_hashes, message.proofs
    fields = message.packs, message.offsets, message.header_bytes, message.header_crcs
    if len(hashes) != step * good or any(len(field) != good for field in (proofs, *fields)):
        raise WireError("an answer to locate whose lengths disagree")
    parts = [hashes[at : at + step] for at in range(0, len(hashes), step)]
    if any(size > offset for size, offset in zip(message.header_bytes, message.offsets, strict=True)):
        raise WireError("a header that begins before its file")
    extents = [Extent(*extent) for extent in zip(*fields, strict=True)]
    return LocateAnswer(statuses, message.shard_size, parts, list(proofs), extents)


def verify_message(envelope: pb.Envelope, answer: VerifyAnswer) -> None:
    result = envelope.verify_result
    result.status = answer.status.value
    result.shard_size = answer.shard_size
    result.block_hashes = answer.block_hashes
    result.proof = answer.proof
    result.answer = answer.answer
    result.block, result.signature = answer.block, answer.signature


def parse_verify_result(message: pb.VerifyResult) -> VerifyAnswer:
    (status,) = parse_statuses(bytes([message.status]), 1)
    return VerifyAnswer(
        status,
        message.shard_size,
        message.block_hashes,
        message.proof,
        message.answer,
        message.block,
        message.signature,
    )


def scrub_message(progress: ScrubProgress) -> pb.ScrubProgress:
    return pb.ScrubProgress(
        node_id=progress.node_id,
        running=progress.running,
        done_bytes=progress.done_bytes,
        total_bytes=progress.total_bytes,
        started_at_ms=progress.started_at_ms,
        finished_at_ms=progress.finished_at_ms,
        found=progress.found,
    )


def parse_scrub(message: pb.ScrubProgress) -> ScrubProgress:
    return ScrubProgress(
        NodeId(message.node_id),
        message.running,
        message.done_bytes,
        message.total_bytes,
        message.started_at_ms,
        message.finished_at_ms,
        message.found,
    )


def parse_statuses(codes: bytes, expected: int) -> list[Status]:
    if len(codes) != expected:
        raise WireError(f"{len(codes)} statuses for {expected} shards")
    try:
        return [STATUS_BY_CODE[code] for code in codes]
    except KeyError as error:
        raise WireError(f"unknown status {error}") from error


def split_nodes(nodes: bytes, expected: int) -> list[NodeId]:
    if len(nodes) != NODE_ID_BYTES * expected:
        raise WireError(f"{len(nodes)} bytes of node ids for {expected} shards")
    return [NodeId(nodes[at : at + NODE_ID_BYTES]) for at in range(0, len(nodes), NODE_ID_BYTES)]


def join_shards(shards: Iterable[ShardId]) -> bytes:
    return b"".join(shard.pack() for shard in shards)


def split_shards(packed: bytes) -> list[ShardId]:
    if len(packed) % SHARD_ID_BYTES:
        raise WireError("a list of shard ids that ends within one")
    return [ShardId.unpack(packed[at : at + SHARD_ID_BYTES]) for at in range(0, len(packed), SHARD_ID_BYTES)]


def payload_views(payloads: Sequence[Buffer], size: int) -> Sequence[Buffer]:
    """The payloads as they go out; each must be exactly one shard long."""
    for payload in payloads:
        assert len(payload) == size
    return payloads
