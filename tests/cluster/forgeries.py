"""Makes requests that are wrong in one way each, out of right ones (R23); the ways themselves are forgery_cases.

A `Case` says how a request is made wrong: by signing it wrongly (`sign`), by changing it after it was signed (`spoil`),
or by changing its chunked body (`chunks`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.running import ROOT
from tests.cluster.s3 import Endpoint, Request, Signing

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = f"{SIGNED_CHUNKS}-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNK_BYTES = 17_000
Spoil = Callable[[Request], Request]


@dataclass(slots=True)
class Framed:
    """A chunked body in its pieces, each to be made wrong; `trailer` and `end` are its last lines as sent."""

    chunks: list[bytes]
    signatures: list[str]
    trailer: str
    end: str = "\r\n"
    sizes: list[str] = field(default_factory=list)

    def wire(self) -> bytes:
        body = b""
        for at, chunk in enumerate([*self.chunks, b""]):
            size = self.sizes[at] if at < len(self.sizes) else f"{len(chunk):x}"
            signature = f";chunk-signature={self.signatures[at]}" if at < len(self.signatures) else ""
            body += f"{size}{signature}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
        return body + self.trailer.encode() + self.end.encode()


def nothing(framed: Framed) -> None:
    del framed


def same(request: Request) -> Request:
    return request


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    sign: dict[str, Any] = field(default_factory=dict)
    before: Spoil = same
    spoil: Spoil = same
    chunks: Callable[[Framed], None] = nothing
    also: frozenset[int] = frozenset()  # a status that says as well that the request was not carried out


# Where the forgery asks for what an operation does not offer, that may be said before the signature is looked at.
UNBUILT = frozenset({501})
NO_LENGTH = frozenset({411})


def crc32_of(body: bytes) -> str:
    import zlib

    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


# The ways to authenticate: each makes a request, right but for what the case makes wrong.


def by_header(request: Request, case: Case, endpoint: Endpoint) -> Request:
    return case.spoil(signing(case).by_header(case.before(request), endpoint))


def by_query(request: Request, case: Case, endpoint: Endpoint) -> Request:
    return case.spoil(signing(case).by_query(case.before(request), endpoint))


def anonymous(request: Request, case: Case, endpoint: Endpoint) -> Request:
    del endpoint
    return case.spoil(case.before(request))


def by_signed_chunks(request: Request, case: Case, endpoint: Endpoint) -> Request:
    return _chunked(request, case, endpoint, SIGNED_CHUNKS)


def by_signed_trailer(request: Request, case: Case, endpoint: Endpoint) -> Request:
    return _chunked(request, case, endpoint, SIGNED_TRAILER)


def by_unsigned_trailer(request: Request, case: Case, endpoint: Endpoint) -> Request:
    return _chunked(request, case, endpoint, UNSIGNED_TRAILER)


def _chunked(request: Request, case: Case, endpoint: Endpoint, kind: str) -> Request:
    plain, signer = request.body, signing(case)
    request = request.with_header("x-amz-decoded-content-length", str(len(plain)))
    request = request.with_header("Content-Encoding", "aws-chunked")
    if kind is not SIGNED_CHUNKS:
        request = request.with_header("x-amz-trailer", "x-amz-checksum-crc32")
    signed = signer.by_header(case.before(request), endpoint, kind)
    chunks = [plain[at : at + CHUNK_BYTES] for at in range(0, len(plain), CHUNK_BYTES)]
    signatures: list[str] = []
    trailer = "" if kind is SIGNED_CHUNKS else f"x-amz-checksum-crc32:{crc32_of(plain)}\r\n"
    if kind is not UNSIGNED_TRAILER:
        seed = (signed.header("Authorization") or "").rpartition("Signature=")[2]
        stamp = signed.header("x-amz-date") or ""
        signatures = signer.chunk_signatures(stamp, seed, chunks)
        if trailer:
            last = signer.trailer_signature(stamp, signatures[-1], trailer.replace("\r\n", "\n"))
            trailer += f"x-amz-trailer-signature:{last}\r\n"
    framed = Framed(chunks, signatures, trailer)
    case.chunks(framed)
    return case.spoil(replace(signed, body=framed.wire()))


def signing(case: Case) -> Signing:
    return replace(Signing(ROOT), **case.sign)


# Small changes, to be combined


def header(name: str, value: str) -> Spoil:
    return lambda request: request.with_header(name, value)


def no_header(name: str) -> Spoil:
    return lambda request: request.without_header(name)


def parameter(name: str, value: str) -> Spoil:
    return lambda request: request.with_parameter(name, value)


def no_parameter(name: str) -> Spoil:
    return lambda request: request.without_parameter(name)


def authorization(pattern: str, replacement: str) -> Spoil:
    """Change the Authorization header; the pattern must be there."""

    def change(request: Request) -> Request:
        text, count = re.subn(pattern, replacement, request.header("Authorization") or "")
        assert count, pattern
        return request.with_header("Authorization", text)

    return change


def twice(name: str) -> Spoil:
    return lambda request: replace(request, headers=(*request.headers, (name, request.header(name) or "")))


def flipped_hex(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def bad_signature(request: Request) -> Request:
    return request.with_header("Authorization", flipped_hex(request.header("Authorization") or ""))


def bad_query_signature(request: Request) -> Request:
    value = dict(request.query)["X-Amz-Signature"]
    return request.with_parameter("X-Amz-Signature", flipped_hex(value))


def presigned_as_well(request: Request) -> Request:
    return replace(Signing(ROOT).by_query(request, Endpoint("127.0.0.1", 1)), headers=request.headers)


def other_key(request: Request) -> Request:
    return replace(request, path=request.path + "x")


def other_bucket(request: Request) -> Request:
    _, bucket, key = request.path.split("/", 2)
    return replace(request, path=f"/{bucket}-other/{key}")


def doubled_slash(request: Request) -> Request:
    _, bucket, key = request.path.split("/", 2)
    return replace(request, path=f"/{bucket}//{key}")


def ago(**how_long: float) -> dict[str, Any]:
    return {"moment": datetime.now(UTC) - timedelta(**how_long)}


def body(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda request: replace(request, body=change(request.body))
