"""Amazon's own examples, from "Signature Calculations for the Authorization Header", "Query Parameters" and "Chunks"."""

from __future__ import annotations

import hashlib

import pytest

from s3gw.body import plan_body
from s3gw.sigv4 import PayloadKind, RequestView, SignatureError, SignatureFault, Verified, fold_headers
from tests.unit.s3gw.sigv4.signer import ACCESS_KEY, EMPTY, NOW_MS, verified

BUCKET_HOST = "examplebucket.s3.amazonaws.com"
WELCOME = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
CREDENTIAL = f"Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request"


def example(method: str, path: str, query: str, signature: str, headers: dict[str, str]) -> RequestView:
    given = {"host": BUCKET_HOST, "x-amz-date": "20130524T000000Z", **headers}
    signed = ";".join(sorted(name for name in given if name != "content-length"))
    authorization = f"AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders={signed},Signature={signature}"
    return RequestView(method, path, query, fold_headers([*given.items(), ("Authorization", authorization)]))


EXAMPLES = {
    "get object": example(
        "GET",
        "/test.txt",
        "",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY},
    ),
    "put object": example(
        "PUT",
        "/test$file.text",
        "",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-content-sha256": WELCOME,
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
    ),
    "get bucket lifecycle": example(
        "GET",
        "/",
        "lifecycle",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        {"x-amz-content-sha256": EMPTY},
    ),
    "list objects": example(
        "GET",
        "/",
        "max-keys=2&prefix=J",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        {"x-amz-content-sha256": EMPTY},
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_verify_published_example(name: str) -> None:
    answer = verified(EXAMPLES[name])
    assert (answer.access_key, answer.presigned) == (ACCESS_KEY, False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_verify_published_example_of_another_method_fails(name: str) -> None:
    view = EXAMPLES[name]
    with pytest.raises(SignatureError) as refused:
        verified(RequestView("DELETE", view.raw_path, view.raw_query, view.headers))
    assert refused.value.fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH


PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def test_verify_published_presigned_url() -> None:
    view = RequestView("GET", "/test.txt", PRESIGNED, {"host": BUCKET_HOST})
    answer = verified(view, NOW_MS + 86_399_000)
    assert answer.presigned
    assert answer.payload.kind is PayloadKind.UNSIGNED


CHUNK_HEADERS = {
    "content-encoding": "aws-chunked",
    "content-length": "66824",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "x-amz-decoded-content-length": "66560",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
}
FIRST = b"a" * 65536
SECOND = b"a" * 1024


def chunked_request() -> RequestView:
    given = {"host": "s3.amazonaws.com", "x-amz-date": "20130524T000000Z", **CHUNK_HEADERS}
    authorization = (
        f"AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders={';'.join(sorted(given))},"
        "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    )
    headers = fold_headers([*given.items(), ("Authorization", authorization)])
    return RequestView("PUT", "/examplebucket/chunkObject.txt", "", headers)


def trailer_request() -> RequestView:
    headers = CHUNK_HEADERS | {
        "host": "s3.amazonaws.com",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32c",
    }
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    return example("PUT", "/examplebucket/chunkObject.txt", "", seed, headers)


def wire(signatures: tuple[str, str, str], trailer: bytes = b"") -> bytes:
    sizes = [
        f"{size};chunk-signature={one}\r\n".encode() for size, one in zip((10000, 400, 0), signatures, strict=True)
    ]
    return sizes[0] + FIRST + b"\r\n" + sizes[1] + SECOND + b"\r\n" + sizes[2] + trailer + b"\r\n"


SIGNED_WIRE = wire(
    (
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    )
)
TRAILER_SIGNATURE = b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
TRAILER_CHUNKS = (
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)
TRAILER_WIRE = wire(TRAILER_CHUNKS, b"x-amz-checksum-crc32c:sOO8/Q==\r\n" + TRAILER_SIGNATURE)
# minio's client writes a bare newline and a blank line before the signature.
MINIO_TRAILER_WIRE = wire(TRAILER_CHUNKS, b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n" + TRAILER_SIGNATURE)


def read_body(view: RequestView, body: bytes) -> tuple[bytes, bytes | None]:
    auth = verified(view)
    assert isinstance(auth, Verified)
    plan = plan_body(view.headers, auth)
    decoder, verifier = plan.decoder(), plan.verifier()
    content = b"".join(decoder.feed(body))
    verifier.update(content)
    digests = verifier.finish(decoder.finish())
    assert digests.size == plan.size == len(content)
    return content, digests.digest


def test_body_published_signed_chunks() -> None:
    assert read_body(chunked_request(), SIGNED_WIRE) == (FIRST + SECOND, None)
    assert len(SIGNED_WIRE) == 66824


@pytest.mark.parametrize("body", [TRAILER_WIRE, MINIO_TRAILER_WIRE])
def test_body_published_signed_trailer(body: bytes) -> None:
    content, digest = read_body(trailer_request(), body)
    assert content == FIRST + SECOND
    assert digest == bytes.fromhex("b0e3bcfd")


@pytest.mark.parametrize("position", [0x20, 100, 65700, 66000, 66800])
def test_body_published_signed_chunks_altered(position: int) -> None:
    altered = bytearray(SIGNED_WIRE)
    altered[position] = ord("1") if altered[position] == ord("0") else ord("0")
    with pytest.raises(SignatureError) as refused:
        read_body(chunked_request(), bytes(altered))
    assert refused.value.fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH
