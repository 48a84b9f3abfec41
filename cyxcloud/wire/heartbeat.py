"""A node's report to the fleet and the fleet's answer, byte for byte (pure).

The signature is the message's last field and covers every byte before it, with a prefix that keeps it from passing for
an order's or a receipt's. So what was signed is evidence as it travelled, and any Protobuf reader can read it. A report
says who, when and the how-manieth: without the sequence an old report could be played again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import isfinite

from google.protobuf.message import DecodeError

from cyxcloud.core.identity import SIGNATURE_BYTES, NodeIdentity, verify
from cyxcloud.core.ids import NODE_ID_BYTES, NodeId
from cyxcloud.wire import heartbeat_pb2 as pb
from cyxcloud.wire.codec import PROTOCOL_MAX, PROTOCOL_MIN
from cyxcloud.wire.status import WireError

# What the fleet's listener takes of any message; the most peers and the longest reason fill two thirds of it.
MAX_HEARTBEAT_BYTES = 16 * 1024
# Enough to see who uses a node; a gateway more or less decides nothing.
MAX_PEERS = 256
CONTENT_TYPE = "application/x-protobuf"
_PREFIX = b"cyxcloud heartbeat v1\x00"
_SIGNATURE_FIELD = bytes([3 << 3 | 2, SIGNATURE_BYTES])  # field 3, of 64 bytes
_SIGNED_TAIL = len(_SIGNATURE_FIELD) + SIGNATURE_BYTES


class Serving(IntEnum):
    """STOPPING is said once, by a node whose operator ends it in order."""

    SERVING = 1
    STOPPING = 2


class Outcome(IntEnum):
    TAKEN = 1
    REPLAYED = 2  # its sequence is not greater than the last: a copy, or a node whose counter was set back
    SKEWED = 3  # the node's clock is too far from the fleet's


@dataclass(frozen=True, slots=True)
class Heartbeat:
    node_id: NodeId
    timestamp_ms: int
    sequence: int
    total_storage_bytes: int
    used_storage_bytes: int
    free_bytes: int
    reserve_bytes: int
    shard_count: int
    available_bandwidth_bps: int = 0
    avg_latency_ms: float = 0.0
    requests_per_minute: int = 0
    cpu_usage_percent: float = 0.0
    memory_usage_percent: float = 0.0
    failed_requests: int = 0
    peer_ids: tuple[NodeId, ...] = ()
    version: str = ""
    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    state: Serving = Serving.SERVING
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    server_time_ms: int
    interval_ms: int
    wanted_version: str = ""
    least_version: str = ""
    least_version_from_ms: int = 0
    denied_epoch: int = 0
    dial_addresses: tuple[str, ...] = ()
    renew: bool = False
    last_sequence: int = 0


@dataclass(frozen=True, slots=True)
class SignedHeartbeat:
    """A heartbeat with the bytes that were signed; that the signature is the node's is still to be checked."""

    heartbeat: Heartbeat
    body: bytes
    signature: bytes

    def signed_by(self, public_key: bytes) -> bool:
        return verify(public_key, _PREFIX + self.body, self.signature)


def sign_heartbeat(identity: NodeIdentity, heartbeat: Heartbeat) -> bytes:
    body = _encode(heartbeat)
    return body + _SIGNATURE_FIELD + identity.sign(_PREFIX + body)


def parse_heartbeat(data: bytes) -> SignedHeartbeat:
    body, tail = data[:-_SIGNED_TAIL], data[-_SIGNED_TAIL:]
    if len(data) > MAX_HEARTBEAT_BYTES or not tail.startswith(_SIGNATURE_FIELD):
        raise WireError("a heartbeat that is too long or not signed")
    return SignedHeartbeat(decode_heartbeat(body), body, tail[len(_SIGNATURE_FIELD) :])


