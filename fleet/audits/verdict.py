"""What an audit's answer proves (pure). Nothing is kept for it beforehand: the chunk's root is all that is needed.

PASSED: the very block of the very shard, proven under the root. FAILED: signed bytes that are not that block, or a
signed word that it is not there. What is not signed by the node proves nothing and counts as no answer (LATE): an
answer that somebody altered on its way must not cost a node its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from cyxcloud.core.ids import ShardId
from cyxcloud.core.merkle import BLOCK_BYTES, block_count
from cyxcloud.shards.verify import ChunkVerifier
from cyxcloud.wire.auditproof import answer_signed_by
from cyxcloud.wire.shardhost import VerifyAnswer
from cyxcloud.wire.status import Status

# A node that says these says that the shard is not to be had from it; all else is a moment's trouble.
_LOST = frozenset({Status.NOT_FOUND, Status.CORRUPT})


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Challenge:
    """`total` shards a chunk, `size` bytes a shard, `root` of the chunk."""

    shard: ShardId
    block: int
    nonce: bytes
    root: bytes
    total: int
    size: int

    @property
    def block_bytes(self) -> int:
        return min(BLOCK_BYTES, self.size - self.block * BLOCK_BYTES)

    @property
    def blocks(self) -> int:
        return block_count(self.size)


def judge(challenge: Challenge, answer: VerifyAnswer, public_key: bytes) -> Verdict:
    shard, block, nonce = challenge.shard, challenge.block, challenge.nonce
    signed = answer_signed_by(public_key, nonce, shard, block, answer.status, answer.block, answer.signature)
    if answer.status is Status.OK and _is_proven(challenge, answer):
        return Verdict.PASSED
    if not signed or (answer.status is not Status.OK and answer.status not in _LOST):
        return Verdict.LATE
    return Verdict.FAILED


def _is_proven(challenge: Challenge, answer: VerifyAnswer) -> bool:
    if len(answer.block) != challenge.block_bytes or answer.shard_size != challenge.size:
        return False
    verifier = ChunkVerifier(challenge.root, challenge.total)
    index = challenge.shard.index
    return verifier.accept(index, answer.shard_size, answer.block_hashes, answer.proof) and verifier.matches(
        index, challenge.block, memoryview(answer.block)
    )


def evidence(challenge: Challenge, answer: VerifyAnswer) -> bytes:
    """All that is needed to judge again."""
    fields = {
        "shard": challenge.shard.pack().hex(),
        "block": challenge.block,
        "nonce": challenge.nonce.hex(),
        "root": challenge.root.hex(),
        "total": challenge.total,
        "size": challenge.size,
        "status": answer.status.value,
        "shard_size": answer.shard_size,
        "hashes": answer.block_hashes.hex(),
        "proof": answer.proof.hex(),
        "data": answer.block.hex(),
        "signature": answer.signature.hex(),
    }
    return json.dumps({"format": 1, **fields}).encode()


def judge_again(kept: bytes, public_key: bytes) -> Verdict:
    """ValueError for what is no evidence."""
    try:
        value = json.loads(kept)
        challenge = Challenge(
            ShardId.unpack(bytes.fromhex(value["shard"])),
            int(value["block"]),
            bytes.fromhex(value["nonce"]),
            bytes.fromhex(value["root"]),
            int(value["total"]),
            int(value["size"]),
        )
        answer = VerifyAnswer(
            Status(value["status"]),
            int(value["shard_size"]),
            bytes.fromhex(value["hashes"]),
            bytes.fromhex(value["proof"]),
            b"",
            bytes.fromhex(value["data"]),
            bytes.fromhex(value["signature"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("no evidence of an audit") from error
    return judge(challenge, answer, public_key)
