"""An answer whose body is at hand, written to the connection in one go.

aiohttp's own response keeps its headers in a multi-dict, looks each of them up several times and writes them by a
general serializer, which for a HEAD costs as much as verifying its signature. This has the three members that its
server asks of a response, and leaves everything else (parsing, keep-alive, pipelining, time-outs) to aiohttp.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import HttpVersion11, web

from cyxcloud.shards.frames import Buffer
from s3gw.stalls import SendWatch

# Below this a body is copied behind its headers: one buffer costs a socket less than two.
JOIN_BYTES = 16 << 10
# What the transport may hold unsent before the sender waits; aiohttp's own mark.
DRAIN_BYTES = 64 << 10
BODILESS = frozenset({204, 304})

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Answer:
    """`length` is said where it is not the body's own: of a HEAD."""

    __slots__ = ("_body", "_headers", "_length", "_sends", "_status", "keep_alive")

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: Buffer,
        length: int | None = None,
        *,
        sends: SendWatch,
        keep_alive: bool,
    ) -> None:
        self._status, self._headers, self._body, self._sends = status, headers, body, sends
        self._length = len(body) if length is None else length
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if request.version < HttpVersion11 and self.keep_alive:
            self._headers["Connection"] = "keep-alive"
        head, body = self._head(), self._body
        if len(body) <= JOIN_BYTES:
            transport.write(head + body)
            return
        if len(body) <= DRAIN_BYTES:
            transport.writelines([head, body])
            return
        with self._sends.watched(transport) as sending:
            sending.given += len(body)
            transport.writelines([head, body])
            await request.writer.drain()

    async def write_eof(self) -> None:
        """All was written."""

    def _head(self) -> bytes:
        headers = self._headers
        if self._status not in BODILESS:
            headers["Content-Length"] = str(self._length)
        if not self.keep_alive:
            headers["Connection"] = "close"
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{_STATUS_LINES[self._status]}{lines}\r\n"
        if head.count("\n") != len(headers) + 2 or head.count("\r") != len(headers) + 2:
            raise ValueError("a header's value holds a line break")
        return head.encode("utf-8", "surrogateescape")
