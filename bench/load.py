"""A small load generator: presigned requests over kept connections, one thread each, every answer checked.

It measures what the server spends, not how fast the generator is: the server's CPU over all its processes, from /proc.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import itertools
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import psutil

EXPIRES_SECONDS = 86400
POOL = os.urandom(64 << 20)  # bodies are slices of this: random, so that nothing compresses them


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # with its query, signed
    body: memoryview | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    length: int | None = None  # bytes that the answer must have


class Target:
    """An endpoint with a key; makes presigned paths."""

    def __init__(self, url: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._netloc = parts.netloc
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._scope = f"{self._stamp[:8]}/{region}/s3/aws4_request"
        self._credential = f"{access_key}/{self._scope}"
        self._key = ("AWS4" + secret_key).encode()
        for part in self._scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")

    def path(self, method: str, path: str, **query: object) -> str:
        query |= {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": self._credential,
            "X-Amz-Date": self._stamp,
            "X-Amz-Expires": EXPIRES_SECONDS,
            "X-Amz-SignedHeaders": "host",
        }
        text = "&".join(f"{quote(name, '')}={quote(str(value), '')}" for name, value in sorted(query.items()))
        canonical = f"{method}\n{quote(path)}\n{text}\nhost:{self._netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self._stamp}\n{self._scope}\n{hashed}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return f"{quote(path)}?{text}&X-Amz-Signature={signature}"

    def request(
        self, method: str, path: str, body: memoryview | bytes = b"", *, length: int | None = None, **query: object
    ) -> Request:
        return Request(method, self.path(method, path, **query), body, length=length)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=300)

    def call(self, method: str, path: str, body: bytes = b"", **query: object) -> bytes:
        """One request beside the measuring; its answer's body."""
        connection = self.connect()
        try:
            connection.request(method, self.path(method, path, **query), body)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text[:300]!r}"
        return text


@dataclass(frozen=True, slots=True)
class Figures:
    """One phase: operations done, seconds of wall time and of the server's CPU, latencies in milliseconds."""

    name: str
    operations: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    errors: int = 0
    error: str = ""  # the first

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds / self.operations * 1000


def cpu_of(pid: int) -> float:
    """User and system seconds of a process and all its descendants."""
    parent = psutil.Process(pid)
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def measure(
    name: str, target: Target, pid: int, requests: Iterator[Request], *, clients: int, seconds: float
) -> Figures:
    """Replays requests from so many connections until the time is over or none is left."""
    lock = threading.Lock()
    latencies: list[float] = []
    failures: list[str] = []
    cpu, start = cpu_of(pid), time.perf_counter()
    stop = start + seconds

    def client() -> None:
        connection = target.connect()
        try:
            while time.perf_counter() < stop:
                with lock:
                    request = next(requests, None)
                if request is None:
                    return
                try:
                    latencies.append(_send(connection, request))
                except AssertionError as error:  # a wrong answer: the server is measured on the others
                    failures.append(str(error))
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"connection lost: {error!r}")
        finally:
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, spent = time.perf_counter() - start, cpu_of(pid) - cpu
    assert latencies, f"{name}: {failures[0] if failures else 'nothing was asked'}"
    ordered = sorted(latencies)
    return Figures(
        name,
        len(ordered),
        took,
        spent,
        statistics.median(ordered) * 1000,
        ordered[int(len(ordered) * 0.99)] * 1000,
        len(failures),
        failures[0] if failures else "",
    )


def _send(connection: http.client.HTTPConnection, request: Request) -> float:
    start = time.perf_counter()
    connection.request(request.method, request.path, request.body or None, request.headers)
    answer = connection.getresponse()
    length = 0
    while piece := answer.read(1 << 20):
        length += len(piece)
    took = time.perf_counter() - start
    if answer.status // 100 != 2:
        raise AssertionError(f"{request.method} {request.path[:100]}: {answer.status}")
    if request.length is not None and length != request.length:
        raise AssertionError(f"{request.method} {request.path[:100]}: {length} bytes, not {request.length}")
    return took


KIB, MIB = 1 << 10, 1 << 20
SMALL_SECONDS = 3.0
LONG_SECONDS = 600.0
PART = 16 * MIB


def body(size: int, number: int = 0) -> memoryview:
    at = number * 4099 % (len(POOL) - size + 1)
    return memoryview(POOL)[at : at + size]


