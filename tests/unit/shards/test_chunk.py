from __future__ import annotations

import hashlib

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.core import merkle
from cyxcloud.core.ids import BlobId
from cyxcloud.shards.chunk import coded_size, encode_chunk
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import BlobCipher, sealed_size
from cyxcloud.shards.slots import Slots
from tests.unit.shards.rig import DEK, some_bytes


def test_golden_chunk() -> None:
    """Format v1 end to end: plaintext, key and ids give this root and these shards, for ever."""
    chunk = encode_chunk(BlobCipher(BlobId(5 << 32 | 6), DEK), 2, some_bytes(1_000_000), codec(10, 4))
    assert chunk.root.hex() == "8e3df9ee12169f857f221170fee253e6afec8ec51a0c9003b6fd71335afd86a5"
    assert (
        hashlib.sha256(b"".join(chunk.payloads)).hexdigest()
        == "030d1efc8526410ac0ffa7fd0f92c8499ada9da41df442112ecf3eb936a587eb"
    )
    assert (
        hashlib.sha256(b"".join(chunk.proofs)).hexdigest()
        == "b56be36b1403574ad9061a407917a1a6e0de876c4b7ab21284703f9d1bfb8a0c"
    )


@settings(max_examples=25)
@given(st.sampled_from([(10, 4), (4, 4), (2, 1)]), st.integers(1, 900_000))
def test_each_shard_proves_itself_under_the_root(profile: tuple[int, int], size: int) -> None:
    code, data = codec(*profile), some_bytes(size)
    chunk = encode_chunk(BlobCipher(BlobId(1), DEK), 0, bytearray(data), code)
    assert (chunk.size, chunk.digest) == (size, blake3(data).digest())
    assert chunk.shard_size == code.shard_size(sealed_size(size))
    for index, payload in enumerate(chunk.payloads):
        leaves = merkle.block_hashes(payload)
        assert b"".join(leaves) == chunk.block_hashes[index]
        root = merkle.root_from_proof(merkle.tree_root(leaves), index, code.total, chunk.proofs[index])
        assert root == chunk.root


def test_what_a_slot_held_before_is_in_no_shard() -> None:
    code, data, cipher = codec(10, 4), some_bytes(100_001), BlobCipher(BlobId(1), DEK)
    slot = Slots().take(coded_size(len(data), code))
    slot.view[:] = b"\xff" * len(slot.view)
    assert encode_chunk(cipher, 0, data, code, slot).payloads == encode_chunk(cipher, 0, data, code).payloads
