from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyxcloud.core.checksums import Algorithm, combine, composite, compute, decode_digest, encode_digest, new_hasher

CRCS = [algorithm for algorithm in Algorithm if algorithm.is_crc]
QUICK = settings(max_examples=60, deadline=None)

# The check values of the CRC catalogue, and FIPS 180's, for the nine bytes "123456789".
CHECK_VALUES = {
    Algorithm.CRC32: "cbf43926",
    Algorithm.CRC32C: "e3069283",
    Algorithm.CRC64NVME: "ae8b14860a799888",
    Algorithm.SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    Algorithm.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_compute_check_value(algorithm: Algorithm) -> None:
    digest = compute(algorithm, b"123456789")
    assert digest.hex() == CHECK_VALUES[algorithm]
    assert len(digest) == algorithm.digest_bytes


@QUICK
@given(st.sampled_from(Algorithm), st.lists(st.binary(max_size=50), max_size=6))
def test_hasher_does_not_depend_on_the_pieces(algorithm: Algorithm, pieces: list[bytes]) -> None:
    hasher = new_hasher(algorithm)
    for index, piece in enumerate(pieces):
        hasher.update((bytes, bytearray, memoryview)[index % 3](piece))
    assert hasher.digest() == compute(algorithm, b"".join(pieces))


@QUICK
@given(st.sampled_from(CRCS), st.lists(st.binary(max_size=300), max_size=8))
@example(Algorithm.CRC64NVME, [b"", b"a", b""])
def test_combine_equals_the_crc_of_the_whole(algorithm: Algorithm, parts: list[bytes]) -> None:
    digests = [(compute(algorithm, part), len(part)) for part in parts]
    assert combine(algorithm, digests) == compute(algorithm, b"".join(parts))


def test_combine_of_the_largest_object_takes_no_time() -> None:
    # 10,000 parts of 5 GiB of zeros after one byte: the CRC of zeros moves with their number alone.
    zeros = bytes(4)
    whole = combine(Algorithm.CRC32, [(zlib.crc32(b"a").to_bytes(4, "big"), 1), *[(zeros, 5 << 30)] * 10_000])
    at_once = combine(Algorithm.CRC32, [(zlib.crc32(b"a").to_bytes(4, "big"), 1), (zeros, (5 << 30) * 10_000)])
    assert whole == at_once != zeros


def test_composite() -> None:
    parts = [hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()]
    expected = base64.b64encode(hashlib.sha256(parts[0] + parts[1]).digest()).decode()
    assert composite(Algorithm.SHA256, iter(parts)) == expected + "-2"
    assert composite(Algorithm.CRC32, [b"\0\0\0\1"]) == "VkPvig==-1"


@QUICK
@given(st.binary(max_size=40))
def test_decode_digest_reverses_encode(digest: bytes) -> None:
    assert decode_digest(encode_digest(digest), len(digest)) == digest
    assert decode_digest(encode_digest(digest), len(digest) + 1) is None


@pytest.mark.parametrize(
    "text", ["AAAAAA", "AAAAAA=", "AAAAAA===", "AAAA AA==", "AAAAAA==\n", "=AAAAA==", "ÄAAAAA==", "AAAAAA==AA"]
)
def test_decode_digest_is_strict(text: str) -> None:
    assert decode_digest(text, 4) is None
