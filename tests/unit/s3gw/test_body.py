from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from cyxcloud.core.checksums import Algorithm, compute, encode_digest
from s3gw.body import BodyDigests, BodyVerifier, plan_body, stored_content_encoding
from s3gw.body_errors import BodyError, BodyFault
from s3gw.checksums import ExpectedChecksum, header_name
from s3gw.sigv4 import Anonymous, Claim, RequestView, SignatureError, SignatureFault, Verified, Verifier
from s3gw.sigv4.signing import SigningKey, string_to_sign
from tests.unit.s3gw.sigv4.signer import (
    NOW_MS,
    SCOPE,
    TIMESTAMP,
    by_header,
    by_query,
    signed_chunks,
    signing_key,
    unsigned_chunks,
    verified,
    verify,
)

Headers = Mapping[str, str | list[str]]

BODY = b"Welcome to Amazon S3."
MD5 = encode_digest(hashlib.md5(BODY).digest())
OTHER_MD5 = encode_digest(hashlib.md5(b"other").digest())
CRC = encode_digest(compute(Algorithm.CRC32, BODY))
STREAMING = {
    "Content-Encoding": "aws-chunked",
    "x-amz-decoded-content-length": str(len(BODY)),
}


def read(view: RequestView, wire: bytes, *, default: Algorithm | None = None) -> BodyDigests:
    plan = plan_body(view.headers, verify(view))
    decoder, verifier = plan.decoder(), plan.verifier(default)
    for start in range(0, len(wire), 7):
        for piece in decoder.feed(wire[start : start + 7]):
            verifier.update(piece)
    return verifier.finish(decoder.finish())


def refusal(view: RequestView, wire: bytes) -> BodyError | SignatureError:
    with pytest.raises((BodyError, SignatureError)) as refused:
        read(view, wire)
    assert isinstance(refused.value, (BodyError, SignatureError))
    return refused.value


def plain(headers: Mapping[str, str] | None = None, body: bytes = BODY) -> RequestView:
    return by_header("PUT", headers={"Content-Length": str(len(body)), **(headers or {})}, body=body)


def streaming(kind: str, headers: Mapping[str, str] | None = None) -> RequestView:
    return by_header("PUT", headers={**STREAMING, **(headers or {})}, payload=f"STREAMING-{kind}")


def test_body_hashed() -> None:
    digests = read(plain({"Content-MD5": MD5, "x-amz-checksum-crc32": CRC}), BODY)
    assert digests == BodyDigests(
        len(BODY), hashlib.md5(BODY).digest(), Algorithm.CRC32, compute(Algorithm.CRC32, BODY)
    )


@pytest.mark.parametrize("algorithm", Algorithm)
def test_body_every_checksum(algorithm: Algorithm) -> None:
    expected = compute(algorithm, BODY)
    assert read(plain({header_name(algorithm): encode_digest(expected)}), BODY).digest == expected
    wrong = plain({header_name(algorithm): encode_digest(bytes(len(expected)))})
    error = refusal(wrong, BODY)
    assert error.fault is BodyFault.BAD_DIGEST
    assert error.message == f"The {algorithm.value} you specified did not match the calculated checksum."


@pytest.mark.parametrize("default", [None, *Algorithm])
def test_body_default_checksum(default: Algorithm | None) -> None:
    digests = read(plain(), BODY, default=default)
    assert digests.checksum is default
    assert digests.digest == (compute(default, BODY) if default else None)


def test_body_altered() -> None:
    error = refusal(plain({"Content-MD5": MD5}), b"Welcome to Amazon S4.")
    assert error.fault is BodyFault.CONTENT_SHA256_MISMATCH
    assert error.fields["ClientComputedContentSHA256"] == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize("wire", [b"", BODY[:-1], BODY + b"!"])
def test_body_of_another_length(wire: bytes) -> None:
    assert refusal(plain(), wire).fault is BodyFault.INCOMPLETE_BODY


def test_body_of_unknown_length() -> None:
    view = by_header("PUT", headers={"Transfer-Encoding": "chunked"}, body=BODY)
    assert plan_body(view.headers, verify(view)).size is None
    assert read(view, BODY).size == len(BODY)


def test_body_md5_mismatch() -> None:
    error = refusal(plain({"Content-MD5": OTHER_MD5}), BODY)
    assert (error.fault, error.fields["CalculatedDigest"]) == (BodyFault.BAD_DIGEST, MD5)


@pytest.mark.parametrize("text", ["", "YWJyYWNhZGFicmE=", "nonsense", MD5 + "=", MD5 + " "])
def test_plan_md5_invalid(text: str) -> None:
    view = RequestView("PUT", "/b/k", "", {"content-md5": text})
    with pytest.raises(BodyError) as refused:
        plan_body(view.headers, verify(view))
    assert refused.value.fault is BodyFault.INVALID_DIGEST


@pytest.mark.parametrize("length", ["-1", "+1", "1e3", "", "²", "9" * 19])
def test_plan_length_invalid(length: str) -> None:
    view = RequestView("PUT", "/b/k", "", {"content-length": length})
    with pytest.raises(BodyError) as refused:
        plan_body(view.headers, verify(view))
    assert refused.value.fault is BodyFault.INVALID_ARGUMENT


def test_plan_checksum_that_is_not_the_body_s() -> None:
    view = by_header("POST", query="uploadId=a", headers={"x-amz-checksum-crc32": CRC}, body=b"<xml/>")
    assert plan_body(view.headers, verify(view), checksum_is_body=False).checksum is None


def seed(view: RequestView) -> str:
    return verified(view).signature


