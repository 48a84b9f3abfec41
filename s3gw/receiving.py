"""Takes a body from the socket straight into the buffer that it is wanted in, past aiohttp's parser and reader.

For as long as one buffer is being filled, a protocol of our own stands in the place of aiohttp's on the transport. The
kernel writes where the bytes shall lie, and never beyond the body's end, so what follows it stays in the socket. Then
aiohttp's protocol is put back and its parser, which only counts a body's bytes, is fed as many others: it ends the
body, finds the next request, lingers or closes as it always does. Should it ever count otherwise, nobody knows where
the next request begins, and the connection is cut.

Whatever else comes to a protocol meanwhile (a lost connection, a full write buffer) is passed on to aiohttp's.
"""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader, web

# What is left in a body below this costs less by the ordinary way than a change of protocols.
LEAST_BYTES = 64 << 10
# Well below what makes aiohttp's reader hold the transport.
_FILLER = bytes(128 << 10)


class StraightReceiver:
    """Of one request whose body HTTP delimits by its length alone."""

    def __init__(self, handler: web.RequestHandler, transport: asyncio.Transport, reader: StreamReader) -> None:
        self._handler = handler
        self._transport = transport
        self._reader = reader

    @classmethod
    def of(cls, request: web.BaseRequest) -> StraightReceiver | None:
        """None where the bytes on the socket are not the body's: under TLS, or when the connection is gone."""
        transport = request.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return None
        return cls(request.protocol, transport, request.content)

    async def fill(self, into: memoryview, idle_seconds: float) -> int:
        """Waits until the buffer is full or the connection lost. Only while the reader holds no byte of the body, and
        with no more room than the body has bytes left. TimeoutError when nothing came for so long."""
        transport = self._transport
        if transport.is_closing() or transport.get_protocol() is not self._handler:
            return 0
        filling = _Filling(self._handler, transport, into)
        self._stand_in(filling)
        try:
            await filling.wait(idle_seconds)
        finally:
            filling.stop()
            self._give_back(filling.received)
        return filling.received

    def _stand_in(self, protocol: asyncio.BaseProtocol) -> None:
        # A transport looks at its protocol's kind when it begins to read.
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        self._transport.resume_reading()

    def _give_back(self, received: int) -> None:
        transport = self._transport
        if transport.is_closing():
            transport.set_protocol(self._handler)
            return
        transport.pause_reading()
        transport.set_protocol(self._handler)
        if self._count(received):
            transport.resume_reading()
        else:
            transport.abort()

    def _count(self, received: int) -> bool:
        """Have aiohttp's parser take this many bytes as received."""
        reader = self._reader
        expected = reader.total_bytes + received
        for at in range(0, received, len(_FILLER)):
            self._handler.data_received(_FILLER[: received - at])
            reader.read_nowait()
        return reader.total_bytes == expected


class _Filling(asyncio.BufferedProtocol):
    def __init__(self, handler: web.RequestHandler, transport: asyncio.Transport, into: memoryview) -> None:
        self._handler = handler
        self._transport = transport
        self._into = into
        self._ended = asyncio.get_running_loop().create_future()
        self.received = 0

    async def wait(self, idle_seconds: float) -> None:
        while not self._ended.done():
            before = self.received
            await asyncio.wait([self._ended], timeout=idle_seconds)
            if self.received == before and not self._ended.done():
                raise TimeoutError

    def stop(self) -> None:
        """The buffer is the caller's again."""
        self._into = self._into[:0]
        self._end()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._into[self.received :]

    def buffer_updated(self, nbytes: int) -> None:
        self.received += nbytes
        if self.received == len(self._into):
            self._transport.pause_reading()
            self._end()

    def eof_received(self) -> None:
        self._handler.eof_received()  # says nothing, so the transport closes

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)
        self._end()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()
