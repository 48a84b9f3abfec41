from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.core import merkle
from cyxcloud.core.ids import BlobId
from cyxcloud.core.merkle import BLOCK_BYTES, HASH_BYTES
from cyxcloud.shards.verify import ChunkVerifier, KnownChunks
from tests.unit.shards.rig import some_bytes

SIZE = 2 * BLOCK_BYTES + 100


def shards(total: int, size: int = SIZE) -> tuple[list[bytes], list[bytes], list[bytes], bytes]:
    payloads = [some_bytes(size, seed) for seed in range(total)]
    leaves = [merkle.block_hashes(payload) for payload in payloads]
    root, proofs = merkle.chunk_root_and_proofs([merkle.tree_root(hashes) for hashes in leaves])
    return payloads, [b"".join(hashes) for hashes in leaves], proofs, root


@settings(max_examples=40)
@given(st.integers(2, 20), st.data())
def test_all_shards_are_accepted_in_any_order_and_nowhere_else(total: int, data: st.DataObject) -> None:
    _, hashes, proofs, root = shards(total, 100)
    verifier = ChunkVerifier(root, total)
    for index in data.draw(st.permutations(range(total))):
        other = data.draw(st.integers(0, total - 1))
        if other != index:
            assert not verifier.accept(index, 100, hashes[other], proofs[other])
            assert not verifier.accept(index, 100, hashes[other], proofs[index])
        assert verifier.accept(index, 100, hashes[index], proofs[index])


@settings(max_examples=60)
@given(st.integers(2, 16), st.data())
def test_agrees_with_the_plain_proof_check(total: int, data: st.DataObject) -> None:
    """A fresh verifier walks the whole proof: it accepts exactly what root_from_proof leads to the root."""
    _, hashes, proofs, root = shards(total, 10)
    index = data.draw(st.integers(0, total - 1))
    proof = bytearray(proofs[index])
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    if data.draw(st.booleans()) and proof:
        proof[at] ^= 0xFF
    shard_root = merkle.tree_root([hashes[index]])
    assert ChunkVerifier(root, total).accept(index, 10, hashes[index], bytes(proof)) == (
        merkle.root_from_proof(shard_root, index, total, bytes(proof)) == root
    )


def test_a_refused_proof_teaches_nothing() -> None:
    _, hashes, proofs, root = shards(14)
    verifier = ChunkVerifier(root, 14)
    forged_hashes, forged_proof = bytes(len(hashes[0])), bytes(len(proofs[0]))
    for _ in range(2):
        assert not verifier.accept(0, SIZE, forged_hashes, forged_proof)
        assert not verifier.accept(0, SIZE, hashes[0], forged_proof)
        assert not verifier.accept(0, SIZE, hashes[0], proofs[0][:-HASH_BYTES])
    assert verifier.accept(1, SIZE, hashes[1], proofs[1])
    # Shard 0's leaf is now known as shard 1's sibling: its bytes decide, whatever proof comes along.
    assert verifier.accept(0, SIZE, hashes[0], b"")
    assert not verifier.accept(0, SIZE, forged_hashes, proofs[0])


def test_hashes_of_another_number_of_blocks_are_refused() -> None:
    _, hashes, proofs, root = shards(14)
    verifier = ChunkVerifier(root, 14)
    assert not verifier.accept(3, SIZE, hashes[3][:-HASH_BYTES], proofs[3])
    assert not verifier.accept(3, SIZE, hashes[3] + bytes(HASH_BYTES), proofs[3])
    assert not verifier.accept(3, SIZE, b"", proofs[3])


def test_blocks_match_only_where_they_belong() -> None:
    payloads, hashes, proofs, root = shards(14)
    verifier = ChunkVerifier(root, 14)
    assert verifier.accept(5, SIZE, hashes[5], proofs[5])
    whole = memoryview(payloads[5])
    assert verifier.matches(5, 0, whole)
    assert verifier.matches(5, 1, whole[BLOCK_BYTES:])
    assert verifier.matches(5, 2, whole[2 * BLOCK_BYTES :])
    assert verifier.matches(5, 0, whole[: 2 * BLOCK_BYTES])
    assert not verifier.matches(5, 1, whole[:BLOCK_BYTES])
    assert not verifier.matches(5, 0, whole[:-1])
    for at in (0, BLOCK_BYTES - 1, BLOCK_BYTES, SIZE - 1):
        flipped = bytearray(payloads[5])
        flipped[at] ^= 1
        assert not verifier.matches(5, 0, memoryview(flipped))


def test_what_was_shed_is_proven_again() -> None:
    payloads, hashes, proofs, root = shards(14, 1000)
    verifier = ChunkVerifier(root, 14)
    assert verifier.accept(3, 1000, hashes[3], proofs[3])
    verifier.shed()
    assert verifier.matches(3, 0, memoryview(payloads[3]))
    assert not verifier.accept(2, 1000, hashes[2], b"")
    assert verifier.accept(2, 1000, hashes[2], proofs[2])


def test_cache_keeps_the_chunks_read_last() -> None:
    cache = KnownChunks(limit=2)
    first = cache.get(BlobId(1), 0, b"a" * 32, 14)
    cache.get(BlobId(2), 0, b"b" * 32, 14)
    assert cache.get(BlobId(1), 0, b"a" * 32, 14) is first
    cache.get(BlobId(3), 0, b"c" * 32, 14)
    assert cache.get(BlobId(1), 0, b"a" * 32, 14) is first
    assert cache.get(BlobId(1), 0, b"d" * 32, 14) is not first
