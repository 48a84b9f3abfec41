"""One chunk's way from plaintext to shards that commit to their chunk root (pure; no I/O)."""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from cyxcloud.core import merkle
from cyxcloud.shards.erasure import Codec
from cyxcloud.shards.frames import BlobCipher, Buffer


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """All k+m shards of a chunk, by index: payload, block hashes (concatenated) and proof under the chunk root."""

    root: bytes
    digest: bytes  # BLAKE3-256 of the plaintext, the chunk's link in the segment's CID
    size: int  # plaintext bytes
    shard_size: int
    payloads: list[memoryview]
    block_hashes: list[bytes]
    proofs: list[bytes]


def encode_chunk(
    cipher: BlobCipher, chunk: int, plaintext: Buffer, code: Codec, scratch: bytearray | None = None
) -> EncodedChunk:
    """`scratch` has room for the ciphertext of a whole chunk; it is free again when this returns."""
    payloads = code.encode(cipher.seal(chunk, plaintext, scratch))
    leaves = [merkle.block_hashes(payload) for payload in payloads]
    root, proofs = merkle.chunk_root_and_proofs([merkle.tree_root(hashes) for hashes in leaves])
    return EncodedChunk(
        root=root,
        digest=blake3(plaintext).digest(),
        size=len(plaintext),
        shard_size=len(payloads[0]),
        payloads=payloads,
        block_hashes=[b"".join(hashes) for hashes in leaves],
        proofs=proofs,
    )
