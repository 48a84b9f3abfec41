"""What a node signs of its answer to an audit (pure): evidence that others can check.

Signed is what was asked (nonce, shard, block) and what was answered: the status, and the hash of the block's bytes. So
a node that sent wrong bytes, or said that it has nothing, cannot deny it, and nobody can accuse it of what it did not
say.
"""

from __future__ import annotations

import struct

from blake3 import blake3

from cyxcloud.core.identity import NodeIdentity, verify
from cyxcloud.core.ids import ShardId
from cyxcloud.wire.status import Status

NONCE_BYTES = 16
_PREFIX = b"cyxcloud audit v1\x00"
_FIELDS = struct.Struct(">IB")  # block, status


def sign_answer(  # noqa: PLR0917 - what is asked and answered
    identity: NodeIdentity, nonce: bytes, shard: ShardId, block: int, status: Status, data: bytes
) -> bytes:
    return identity.sign(_signed(nonce, shard, block, status, data))


def answer_signed_by(  # noqa: PLR0917 - what is asked and answered
    public_key: bytes, nonce: bytes, shard: ShardId, block: int, status: Status, data: bytes, signature: bytes
) -> bool:
    return verify(public_key, _signed(nonce, shard, block, status, data), signature)


def _signed(nonce: bytes, shard: ShardId, block: int, status: Status, data: bytes) -> bytes:
    return _PREFIX + nonce + shard.pack() + _FIELDS.pack(block, status.value) + blake3(data).digest()
