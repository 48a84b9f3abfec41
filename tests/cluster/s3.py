"""A small S3 client over bare sockets, signing by itself: independent of the product, and free to send what is wrong.

An answer is whole or it is `Broken`, which says that nobody knows whether the request was carried out.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote, unquote_to_bytes

REGION = "us-east-1"
TIMEOUT_SECONDS = 40.0
Query = tuple[tuple[str, str], ...]
Header = tuple[str, str]


class Broken(Exception):
    """No whole answer came: the request may have been carried out or not."""


@dataclass(frozen=True, slots=True)
class Key:
    access: str
    secret: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return self.status // 100 == 2

    @property
    def code(self) -> str:
        found = re.search(rb"<Error>.*<Code>([^<]*)</Code>", self.body, re.DOTALL)
        return found[1].decode() if found else ""

    def texts(self, tag: str) -> list[str]:
        """The text of each such element; enough for answers of a known shape."""
        return [found.decode() for found in re.findall(f"<{tag}>([^<]*)</{tag}>".encode(), self.body)]

    def text(self, tag: str) -> str:
        return self.texts(tag)[0]


@dataclass(frozen=True, slots=True)
class Request:
    """What goes over the wire, `path` and `query` as they stand there; Host and Content-Length are added when sent."""

    method: str
    path: str
    query: Query = ()
    headers: tuple[Header, ...] = ()
    body: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> str:
        return f"{self.path}?{query_text(self.query)}" if self.query else self.path

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    def with_header(self, name: str, value: str) -> Request:
        return replace(self.without_header(name), headers=(*self.without_header(name).headers, (name, value)))

    def without_header(self, name: str) -> Request:
        return replace(self, headers=tuple(each for each in self.headers if each[0].lower() != name.lower()))

    def with_parameter(self, name: str, value: str) -> Request:
        others = tuple(each for each in self.query if each[0] != name)
        return replace(self, query=(*others, (name, value)))

    def without_parameter(self, name: str) -> Request:
        return replace(self, query=tuple(each for each in self.query if each[0] != name))


def object_path(bucket: str, key: str | bytes) -> str:
    return f"/{bucket}/{quote(key, safe='/~')}"


def query_text(query: Query) -> str:
    return "&".join(f"{quote(name, '~')}={quote(value, '~')}" if value else quote(name, "~") for name, value in query)


# Signing


@dataclass(frozen=True, slots=True)
class Signing:
    """How to sign; the defaults are right, a test may make each of them wrong."""

    key: Key
    region: str = REGION
    service: str = "s3"
    terminator: str = "aws4_request"
    moment: datetime | None = None
    scope_date: str = ""
    unsigned: frozenset[str] = frozenset()
    expires: str = "900"

    @property
    def stamp(self) -> str:
        return (self.moment or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")

    def scope(self, stamp: str) -> str:
        return "/".join([self.scope_date or stamp[:8], self.region, self.service, self.terminator])

    def signature(self, stamp: str, text: str) -> str:
        key = f"AWS4{self.key.secret}".encode()
        for step in self.scope(stamp).split("/"):
            key = hmac.new(key, step.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def _sign(self, stamp: str, request: Request, host: str, names: Sequence[str], payload: str) -> str:
        values = {name.lower(): " ".join(value.split()) for name, value in request.headers} | {"host": host}
        pairs = sorted((quote(name, "~"), quote(value, "~")) for name, value in request.query)
        canonical = "\n".join(
            [
                request.method,
                quote(unquote_to_bytes(request.path), "/~"),
                "&".join(f"{name}={value}" for name, value in pairs),
                *(f"{name}:{values.get(name, '')}" for name in names),
                "",
                ";".join(names),
                payload,
            ]
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return self.signature(stamp, f"AWS4-HMAC-SHA256\n{stamp}\n{self.scope(stamp)}\n{digest}")

    def by_header(self, request: Request, endpoint: Endpoint, payload: str | None = None) -> Request:
        """`payload` is what x-amz-content-sha256 says, by default the body's hash."""
        stamp = self.stamp
        payload = payload or hashlib.sha256(request.body).hexdigest()
        request = request.with_header("x-amz-date", stamp).with_header("x-amz-content-sha256", payload)
        names = sorted({"host", *(name.lower() for name, _ in request.headers)} - self.unsigned)
        signature = self._sign(stamp, request, str(endpoint), names, payload)
        credential = f"{self.key.access}/{self.scope(stamp)}"
        return request.with_header(
            "Authorization",
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signature}",
        )

    def by_query(self, request: Request, endpoint: Endpoint) -> Request:
        stamp = self.stamp
        names = sorted({"host", *(name.lower() for name, _ in request.headers)} - self.unsigned)
        for name, value in {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.key.access}/{self.scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": self.expires,
            "X-Amz-SignedHeaders": ";".join(names),
        }.items():
            request = request.with_parameter(name, value)
        signature = self._sign(stamp, request, str(endpoint), names, "UNSIGNED-PAYLOAD")
        return request.with_parameter("X-Amz-Signature", signature)

    def chunk_signatures(self, stamp: str, seed: str, chunks: Iterable[bytes]) -> list[str]:
        """Of each chunk, and of the empty one that ends the body."""
        signatures = []
        empty = hashlib.sha256(b"").hexdigest()
        for chunk in (*chunks, b""):
            digest = hashlib.sha256(chunk).hexdigest()
            lines = ["AWS4-HMAC-SHA256-PAYLOAD", stamp, self.scope(stamp), seed, empty, digest]
            seed = self.signature(stamp, "\n".join(lines))
            signatures.append(seed)
        return signatures

    def trailer_signature(self, stamp: str, previous: str, trailer: str) -> str:
        digest = hashlib.sha256(trailer.encode()).hexdigest()
        lines = ["AWS4-HMAC-SHA256-TRAILER", stamp, self.scope(stamp), previous, digest]
        return self.signature(stamp, "\n".join(lines))


