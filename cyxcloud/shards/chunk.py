"""One chunk's way from plaintext to shards that commit to their chunk root (pure; no I/O)."""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from cyxcloud.core import merkle
from cyxcloud.shards.erasure import Codec
from cyxcloud.shards.frames import BlobCipher, Buffer, sealed_size
from cyxcloud.wire.sharing import Slot


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
    slot: Slot | None = None

    def release(self) -> None:
        """Its maker is done with it; hosts may still hold it."""
        if self.slot is not None:
            self.slot.release()


def coded_size(plaintext_size: int, code: Codec) -> int:
    """Bytes of all shards of a chunk of this many bytes of plaintext."""
    return code.total * code.shard_size(sealed_size(plaintext_size))


def encode_chunk(
    cipher: BlobCipher, chunk: int, plaintext: Buffer, code: Codec, slot: Slot | None = None
) -> EncodedChunk:
    """The payloads are parts of the slot, which is coded_size long and may hold anything."""
    sealed = sealed_size(len(plaintext))
    size = code.shard_size(sealed)
    shards = memoryview(bytearray(code.total * size)) if slot is None else slot.view
    cipher.seal_into(chunk, plaintext, shards[:sealed])
    shards[sealed : code.k * size] = bytes(code.k * size - sealed)
    code.add_parity(shards, size)
    payloads = [shards[at : at + size] for at in range(0, len(shards), size)]
    leaves = [merkle.block_hashes(payload) for payload in payloads]
    root, proofs = merkle.chunk_root_and_proofs([merkle.tree_root(hashes) for hashes in leaves])
    return EncodedChunk(
        root=root,
        digest=blake3(plaintext).digest(),
        size=len(plaintext),
        shard_size=size,
        payloads=payloads,
        block_hashes=[b"".join(hashes) for hashes in leaves],
        proofs=proofs,
        slot=slot,
    )
