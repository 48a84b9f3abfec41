"""What the tests of operations say in common: refusals, requests that boto3 would not send, bytes to store."""

from __future__ import annotations

import http.client
import random
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cluster.inprocess import ACCESS, SECRET, InProcessStore
from tests.cluster.s3 import Endpoint, Key, Query, Request, Signing

MIB = 1 << 20
PART = 5 * MIB
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_NOISE = random.Random(7).randbytes(PART + 1)


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that repeat at no block or chunk boundary; another seed gives others."""
    noise = _NOISE[seed % 97 :]
    return (noise * (size // len(noise) + 1))[:size]


@contextmanager
def refused(code: str, status: int) -> Iterator[None]:
    """HEAD has no body, so of it boto3 knows the status only; give that as the code."""
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


def raw(
    store: InProcessStore,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    query: Query = (),
    signed: bool = True,
    payload: str | None = None,
) -> Answer:
    """A request as it stands, signed by the tests' own signer."""
    endpoint = Endpoint("127.0.0.1", store.port)
    request = Request(method, path, query, tuple((headers or {}).items()), body)
    if signed:
        request = Signing(Key(ACCESS, SECRET)).by_header(request, endpoint, payload)
    with closing(http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=20)) as connection:
        connection.putrequest(method, request.target, skip_accept_encoding=True)
        given = dict(request.headers)
        if "transfer-encoding" not in given:
            given.setdefault("content-length", str(len(body)))
        for name, value in given.items():
            connection.putheader(name, value.encode())
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def trailing(body: bytes, name: str, value: str) -> tuple[bytes, dict[str, str]]:
    """A body in aws-chunked framing with a checksum in its trailer, and the headers that announce it."""
    framed = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(body)),
        "x-amz-trailer": name,
    }
    return framed + f"0\r\n{name}:{value}\r\n\r\n".encode(), headers


def keys_of(listing: Any) -> list[str]:
    return [each["Key"] for each in listing.get("Contents", [])]


def prefixes_of(listing: Any) -> list[str]:
    return [each["Prefix"] for each in listing.get("CommonPrefixes", [])]