# Sending


class Connection:
    """One HTTP/1.1 connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Connection:
        return cls(*await asyncio.open_connection(endpoint.host, endpoint.port, limit=1 << 20))

    async def exchange(self, wire: bytes, body: bytes = b"", *, bodiless: bool = False) -> tuple[Answer, bool]:
        """The answer, and whether the connection may be used again."""
        self._writer.write(wire)
        if body:
            self._writer.write(body)
        sending = asyncio.create_task(self._drain())
        try:
            return await self._answer(bodiless=bodiless)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            return  # an answer may have come before: the reading side tells

    async def _answer(self, *, bodiless: bool) -> tuple[Answer, bool]:
        while True:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            status = int(first.split(" ")[1])
            if status != 100:
                break
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = b""
        if not bodiless and status not in (204, 304):
            body = await self._reader.readexactly(int(headers["content-length"]))
        return Answer(status, headers, body), headers.get("connection", "").lower() != "close"

    def close(self) -> None:
        self._writer.transport.abort()


class S3:
    """Calls a store. Connections are kept; one that failed is dropped, never retried: a test wants to know."""

    def __init__(self, endpoint: Endpoint, key: Key) -> None:
        self.endpoint = endpoint
        self.signing = Signing(key)
        self._free: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()
        await asyncio.sleep(0)

    def drop(self) -> None:
        """Forget the connections: those to a process that was killed are of no use."""
        for connection in self._free:
            connection.close()
        self._free.clear()

    async def send(self, request: Request, *, seconds: float = TIMEOUT_SECONDS) -> Answer:
        """As it stands, signed or not."""
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        names = {name.lower() for name, _ in request.headers}
        if "host" not in names:
            lines.append(f"Host: {self.endpoint}")
        if not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(request.body)}")
        lines += [f"{name}: {value}" for name, value in request.headers]
        wire = "\r\n".join([*lines, "", ""]).encode()
        try:
            async with asyncio.timeout(seconds), self._connection() as connection:
                answer, keep = await connection.exchange(wire, request.body, bodiless=request.method == "HEAD")
                if keep:
                    self._free.append(connection)
                else:
                    connection.close()
                return answer
        except (OSError, EOFError, TimeoutError) as error:
            raise Broken(f"{request.method} {request.path[:80]}: {error!r}") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = self._free.pop() if self._free else await Connection.open(self.endpoint)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        *,
        payload: str | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Answer:
        request = Request(method, path, query, tuple((headers or {}).items()), body)
        return await self.send(self.signing.by_header(request, self.endpoint, payload), seconds=seconds)

    async def must(
        self, method: str, path: str, body: bytes = b"", query: Query = (), headers: Mapping[str, str] | None = None
    ) -> Answer:
        """As call, where nothing else than success will do."""
        answer = await self.call(method, path, body, query, headers)
        assert answer.ok, (method, path, answer.status, answer.body[:500])
        return answer

    # What tests do most

    async def put(self, bucket: str, key: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.must("PUT", object_path(bucket, key), body, headers=headers)

    async def get(self, bucket: str, key: str) -> bytes:
        return (await self.must("GET", object_path(bucket, key))).body

    async def begin_upload(self, bucket: str, key: str) -> str:
        answer = await self.must("POST", object_path(bucket, key), query=(("uploads", ""),))
        return answer.text("UploadId")

    async def put_part(self, bucket: str, key: str, upload: str, number: int, body: bytes) -> str:
        query = (("partNumber", str(number)), ("uploadId", upload))
        return (await self.must("PUT", object_path(bucket, key), body, query)).headers["etag"]

    async def keys(self, bucket: str, **parameters: str) -> list[str]:
        """Every key as the listing gives it (url-encoded where that is asked for), all pages."""
        found: list[str] = []
        token = ""
        while True:
            query: Query = (("list-type", "2"), *parameters.items())
            if token:
                query = (*query, ("continuation-token", token))
            answer = await self.must("GET", f"/{bucket}", query=query)
            found += answer.texts("Key")
            if answer.text("IsTruncated") == "false":
                return found
            token = answer.text("NextContinuationToken")


def completion(etags: Iterable[str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, start=1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
