"""Reading a blob from shards at rest: no host runs and no database says where they lie.

Each shard is looked for by its id wherever there is one, proven against its chunk's root, and any k of a chunk's give
it back. What is missing, damaged or of another store is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.shards.erasure import CODEC_ID, codec
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher, FrameDamaged, frame_count, sealed_size
from cyxcloud.shards.verify import ChunkVerifier


class Unreadable(Exception):
    """Fewer good shards of a chunk than it takes, or a format of another release."""


@dataclass(frozen=True, slots=True)
class RestingShard:
    """As it was found: nothing is proven yet."""

    block_hashes: bytes
    proof: bytes
    payload: memoryview


class RestingShards(Protocol):
    def find(self, shard: ShardId) -> Iterator[RestingShard]:
        """Every copy there is."""
        ...


@dataclass(frozen=True, slots=True)
class RestingBlob:
    """All that has to be known of a blob to read it."""

    blob: BlobId
    size: int
    k: int
    m: int
    codec: int
    dek: bytes
    roots: tuple[bytes, ...]


def read_chunk(source: RestingShards, of: RestingBlob, index: int) -> memoryview:
    """The plaintext of one chunk; raises Unreadable."""
    if of.codec != CODEC_ID:
        raise Unreadable(f"blob {of.blob:#x} is of codec {of.codec}, which this release does not know")
    size = min(CHUNK_BYTES, of.size - index * CHUNK_BYTES)
    code = codec(of.k, of.m)
    shard_size = code.shard_size(sealed_size(size))
    payloads = _gather(source, of, index, shard_size)
    if len(payloads) < of.k:
        raise Unreadable(f"blob {of.blob:#x} chunk {index}: {len(payloads)} good shards of the {of.k} it takes")
    sealed = memoryview(code.decode(payloads, sealed_size(size)))
    cipher = BlobCipher(of.blob, of.dek)
    try:
        return cipher.open_frames(index, range(frame_count(size)), size, lambda start, end: sealed[start:end])
    except FrameDamaged as error:
        raise Unreadable(str(error)) from error


def _gather(source: RestingShards, of: RestingBlob, index: int, shard_size: int) -> dict[int, memoryview]:
    """Good shards, data before parity, as many as it takes."""
    verifier = ChunkVerifier(of.roots[index], of.k + of.m)
    payloads: dict[int, memoryview] = {}
    for number in range(of.k + of.m):
        if len(payloads) == of.k:
            break
        for found in source.find(ShardId(of.blob, index, number)):
            if _is_good(verifier, number, shard_size, found):
                payloads[number] = found.payload
                break
    return payloads


def _is_good(verifier: ChunkVerifier, number: int, shard_size: int, found: RestingShard) -> bool:
    return (
        len(found.payload) == shard_size
        and verifier.accept(number, shard_size, found.block_hashes, found.proof)
        and verifier.matches(number, 0, found.payload)
    )
