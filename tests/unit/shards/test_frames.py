from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId
from cyxcloud.shards.frames import (
    CHUNK_BYTES,
    FRAME_BYTES,
    SEALED_FRAME_BYTES,
    TAG_BYTES,
    BlobCipher,
    FrameDamaged,
    sealed_size,
)
from tests.unit.shards.rig import DEK, some_bytes

BLOB = BlobId(0x0000_0007_0000_002A)


def opened(cipher: BlobCipher, chunk: int, sealed: bytes, size: int, frames: range) -> bytes:
    return bytes(cipher.open_frames(chunk, frames, size, lambda start, end: sealed[start:end]))


def test_golden_ciphertext_of_one_frame() -> None:
    """Format v1: a change of nonce, associated data or framing makes stored data unreadable."""
    sealed = BlobCipher(BLOB, DEK).seal(3, b"cyxcloud")
    assert sealed.hex() == "dddf6dffd7f45f4c7db4759c2c5a2d706cfd562b4cbdb35b"


def test_golden_ciphertext_of_several_frames() -> None:
    sealed = BlobCipher(BLOB, DEK).seal(9, bytes(range(256)) * 600)
    assert len(sealed) == 256 * 600 + 3 * TAG_BYTES
    assert hashlib.sha256(sealed).hexdigest() == "7caee06870eed289d544d8a63daeb5dc755a47efabec1adf410af38938fd9b60"


def test_nonce_is_chunk_then_frame_and_the_blob_is_authenticated() -> None:
    data = some_bytes(FRAME_BYTES + 5)
    sealed = BlobCipher(BLOB, DEK).seal(258, data)
    nonce = bytes.fromhex("00000102" + "0000000000000001")
    second = AESGCM(DEK).decrypt(nonce, sealed[SEALED_FRAME_BYTES:], bytes.fromhex("000000070000002a"))
    assert second == data[FRAME_BYTES:]


@pytest.mark.parametrize("size", [1, 15, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 5 * FRAME_BYTES, CHUNK_BYTES])
def test_sealed_opens_again(size: int) -> None:
    cipher, data = BlobCipher(BLOB, DEK), some_bytes(size)
    sealed = cipher.seal(0, memoryview(data))
    assert len(sealed) == sealed_size(size)
    assert opened(cipher, 0, sealed, size, range(-(-size // FRAME_BYTES))) == data
    assert cipher.open(0, 0, sealed[:SEALED_FRAME_BYTES]) == data[:FRAME_BYTES]


@given(st.integers(1, 6 * FRAME_BYTES), st.data())
def test_any_run_of_frames_opens_alone(size: int, data: st.DataObject) -> None:
    count = -(-size // FRAME_BYTES)
    first = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(first + 1, count))
    cipher, plaintext = BlobCipher(BLOB, DEK), some_bytes(size)
    part = opened(cipher, 2, cipher.seal(2, plaintext), size, range(first, stop))
    assert part == plaintext[first * FRAME_BYTES : stop * FRAME_BYTES]


def test_a_frame_does_not_open_elsewhere() -> None:
    size = 2 * FRAME_BYTES
    cipher = BlobCipher(BLOB, DEK)
    sealed = cipher.seal(0, some_bytes(size))
    swapped = sealed[SEALED_FRAME_BYTES:] + sealed[:SEALED_FRAME_BYTES]
    flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
    with pytest.raises(FrameDamaged):
        opened(cipher, 0, swapped, size, range(2))
    with pytest.raises(FrameDamaged):
        opened(cipher, 1, sealed, size, range(2))
    with pytest.raises(FrameDamaged):
        opened(cipher, 0, flipped, size, range(1))
    for other in (BlobCipher(BlobId(BLOB + 1), DEK), BlobCipher(BLOB, bytes(32))):
        with pytest.raises(FrameDamaged):
            other.open(0, 0, sealed[:SEALED_FRAME_BYTES])
