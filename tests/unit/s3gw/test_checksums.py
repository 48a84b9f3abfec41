from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3gw.body_errors import BodyError, BodyFault
from s3gw.checksums import (
    Checksum,
    ExpectedChecksum,
    combine,
    composite,
    compute,
    decode_digest,
    encode_digest,
    new_hasher,
    parse_checksum,
)

CRCS = [checksum for checksum in Checksum if checksum.is_crc]
QUICK = settings(max_examples=60, deadline=None)

# The check values of the CRC catalogue, and FIPS 180's, for the nine bytes "123456789".
CHECK_VALUES = {
    Checksum.CRC32: "cbf43926",
    Checksum.CRC32C: "e3069283",
    Checksum.CRC64NVME: "ae8b14860a799888",
    Checksum.SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    Checksum.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.mark.parametrize("checksum", Checksum)
def test_compute_check_value(checksum: Checksum) -> None:
    digest = compute(checksum, b"123456789")
    assert digest.hex() == CHECK_VALUES[checksum]
    assert len(digest) == checksum.digest_bytes


@QUICK
@given(st.sampled_from(Checksum), st.lists(st.binary(max_size=50), max_size=6))
def test_hasher_does_not_depend_on_the_pieces(checksum: Checksum, pieces: list[bytes]) -> None:
    hasher = new_hasher(checksum)
    for index, piece in enumerate(pieces):
        hasher.update((bytes, bytearray, memoryview)[index % 3](piece))
    assert hasher.digest() == compute(checksum, b"".join(pieces))


@QUICK
@given(st.sampled_from(CRCS), st.lists(st.binary(max_size=300), max_size=8))
@example(Checksum.CRC64NVME, [b"", b"a", b""])
def test_combine_equals_the_crc_of_the_whole(checksum: Checksum, parts: list[bytes]) -> None:
    digests = [(compute(checksum, part), len(part)) for part in parts]
    assert combine(checksum, digests) == compute(checksum, b"".join(parts))


def test_combine_of_the_largest_object_takes_no_time() -> None:
    # 10,000 parts of 5 GiB of zeros after one byte: the CRC of zeros moves with their number alone.
    zeros = bytes(4)
    whole = combine(Checksum.CRC32, [(zlib.crc32(b"a").to_bytes(4, "big"), 1), *[(zeros, 5 << 30)] * 10_000])
    at_once = combine(Checksum.CRC32, [(zlib.crc32(b"a").to_bytes(4, "big"), 1), (zeros, (5 << 30) * 10_000)])
    assert whole == at_once != zeros


def test_composite() -> None:
    parts = [hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()]
    expected = base64.b64encode(hashlib.sha256(parts[0] + parts[1]).digest()).decode()
    assert composite(Checksum.SHA256, iter(parts)) == expected + "-2"
    assert composite(Checksum.CRC32, [b"\0\0\0\1"]) == "VkPvig==-1"


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


def refusal(headers: dict[str, str | list[str]]) -> BodyError:
    with pytest.raises(BodyError) as refused:
        parse_checksum(headers)
    return refused.value


@pytest.mark.parametrize("checksum", Checksum)
def test_parse_checksum_header(checksum: Checksum) -> None:
    digest = compute(checksum, b"x")
    headers: dict[str, str | list[str]] = {checksum.header: encode_digest(digest)}
    assert parse_checksum(headers) == ExpectedChecksum(checksum, digest)
    headers["x-amz-sdk-checksum-algorithm"] = checksum.value.lower()
    assert parse_checksum(headers) == ExpectedChecksum(checksum, digest)


def test_parse_checksum_trailer() -> None:
    headers: dict[str, str | list[str]] = {
        "x-amz-trailer": " X-Amz-Checksum-CRC32 ",
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }
    assert parse_checksum(headers) == ExpectedChecksum(Checksum.CRC32, None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "COMPOSITE", "x-amz-checksum-mode": "ENABLED"},
    ],
)
def test_parse_checksum_none(headers: dict[str, str | list[str]]) -> None:
    assert parse_checksum(headers) is None


CRC = {"x-amz-checksum-crc32": "AAAAAA=="}


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        (CRC | {"x-amz-checksum-crc32c": "AAAAAA=="}, BodyFault.INVALID_REQUEST),
        (CRC | {"x-amz-trailer": "x-amz-checksum-crc32"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-trailer": "x-amz-checksum-crc32, "}, BodyFault.INVALID_REQUEST),
        ({"x-amz-trailer": ""}, BodyFault.INVALID_REQUEST),
        ({"x-amz-trailer": "content-type"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-trailer": "x-amz-checksum-xxhash64"}, BodyFault.NOT_IMPLEMENTED),
        ({"x-amz-checksum-sha512": "AA=="}, BodyFault.NOT_IMPLEMENTED),
        (CRC | {"x-amz-sdk-checksum-algorithm": "SHA1"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-checksum-crc32": ""}, BodyFault.INVALID_REQUEST),
        ({"x-amz-checksum-crc32": "AAAA"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-checksum-crc32": ["AAAAAA==", "AAAAAA=="]}, BodyFault.INVALID_REQUEST),
        ({"x-amz-checksum-sha256": "AAAAAA=="}, BodyFault.INVALID_REQUEST),
    ],
)
def test_parse_checksum_refused(headers: dict[str, str | list[str]], fault: BodyFault) -> None:
    assert refusal(headers).fault is fault


def test_parse_checksum_texts() -> None:
    assert refusal({"x-amz-checksum-crc32": "bad"}).message == "Value for x-amz-checksum-crc32 header is invalid."
    several = refusal({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": ""})
    assert several.message == "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
