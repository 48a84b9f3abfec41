"""The client's side for the tests here: botocore signs requests, and chunks are signed as the documentation says."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3gw.sigv4 import Anonymous, RequestView, Verified, Verifier, fold_headers

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "s3.amazonaws.com"
MOMENT = datetime(2013, 5, 24, tzinfo=UTC)
TIMESTAMP = "20130524T000000Z"
NOW_MS = int(MOMENT.timestamp()) * 1000
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY = hashlib.sha256(b"").hexdigest()


def lookup(access_key: str) -> str | None:
    return SECRET if access_key == ACCESS_KEY else None


def verify(view: RequestView, now_ms: int = NOW_MS) -> Verified | Anonymous:
    return Verifier().verify(view, lookup, now_ms)


def verified(view: RequestView, now_ms: int = NOW_MS) -> Verified:
    answer = verify(view, now_ms)
    assert isinstance(answer, Verified)
    return answer


def _sign(auth: Any, request: AWSRequest) -> None:
    """What botocore's add_auth does, but at a moment of our own."""
    request.context["timestamp"] = TIMESTAMP
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))


class _Streaming(S3SigV4Auth):  # type: ignore[misc]
    """Signs for a body that comes in signed chunks, which botocore never sends."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["declared"])


def by_header(
    method: str = "GET",
    path: str = "/bucket/key",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    secret: str = SECRET,
    region: str = "us-east-1",
    payload: str | None = None,
) -> RequestView:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
    request.context["declared"] = payload
    signer = S3SigV4Auth if payload is None else _Streaming
    _sign(signer(Credentials(ACCESS_KEY, secret), "s3", region), request)
    return RequestView(method, path, query, fold_headers([("Host", HOST), *request.headers.items()]))


def by_query(
    method: str = "GET",
    path: str = "/bucket/key",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    secret: str = SECRET,
    expires: int = 900,
) -> RequestView:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers or {}))
    _sign(S3SigV4QueryAuth(Credentials(ACCESS_KEY, secret), "s3", "us-east-1", expires=expires), request)
    signed_query = request.url.partition("?")[2]
    return RequestView(method, path, signed_query, fold_headers([("Host", HOST), *(headers or {}).items()]))


def signing_key(secret: str = SECRET) -> bytes:
    key = ("AWS4" + secret).encode()
    for step in SCOPE.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key


def _chain(kind: str, previous: str, *hashes: str) -> str:
    text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", TIMESTAMP, SCOPE, previous, *hashes])
    return hmac.new(signing_key(), text.encode(), hashlib.sha256).hexdigest()


def signed_chunks(seed: str, chunks: Iterable[bytes], trailers: Mapping[str, str] | None = None) -> bytes:
    """A body as STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or -TRAILER, has it."""
    wire = b""
    for chunk in [*chunks, b""]:
        seed = _chain("PAYLOAD", seed, EMPTY, hashlib.sha256(chunk).hexdigest())
        wire += f"{len(chunk):x};chunk-signature={seed}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if trailers:
        text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        wire += text.replace("\n", "\r\n").encode()
        signature = _chain("TRAILER", seed, hashlib.sha256(text.encode()).hexdigest())
        wire += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return wire + b"\r\n"


def unsigned_chunks(chunks: Iterable[bytes], trailers: Mapping[str, str] | None = None) -> bytes:
    wire = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    wire += b"0\r\n" + "".join(f"{name}:{value}\r\n" for name, value in (trailers or {}).items()).encode()
    return wire + b"\r\n"