def decode_heartbeat(body: bytes) -> Heartbeat:
    """What was signed, as it is kept."""
    try:
        message = pb.Heartbeat.FromString(body)
        state = Serving(message.state)
    except (DecodeError, ValueError) as error:
        raise WireError("bytes that are no heartbeat") from error
    peers = tuple(NodeId(each) for each in message.peer_ids)
    if any(len(each) != NODE_ID_BYTES for each in (message.node_id, *peers)) or len(peers) > MAX_PEERS:
        raise WireError("a heartbeat with an id that is none")
    if message.signature or not 0 < message.sequence < 1 << 63:
        raise WireError("a heartbeat that is signed twice or has no sequence")
    if not 0 <= message.used_storage_bytes <= message.total_storage_bytes < 1 << 63:
        raise WireError("a heartbeat of a node that holds more than it has")
    if not all(map(isfinite, (message.avg_latency_ms, message.cpu_usage_percent, message.memory_usage_percent))):
        raise WireError("a heartbeat with a number that is none")
    return Heartbeat(
        node_id=NodeId(message.node_id),
        timestamp_ms=message.timestamp,
        sequence=message.sequence,
        total_storage_bytes=message.total_storage_bytes,
        used_storage_bytes=message.used_storage_bytes,
        free_bytes=min(message.free_bytes, message.total_storage_bytes),
        reserve_bytes=message.reserve_bytes,
        shard_count=min(message.shard_count, (1 << 63) - 1),
        available_bandwidth_bps=message.available_bandwidth_bps,
        avg_latency_ms=message.avg_latency_ms,
        requests_per_minute=message.requests_per_minute,
        cpu_usage_percent=message.cpu_usage_percent,
        memory_usage_percent=message.memory_usage_percent,
        failed_requests=message.failed_requests,
        peer_ids=peers,
        version=message.version,
        protocol_min=message.protocol_min,
        protocol_max=message.protocol_max,
        state=state,
        reason=message.reason,
    )


def _encode(heartbeat: Heartbeat) -> bytes:
    return pb.Heartbeat(
        node_id=heartbeat.node_id,
        timestamp=heartbeat.timestamp_ms,
        sequence=heartbeat.sequence,
        total_storage_bytes=heartbeat.total_storage_bytes,
        used_storage_bytes=heartbeat.used_storage_bytes,
        free_bytes=heartbeat.free_bytes,
        reserve_bytes=heartbeat.reserve_bytes,
        shard_count=heartbeat.shard_count,
        available_bandwidth_bps=heartbeat.available_bandwidth_bps,
        avg_latency_ms=heartbeat.avg_latency_ms,
        requests_per_minute=heartbeat.requests_per_minute,
        cpu_usage_percent=heartbeat.cpu_usage_percent,
        memory_usage_percent=heartbeat.memory_usage_percent,
        failed_requests=heartbeat.failed_requests,
        peer_ids=heartbeat.peer_ids[:MAX_PEERS],
        version=heartbeat.version,
        protocol_min=heartbeat.protocol_min,
        protocol_max=heartbeat.protocol_max,
        state=heartbeat.state,
        reason=heartbeat.reason,
    ).SerializeToString(deterministic=True)


def encode_answer(answer: Answer) -> bytes:
    return pb.HeartbeatAnswer(
        outcome=answer.outcome,
        server_time=answer.server_time_ms,
        interval_ms=answer.interval_ms,
        wanted_version=answer.wanted_version,
        least_version=answer.least_version,
        least_version_from=answer.least_version_from_ms,
        denied_epoch=answer.denied_epoch,
        dial_addresses=answer.dial_addresses,
        renew=answer.renew,
        last_sequence=answer.last_sequence,
    ).SerializeToString(deterministic=True)


def parse_answer(data: bytes) -> Answer:
    try:
        message = pb.HeartbeatAnswer.FromString(data)
        outcome = Outcome(message.outcome)
    except (DecodeError, ValueError) as error:
        raise WireError("bytes that are no answer to a heartbeat") from error
    return Answer(
        outcome,
        message.server_time,
        message.interval_ms,
        message.wanted_version,
        message.least_version,
        message.least_version_from,
        message.denied_epoch,
        tuple(message.dial_addresses),
        message.renew,
        message.last_sequence,
    )