class Suite:
    """The phases, in the order in which they need each other's objects."""

    def __init__(self, target: Target, pid: int, show: Callable[[Figures], None], *, big: bool) -> None:
        self.target, self.pid, self.show, self.big = target, pid, show, big
        self.bucket = f"/bench{int(time.time()):x}"
        self.figures: list[Figures] = []
        self.serial = itertools.count()
        self.keys: dict[str, list[str]] = {}

    def run(self) -> list[Figures]:
        self.target.call("PUT", self.bucket)
        for label, size in (("1KiB", KIB), ("4KiB", 4 * KIB), ("64KiB", 64 * KIB), ("1MiB", MIB)):
            self._phase(f"PUT {label} c16", self._puts(label, size), 16)
            self._phase(f"GET {label} c16", self._reads("GET", label, size), 16)
        self._phase("HEAD 4KiB c16", self._reads("HEAD", "4KiB", None), 16)
        self._phase("LIST 1000 keys", self._lists(), 1)
        self._phase("DELETE 4KiB c16", self._deletes("4KiB"), 16)
        if self.big:
            self._big()
        return self.figures

    def _phase(self, name: str, requests: Iterator[Request], clients: int, seconds: float = SMALL_SECONDS) -> None:
        figures = measure(name, self.target, self.pid, requests, clients=clients, seconds=seconds)
        self.figures.append(figures)
        self.show(figures)

    def _puts(self, label: str, size: int) -> Iterator[Request]:
        made = self.keys.setdefault(label, [])
        for number in self.serial:
            key = f"{self.bucket}/{label}/{number:08d}"
            made.append(key)
            yield self.target.request("PUT", key, body(size, number))

    def _reads(self, method: str, label: str, size: int | None) -> Iterator[Request]:
        length = size if method == "GET" else 0
        known = [self.target.request(method, key, length=length) for key in self._whole(label)[:2048]]
        return itertools.cycle(known)

    def _whole(self, label: str) -> Sequence[str]:
        """Keys that were certainly stored: the last ones may have been cut off by the clock."""
        return self.keys[label][:-32]

    def _deletes(self, label: str) -> Iterator[Request]:
        return iter([self.target.request("DELETE", key) for key in self._whole(label)])

    def _lists(self) -> Iterator[Request]:
        """Pages of 1,000 keys in the middle of what was written."""
        prefix = "1KiB/"
        keys = [key.removeprefix(f"{self.bucket}/") for key in self._whole("1KiB")]
        assert len(keys) > 1500, "too few keys to list 1,000 of them"
        starts = range(0, len(keys) - 1000, 500)
        query: dict[str, object] = {"list-type": 2, "max-keys": 1000, "prefix": prefix}
        return itertools.cycle(
            [Request("GET", self.target.path("GET", self.bucket, **query | {"start-after": keys[at]})) for at in starts]
        )

    def _big(self) -> None:
        size, whole = 256 * MIB, 1024 * MIB
        pool = memoryview(POOL * (size // len(POOL)))
        one = [self.target.request("PUT", f"{self.bucket}/big", pool)]
        self._phase("PUT 256MiB", iter(one), 1, LONG_SECONDS)
        path = self.target.path("GET", f"{self.bucket}/big")
        spots = [number * 7919 * 4099 % (size - 64 * KIB) for number in range(512)]
        ranges = [
            Request("GET", path, headers={"Range": f"bytes={at}-{at + 64 * KIB - 1}"}, length=64 * KIB) for at in spots
        ]
        self._phase("range 64KiB c16", itertools.cycle(ranges), 16)
        self._multipart(whole)
        self._phase(
            "GET 1GiB", iter([self.target.request("GET", f"{self.bucket}/multi", length=whole)]), 1, LONG_SECONDS
        )

    def _multipart(self, size: int) -> None:
        """One upload in parts over four connections, counted as one operation."""
        place = f"{self.bucket}/multi"
        cpu, start = cpu_of(self.pid), time.perf_counter()
        upload = self.target.call("POST", place, uploads="").decode().partition("<UploadId>")[2].partition("<")[0]
        numbers = range(1, size // PART + 1)
        parts = [self.target.request("PUT", place, body(PART, n), partNumber=n, uploadId=upload) for n in numbers]
        measure("parts", self.target, self.pid, iter(parts), clients=4, seconds=LONG_SECONDS)
        listed = self.target.call("GET", place, uploadId=upload).decode().split("<Part>")[1:]
        tags = [part.partition("<ETag>")[2].partition("</ETag>")[0] for part in listed]
        document = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in zip(numbers, tags, strict=True)
        )
        self.target.call(
            "POST", place, f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode(), uploadId=upload
        )
        took = time.perf_counter() - start
        figures = Figures("PUT 1GiB multipart c4", 1, took, cpu_of(self.pid) - cpu, took * 1000, took * 1000)
        self.figures.append(figures)
        self.show(figures)
