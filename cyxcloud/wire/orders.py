"""Delete orders and their receipts: what is signed, byte for byte (pure).

Only the coordinator's key makes an order; a node checks it against the key pinned in its folder, its own id, its
incarnation and the expiry. The node's signed receipt says what it did. Both are evidence: they are signed over the
bytes as they travel, with a prefix that keeps one kind of signature from passing for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError

from cyxcloud.core.identity import NodeIdentity, verify
from cyxcloud.core.ids import NodeId, ShardId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import join_shards, parse_statuses, split_shards
from cyxcloud.wire.status import Status, WireError

# Bounds the message (53 KB) and the work that one order makes.
MAX_ORDER_SHARDS = 4096
_ORDER_PREFIX = b"cyxcloud delete order v1\x00"
_RECEIPT_PREFIX = b"cyxcloud delete receipt v1\x00"


@dataclass(frozen=True, slots=True)
class Order:
    cluster_id: bytes
    incarnation: bytes
    node_id: NodeId
    shards: tuple[ShardId, ...]
    issued_at_ms: int
    expires_at_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Receipt:
    node_id: NodeId
    order_hash: bytes
    statuses: tuple[Status, ...]
    done_at_ms: int


def encode_order(order: Order) -> bytes:
    assert 0 < len(order.shards) <= MAX_ORDER_SHARDS
    return pb.Order(
        cluster_id=order.cluster_id,
        incarnation=order.incarnation,
        node_id=order.node_id,
        shards=join_shards(order.shards),
        issued_at_ms=order.issued_at_ms,
        expires_at_ms=order.expires_at_ms,
        sequence=order.sequence,
    ).SerializeToString(deterministic=True)


def decode_order(data: bytes) -> Order:
    try:
        message = pb.Order.FromString(data)
    except DecodeError as error:
        raise WireError("bytes that are no order") from error
    shards = split_shards(message.shards)
    if not 0 < len(shards) <= MAX_ORDER_SHARDS:
        raise WireError(f"an order of {len(shards)} shards")
    return Order(
        cluster_id=message.cluster_id,
        incarnation=message.incarnation,
        node_id=NodeId(message.node_id),
        shards=tuple(shards),
        issued_at_ms=message.issued_at_ms,
        expires_at_ms=message.expires_at_ms,
        sequence=message.sequence,
    )


def sign_order(key: Ed25519PrivateKey, order: bytes) -> bytes:
    return key.sign(_ORDER_PREFIX + order)


def order_signed_by(public_key: bytes, order: bytes, signature: bytes) -> bool:
    return verify(public_key, _ORDER_PREFIX + order, signature)


def order_hash(order: bytes) -> bytes:
    return blake3(order).digest()


def make_receipt(
    identity: NodeIdentity, order: bytes, statuses: Sequence[Status], done_at_ms: int
) -> tuple[bytes, bytes]:
    """The receipt and its signature."""
    receipt = pb.Receipt(
        node_id=identity.node_id,
        order_hash=order_hash(order),
        statuses=bytes(statuses),
        done_at_ms=done_at_ms,
    ).SerializeToString(deterministic=True)
    return receipt, identity.sign(_RECEIPT_PREFIX + receipt)


def decode_receipt(data: bytes) -> Receipt:
    try:
        message = pb.Receipt.FromString(data)
    except DecodeError as error:
        raise WireError("bytes that are no receipt") from error
    statuses = parse_statuses(message.statuses, len(message.statuses))
    return Receipt(NodeId(message.node_id), message.order_hash, tuple(statuses), message.done_at_ms)


def receipt_signed_by(public_key: bytes, receipt: bytes, signature: bytes) -> bool:
    return verify(public_key, _RECEIPT_PREFIX + receipt, signature)
