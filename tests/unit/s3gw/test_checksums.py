from __future__ import annotations

import pytest

from cyxcloud.core.checksums import Algorithm, compute, encode_digest
from s3gw.body_errors import BodyError, BodyFault
from s3gw.checksums import ExpectedChecksum, header_name, parse_checksum


def refusal(headers: dict[str, str | list[str]]) -> BodyError:
    with pytest.raises(BodyError) as refused:
        parse_checksum(headers)
    return refused.value


@pytest.mark.parametrize("algorithm", Algorithm)
def test_parse_checksum_header(algorithm: Algorithm) -> None:
    digest = compute(algorithm, b"x")
    headers: dict[str, str | list[str]] = {header_name(algorithm): encode_digest(digest)}
    assert parse_checksum(headers) == ExpectedChecksum(algorithm, digest)
    headers["x-amz-sdk-checksum-algorithm"] = algorithm.value.lower()
    assert parse_checksum(headers) == ExpectedChecksum(algorithm, digest)


def test_parse_checksum_trailer() -> None:
    headers: dict[str, str | list[str]] = {
        "x-amz-trailer": " X-Amz-Checksum-CRC32 ",
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }
    assert parse_checksum(headers) == ExpectedChecksum(Algorithm.CRC32, None)


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
        ({"x-amz-checksum-crc32": ""}, BodyFault.BAD_DIGEST),
        ({"x-amz-checksum-crc32": "AAAA"}, BodyFault.BAD_DIGEST),
        ({"x-amz-checksum-crc32": ["AAAAAA==", "AAAAAA=="]}, BodyFault.BAD_DIGEST),
        ({"x-amz-checksum-sha256": "AAAAAA=="}, BodyFault.BAD_DIGEST),
    ],
)
def test_parse_checksum_refused(headers: dict[str, str | list[str]], fault: BodyFault) -> None:
    assert refusal(headers).fault is fault


def test_parse_checksum_texts() -> None:
    assert refusal({"x-amz-checksum-crc32": "bad"}).message == "Value for x-amz-checksum-crc32 header is invalid."
    several = refusal({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": ""})
    assert several.message == "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
