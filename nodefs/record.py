"""One shard as it lies in a pack: a header, the payload, zeros up to the next 4 KiB (pure).

    0  magic "CyxShard"        8  state word        12  CRC-32 of bytes 16 to the payload
   16  version u16, index u8, 0 u8, header bytes u32, blob u64, chunk u32, total u16, proof bytes u16,
       shard size u32, 0 u32, stored at ms u64, incarnation 16 bytes
   72  block hashes (32 bytes each), proof, then the payload

The state word is outside the CRC and inside the first sector, so that a delete is one small write that cannot tear. The
payload is covered by the block hashes, which the chunk root covers: a record that lies is found out by its reader.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.core.merkle import HASH_BYTES, Buffer, block_count, block_hashes

ALIGN_BYTES = 4096
VERSION = 1
MAGIC = b"CyxShard"
STATE_AT = 8
STATE = struct.Struct(">I")
LIVE = 0
DELETED = 0x44454C31  # "DEL1"
QUARANTINED = 0x51554131  # "QUA1"

# 4 MiB of plaintext and its frames' tags in one shard (k = 1): 65 blocks; header and hashes then still fit one page.
MAX_SHARD_BYTES = 65 * 65536

_HEAD = struct.Struct(">8sIIHBBIQIHHIIQ16s")
HEAD_BYTES = _HEAD.size
_CRC_AT = 12
_CRC_FROM = 16
_CHECKED = struct.Struct(">HBBIQIHHIIQ16s")


class RecordDamaged(Exception):
    """These bytes are no record, or not the one that was looked for."""


@dataclass(frozen=True, slots=True)
class Header:
    shard: ShardId
    state: int
    total: int
    shard_size: int
    incarnation: bytes
    stored_at_ms: int
    block_hashes: bytes
    proof: bytes
    crc: int = 0  # as it was read

    @property
    def payload_at(self) -> int:
        return HEAD_BYTES + len(self.block_hashes) + len(self.proof)

    @property
    def record_bytes(self) -> int:
        return aligned(self.payload_at + self.shard_size)


def aligned(size: int) -> int:
    return -(-size // ALIGN_BYTES) * ALIGN_BYTES


def encode_header(
    shard: ShardId,
    *,
    total: int,
    shard_size: int,
    hashes: bytes,
    proof: bytes,
    incarnation: bytes,
    stored_at_ms: int,
) -> bytes:
    """A live record's header; the payload follows it at once."""
    return header_bytes(
        shard.blob, shard.chunk, shard.index, total, shard_size, hashes, proof, incarnation, stored_at_ms
    )


def header_bytes(  # noqa: PLR0917 - keywords cost more than the rest of it
    blob: int,
    chunk: int,
    index: int,
    total: int,
    shard_size: int,
    hashes: bytes,
    proof: bytes,
    incarnation: bytes,
    stored_at_ms: int,
) -> bytes:
    """encode_header without the ShardId, for the path that writes thousands a second."""
    size = HEAD_BYTES + len(hashes) + len(proof)
    checked = (
        _CHECKED.pack(VERSION, index, 0, size, blob, chunk, total, len(proof), shard_size, 0, stored_at_ms, incarnation)
        + hashes
        + proof
    )
    return b"".join((MAGIC, STATE.pack(LIVE), STATE.pack(zlib.crc32(checked)), checked))


def decode_header(data: Buffer) -> Header:
    """The header at the beginning of these bytes, checked; they need not hold the payload."""
    if len(data) < HEAD_BYTES:
        raise RecordDamaged("too short for a header")
    magic, state, crc, version, index, _, size, blob, chunk, total, proof_bytes, shard_size, _, at, incarnation = (
        _HEAD.unpack_from(data)
    )
    if magic != MAGIC or version != VERSION:
        raise RecordDamaged("no record begins here")
    hashes_end = HEAD_BYTES + HASH_BYTES * block_count(shard_size)
    if size != hashes_end + proof_bytes or not 0 < shard_size <= MAX_SHARD_BYTES or len(data) < size:
        raise RecordDamaged("sizes that cannot be")
    view = memoryview(data)
    if zlib.crc32(view[_CRC_FROM:size]) != crc:
        raise RecordDamaged("header checksum")
    return Header(
        shard=ShardId(BlobId(blob), chunk, index),
        state=state,
        total=total,
        shard_size=shard_size,
        incarnation=incarnation,
        stored_at_ms=at,
        block_hashes=bytes(view[HEAD_BYTES:hashes_end]),
        proof=bytes(view[hashes_end:size]),
        crc=crc,
    )


def header_crc(head: Buffer) -> int:
    """What tells this record from any other of the same shard."""
    return int.from_bytes(head[_CRC_AT:_CRC_FROM], "big")


def read_live(data: memoryview, blob: int, chunk: int, index: int) -> tuple[int, bytes, bytes, int] | None:
    """(shard size, block hashes, proof, where the payload begins) of the record of just this shard; None when deleted.

    decode_header in the form that a GET of small shards can afford.
    """
    magic, state, crc, version, its_index, _, size, its_blob, its_chunk, _, proof_bytes, shard_size, _, _, _ = (
        _HEAD.unpack_from(data)
    )
    hashes_end = size - proof_bytes
    if magic != MAGIC or version != VERSION or zlib.crc32(data[_CRC_FROM:size]) != crc:
        raise RecordDamaged("no valid record where the index says")
    if its_blob != blob or its_chunk != chunk or its_index != index:
        raise RecordDamaged("another shard's record where the index says")
    if state != LIVE:
        return None
    return shard_size, bytes(data[HEAD_BYTES:hashes_end]), bytes(data[hashes_end:size]), size


def payload_is_good(header: Header, payload: Buffer) -> bool:
    return len(payload) == header.shard_size and b"".join(block_hashes(payload)) == header.block_hashes
