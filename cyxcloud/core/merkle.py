"""The only Merkle tree of the store: RFC 6962 section 2.1 with BLAKE3-256 in place of SHA-256 (pure).

A leaf is hashed as H(0x00 || entry), an inner node as H(0x01 || left || right), so that neither can pass for the other.
A shard's root is the tree over its 64 KiB blocks; a chunk's root is the tree whose entries are its shards' roots.
A leaf's position always comes from the verifier (the shard's index), never from the prover.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blake3 import blake3

BLOCK_BYTES = 65536
HASH_BYTES = 32

Buffer = bytes | bytearray | memoryview


def leaf_hash(entry: Buffer) -> bytes:
    if len(entry) <= BLOCK_BYTES // 8:
        return blake3(b"\x00" + entry).digest()
    hasher = blake3(b"\x00")
    hasher.update(entry)
    return hasher.digest()


def leaf_hash_within(buffer: memoryview, start: int, end: int) -> bytes:
    """leaf_hash(buffer[start:end]) where the buffer is ours to write: the byte before lends its place to the prefix.

    Hashed in one piece, 64 KiB take a quarter less than as a prefix and the rest.
    """
    before = buffer[start - 1]
    buffer[start - 1] = 0
    digest = blake3(buffer[start - 1 : end]).digest()
    buffer[start - 1] = before
    return digest


def node_hash(left: bytes, right: bytes) -> bytes:
    return blake3(b"\x01" + left + right).digest()


def block_hashes(payload: Buffer) -> list[bytes]:
    """The leaf hash of each 64 KiB block of a shard's payload, the last block possibly shorter."""
    if len(payload) <= BLOCK_BYTES:
        return [leaf_hash(payload)]
    view = memoryview(payload)
    return [leaf_hash(view[at : at + BLOCK_BYTES]) for at in range(0, len(view), BLOCK_BYTES)]


def block_count(size: int) -> int:
    return max(1, -(-size // BLOCK_BYTES))


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes. Pairing level by level and carrying an odd last node up gives RFC 6962's shape."""
    assert leaves
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def chunk_root(shard_roots: Sequence[bytes]) -> bytes:
    return tree_root([blake3(b"\x00" + root).digest() for root in shard_roots])


def chunk_root_and_proofs(shard_roots: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The chunk root and, for each shard, its audit path from leaf to root, concatenated."""
    level = [blake3(b"\x00" + root).digest() for root in shard_roots]
    paths: list[list[bytes]] = [[] for _ in shard_roots]
    at = list(range(len(level)))
    while len(level) > 1:
        for shard, position in enumerate(at):
            sibling = position ^ 1
            if sibling < len(level):
                paths[shard].append(level[sibling])
            at[shard] = position >> 1
        level = _parents(level)
    return level[0], [b"".join(path) for path in paths]


def root_from_proof(shard_root: bytes, index: int, total: int, proof: bytes) -> bytes | None:
    """The chunk root that this proof leads to from the shard at this index, or None where its length is wrong."""
    node = blake3(b"\x00" + shard_root).digest()
    steps = iter_hashes(proof)
    if len(proof) % HASH_BYTES or not 0 <= index < total:
        return None
    width = total
    while width > 1:
        if index ^ 1 < width:
            sibling = next(steps, None)
            if sibling is None:
                return None
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index >>= 1
        width = (width + 1) >> 1
    return node if next(steps, None) is None else None


def iter_hashes(data: bytes) -> Iterator[bytes]:
    return (data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def _parents(level: list[bytes]) -> list[bytes]:
    paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        paired.append(level[-1])
    return paired
