"""What an answer to an audit proves: honest ones pass, every kind of lie fails or counts for nothing (R17)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cyxcloud.core import merkle
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.core.merkle import BLOCK_BYTES
from cyxcloud.wire.auditproof import sign_answer
from cyxcloud.wire.shardhost import VerifyAnswer
from cyxcloud.wire.status import Status
from fleet.audits.verdict import Challenge, Verdict, evidence, judge, judge_again

NODE, OTHER = NodeIdentity.generate(), NodeIdentity.generate()
PAYLOADS = [random.Random(index).randbytes(2 * BLOCK_BYTES + 100) for index in range(6)]
LEAVES = [merkle.block_hashes(each) for each in PAYLOADS]
ROOT, PROOFS = merkle.chunk_root_and_proofs([merkle.tree_root(each) for each in LEAVES])
CHALLENGE = Challenge(ShardId(BlobId(7), 0, 3), 1, b"n" * 16, ROOT, 6, len(PAYLOADS[0]))


def answer(
    index: int = 3, block: int = 1, *, by: NodeIdentity = NODE, status: Status = Status.OK, nonce: bytes = b"n" * 16
) -> VerifyAnswer:
    data = PAYLOADS[index][block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES] if status is Status.OK else b""
    signature = sign_answer(by, nonce, CHALLENGE.shard, CHALLENGE.block, status, data)
    hashes = b"".join(LEAVES[index])
    return VerifyAnswer(status, len(PAYLOADS[0]), hashes, PROOFS[index], b"", data, signature)


def verdict(given: VerifyAnswer) -> Verdict:
    return judge(CHALLENGE, given, NODE.public_key)


def test_right_block_passes() -> None:
    assert verdict(answer()) is Verdict.PASSED


@pytest.mark.parametrize("given", [answer(block=0), answer(index=2), answer(status=Status.NOT_FOUND)])
def test_signed_wrong_answers_fail(given: VerifyAnswer) -> None:
    assert verdict(given) is Verdict.FAILED


def test_who_keeps_only_the_hashes_fails() -> None:
    made_up = bytes(BLOCK_BYTES)
    signature = sign_answer(NODE, CHALLENGE.nonce, CHALLENGE.shard, CHALLENGE.block, Status.OK, made_up)
    assert verdict(replace(answer(), block=made_up, signature=signature)) is Verdict.FAILED


def test_made_up_tree_fails() -> None:
    made_up = bytes(BLOCK_BYTES)
    hashes = [merkle.leaf_hash(made_up)] * 3
    signature = sign_answer(NODE, CHALLENGE.nonce, CHALLENGE.shard, CHALLENGE.block, Status.OK, made_up)
    lying = VerifyAnswer(Status.OK, CHALLENGE.size, b"".join(hashes), PROOFS[3], b"", made_up, signature)
    assert verdict(lying) is Verdict.FAILED


@pytest.mark.parametrize(
    "given",
    [
        replace(answer(status=Status.NOT_FOUND), signature=bytes(64)),
        answer(status=Status.NOT_FOUND, by=OTHER),
        answer(status=Status.NOT_FOUND, nonce=b"o" * 16),
        replace(answer(), block=b"altered on the way"),
        answer(status=Status.BUSY),
    ],
)
def test_what_the_node_did_not_sign_accuses_nobody(given: VerifyAnswer) -> None:
    assert verdict(given) is Verdict.LATE


def test_evidence_is_judged_alike_and_falsified_evidence_is_not() -> None:
    kept = evidence(CHALLENGE, answer(block=0))
    assert judge_again(kept, NODE.public_key) is Verdict.FAILED
    assert judge_again(kept, OTHER.public_key) is Verdict.LATE
    assert judge_again(evidence(CHALLENGE, answer()), NODE.public_key) is Verdict.PASSED
    with pytest.raises(ValueError, match="no evidence"):
        judge_again(b"{}", NODE.public_key)