@pytest.mark.parametrize("presigned", ["header", "query"])
def test_body_signed_chunks(presigned: str) -> None:
    kind = "AWS4-HMAC-SHA256-PAYLOAD"
    view = streaming(kind) if presigned == "header" else presigned_streaming(kind)
    assert read(view, signed_chunks(seed(view), [BODY])).md5 == hashlib.md5(BODY).digest()
    assert refusal(view, signed_chunks("0" * 64, [BODY])).fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH


def presigned_streaming(kind: str) -> RequestView:
    # The payload's kind stands in the URL, the frame's headers are signed with it.
    headers = {"x-amz-decoded-content-length": str(len(BODY))}
    view = by_query("PUT", "/bucket/key", f"X-Amz-Content-Sha256=STREAMING-{kind}", headers)
    return resigned(view, f"STREAMING-{kind}")


def resigned(view: RequestView, payload: str) -> RequestView:
    """botocore signs every presigned URL as unsigned; this signs what the canonical request really ends with."""
    claim = Verifier().claim(view, NOW_MS)
    assert isinstance(claim, Claim)
    assert claim.canonical_request.endswith(payload)
    signature = SigningKey(signing_key()).sign(string_to_sign(TIMESTAMP, SCOPE, claim.canonical_request))
    return RequestView(view.method, view.raw_path, view.raw_query.replace(claim.signature, signature), view.headers)


def test_body_signed_trailer() -> None:
    view = streaming("AWS4-HMAC-SHA256-PAYLOAD-TRAILER", {"x-amz-trailer": "x-amz-checksum-crc32"})
    assert read(view, signed_chunks(seed(view), [BODY], {"x-amz-checksum-crc32": CRC})).checksum is Algorithm.CRC32
    wrong = signed_chunks(seed(view), [BODY], {"x-amz-checksum-crc32": "AAAAAA=="})
    assert refusal(view, wrong).fault is BodyFault.BAD_DIGEST


def unsigned_trailer() -> RequestView:
    return streaming("UNSIGNED-PAYLOAD-TRAILER", {"x-amz-trailer": "x-amz-checksum-crc32"})


def test_body_unsigned_trailer() -> None:
    assert read(unsigned_trailer(), unsigned_chunks([BODY], {"x-amz-checksum-crc32": CRC})).checksum is Algorithm.CRC32


@pytest.mark.parametrize(
    ("content", "value", "fault"),
    [
        (BODY, "AAAAAA==", BodyFault.BAD_DIGEST),
        (b"welcome to Amazon S3.", CRC, BodyFault.BAD_DIGEST),
        (BODY[1:], CRC, BodyFault.INCOMPLETE_BODY),
        (BODY, "nonsense", BodyFault.BAD_DIGEST),
        (BODY, "AA==", BodyFault.BAD_DIGEST),
    ],
)
def test_body_unsigned_trailer_altered(content: bytes, value: str, fault: BodyFault) -> None:
    assert refusal(unsigned_trailer(), unsigned_chunks([content], {"x-amz-checksum-crc32": value})).fault is fault


ANONYMOUS = {
    "content-encoding": "gzip, aws-chunked",
    "x-amz-decoded-content-length": str(len(BODY)),
    "x-amz-trailer": "x-amz-checksum-crc32",
}


def test_body_framed_by_a_client_that_does_not_sign() -> None:
    view = RequestView("PUT", "/bucket/key", "", ANONYMOUS)
    assert isinstance(verify(view), Anonymous)
    assert read(view, unsigned_chunks([BODY], {"x-amz-checksum-crc32": CRC})).size == len(BODY)


def test_body_that_only_says_aws_chunked_is_plain() -> None:
    view = plain({"Content-Encoding": "aws-chunked"})
    assert read(view, BODY).size == len(BODY)


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-trailer": "x-amz-checksum-crc32", "content-encoding": "aws-chunked"}, BodyFault.INVALID_REQUEST),
        ({"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, BodyFault.MISSING_CONTENT_LENGTH),
    ],
)
def test_plan_unfit_headers(headers: Headers, fault: BodyFault) -> None:
    view = RequestView("PUT", "/bucket/key", "", headers)
    with pytest.raises(BodyError) as refused:
        plan_body(view.headers, verify(view))
    assert refused.value.fault is fault


def test_plan_trailer_on_chunks_without_one() -> None:
    view = streaming("AWS4-HMAC-SHA256-PAYLOAD", {"x-amz-trailer": "x-amz-checksum-crc32"})
    answer = verify(view)
    assert isinstance(answer, Verified)
    with pytest.raises(BodyError) as refused:
        plan_body(view.headers, answer)
    assert refused.value.fault is BodyFault.INVALID_REQUEST


def test_verifier_hashes_sha256_once() -> None:
    digest = hashlib.sha256(BODY).digest()
    verifier = BodyVerifier(sha256=digest, expected=ExpectedChecksum(Algorithm.SHA256, digest))
    assert len(verifier._hashers) == 2
    verifier.update(bytearray(BODY))
    assert verifier.finish({}).digest == digest


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, None),
        ("", ""),
        ("gzip", "gzip"),
        ("aws-chunked", None),
        ("gzip, aws-chunked", "gzip"),
        ("aws-chunked,gzip,br", "gzip,br"),
        ("deflate, gzip,aws-chunked", "deflate, gzip"),
        ("aws-chunked, deflate, gzip", "deflate, gzip"),
        ("aws-chunked, aws-chunked", None),
    ],
)
def test_stored_content_encoding(given: str | None, stored: str | None) -> None:
    assert stored_content_encoding(given) == stored
