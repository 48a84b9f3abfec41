from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.core.merkle import block_count, block_hashes
from nodefs.record import (
    ALIGN_BYTES,
    HEAD_BYTES,
    LIVE,
    MAX_SHARD_BYTES,
    STATE_AT,
    RecordDamaged,
    decode_header,
    encode_header,
    payload_is_good,
    read_live,
)

shards = st.builds(
    ShardId, blob=st.integers(1, 2**63 - 1).map(BlobId), chunk=st.integers(0, 2**32 - 1), index=st.integers(0, 255)
)


@st.composite
def headers(draw: st.DrawFn) -> tuple[ShardId, int, bytes, bytes, bytes]:
    size = draw(st.integers(1, MAX_SHARD_BYTES))
    hashes = draw(st.binary(min_size=32, max_size=32)) * block_count(size)
    proof = draw(st.binary(min_size=32, max_size=32)) * draw(st.integers(0, 8))
    shard = draw(shards)
    head = encode_header(
        shard, total=14, shard_size=size, hashes=hashes, proof=proof, incarnation=b"i" * 16, stored_at_ms=7
    )
    return shard, size, hashes, proof, head


@given(headers())
def test_header_round_trips(made: tuple[ShardId, int, bytes, bytes, bytes]) -> None:
    shard, size, hashes, proof, head = made
    header = decode_header(head)
    assert (header.shard, header.shard_size, header.block_hashes, header.proof) == (shard, size, hashes, proof)
    assert header.state == LIVE
    assert header.stored_at_ms == 7
    assert header.incarnation == b"i" * 16
    assert header.payload_at == len(head) <= ALIGN_BYTES
    assert header.record_bytes % ALIGN_BYTES == 0
    assert header.record_bytes - len(head) - size < ALIGN_BYTES
    assert read_live(memoryview(head), shard.blob, shard.chunk, shard.index) == (size, hashes, proof, len(head))


@given(headers(), st.data())
def test_any_flipped_bit_is_found(made: tuple[ShardId, int, bytes, bytes, bytes], data: st.DataObject) -> None:
    shard, _, _, _, head = made
    at = data.draw(st.integers(0, len(head) - 1).filter(lambda at: not STATE_AT <= at < STATE_AT + 4))
    flipped = bytearray(head)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RecordDamaged):
        decode_header(flipped)
    with pytest.raises(RecordDamaged):
        read_live(memoryview(flipped), shard.blob, shard.chunk, shard.index)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RecordDamaged):
        decode_header(data)


@given(headers(), st.integers(0, HEAD_BYTES + 31))
def test_a_short_header_is_refused(made: tuple[ShardId, int, bytes, bytes, bytes], size: int) -> None:
    with pytest.raises(RecordDamaged):
        decode_header(made[4][:size])


def test_another_shards_record_is_refused() -> None:
    head = encode_header(
        ShardId(BlobId(5), 0, 3),
        total=14,
        shard_size=9,
        hashes=b"h" * 32,
        proof=b"",
        incarnation=bytes(16),
        stored_at_ms=0,
    )
    with pytest.raises(RecordDamaged, match="another shard"):
        read_live(memoryview(head), 5, 0, 4)


def test_deleted_record_reads_as_gone_and_keeps_its_checksum() -> None:
    head = bytearray(
        encode_header(
            ShardId(BlobId(5), 0, 3),
            total=14,
            shard_size=9,
            hashes=b"h" * 32,
            proof=b"",
            incarnation=bytes(16),
            stored_at_ms=0,
        )
    )
    head[STATE_AT : STATE_AT + 4] = b"DEL1"
    assert decode_header(head).state != LIVE
    assert read_live(memoryview(head), 5, 0, 3) is None


def test_payload_is_compared_with_its_hashes() -> None:
    payload = bytes(70000)
    head = encode_header(
        ShardId(BlobId(5), 0, 3),
        total=14,
        shard_size=len(payload),
        hashes=b"".join(block_hashes(payload)),
        proof=b"",
        incarnation=bytes(16),
        stored_at_ms=0,
    )
    assert payload_is_good(decode_header(head), payload)
    assert not payload_is_good(decode_header(head), payload[:-1] + b"x")
    assert not payload_is_good(decode_header(head), payload[:-1])


def test_golden_header() -> None:
    head = encode_header(
        ShardId(BlobId(0x0102030405060708), 9, 10),
        total=14,
        shard_size=6556,
        hashes=bytes(range(32)),
        proof=bytes(range(32, 96)),
        incarnation=b"0123456789abcdef",
        stored_at_ms=1_800_000_000_000,
    )
    assert head[:72].hex() == GOLDEN_START
    assert hashlib.sha256(head).hexdigest() == GOLDEN_SHA256


GOLDEN_START = "437978536861726400000000224b377100010a00000000a8010203040506070800000009000e00400000199c00000000000001a3185c500030313233343536373839616263646566"
GOLDEN_SHA256 = "9820408dbf1f8896ac33ad005d8960f68c1d733fcebe6ec02ca39ed34f5f2a5a"
