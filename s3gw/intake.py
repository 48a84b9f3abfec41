"""A request's body on its way in: aiohttp's reader or the socket, framing taken off, digests kept beside it.

Nothing is decided here: a wrong digest, chunk signature or length raises, and whoever reads has committed nothing yet.
`100 Continue` goes out with the first read, so a request that is refused before never sends its body.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from cyxcloud.core import checksums
from cyxcloud.core.checksums import Algorithm
from cyxcloud.objects.attributes import Checksum
from cyxcloud.objects.body import Digests
from s3gw.body import BodyPlan
from s3gw.body_errors import BodyError, BodyFault
from s3gw.errors import Code, S3Error
from s3gw.receiving import LEAST_BYTES, StraightReceiver

# A client that sends nothing for so long holds memory for nothing; S3's own limit is about the same.
IDLE_SECONDS = 30.0
_INCOMPLETE = "You did not provide the number of bytes specified by the Content-Length HTTP header"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestBody:
    """One request's body; satisfies objects' `Body`."""

    def __init__(self, request: web.BaseRequest, plan: BodyPlan) -> None:
        self.length = plan.size
        self.checked = plan.md5 is not None or plan.checksum is not None
        self._reader = request.content
        self._decoder = plan.decoder()
        self._plan = plan
        self._verifier = plan.verifier()
        self._pieces: deque[memoryview] = deque()
        self._trailers: Mapping[str, str] = {}
        self._ended = False
        self._wants_continue = request.headers.get("Expect", "").lower() == "100-continue"
        self._transport = request.transport
        self._taken = 0  # of the reader, or past it
        self._straight = None if plan.framed or plan.size is None else StraightReceiver.of(request)

    def compute(self, algorithm: Algorithm) -> None:
        """Keep this checksum too, though the client gives none. Before anything is read."""
        self._verifier = self._plan.verifier(algorithm)

    async def fill(self, into: memoryview) -> int:
        at, room = 0, len(into)
        while at < room:
            if not self._pieces:
                if got := await self._receive_straight(into[at:]):
                    at += got
                    continue
                if not await self._receive():
                    break
            piece = self._pieces[0]
            size = len(piece)
            if size <= room - at:
                into[at : at + size] = piece
                self._pieces.popleft()
                at += size
            else:
                into[at:] = piece[: room - at]
                self._pieces[0] = piece[room - at :]
                at = room
        return at

    async def drain(self) -> None:
        if self._pieces or await self._receive():
            raise BodyError(BodyFault.INCOMPLETE_BODY, _INCOMPLETE)

    def digest(self, data: memoryview) -> None:
        self._verifier.update(data)

    def finish(self) -> Digests:
        assert self._ended, "trailers and the last chunk's signature come after the last byte"
        found = self._verifier.finish(self._trailers)
        if found.checksum is None or found.digest is None:
            return Digests(found.md5)
        return Digests(found.md5, Checksum(found.checksum.value, checksums.encode_digest(found.digest)))

    async def read_document(self, limit: int) -> bytes:
        """The whole body of a request whose body is a document, digests checked. Above the limit: EntityTooLarge."""
        if self.length is not None and self.length > limit:
            raise S3Error(Code.ENTITY_TOO_LARGE)
        buffer = bytearray((self.length if self.length is not None else limit) + 1)
        got = await self.fill(memoryview(buffer))
        if got == len(buffer):
            raise S3Error(Code.ENTITY_TOO_LARGE)
        await self.drain()
        document = bytes(memoryview(buffer)[:got])
        self.digest(memoryview(document))
        self.finish()
        return document

    async def _receive_straight(self, into: memoryview) -> int:
        """How many bytes now lie in the buffer; 0 where they come, or have come already, by aiohttp's reader."""
        if self._straight is None or self.length is None or self._reader.total_bytes != self._taken:
            return 0
        room = min(len(into), self.length - self._taken)
        if room < LEAST_BYTES or self._reader.is_eof() or self._reader.exception() is not None:
            return 0
        if self._wants_continue:
            self._send_continue()
        try:
            got = await self._straight.fill(into[:room], IDLE_SECONDS)
        except TimeoutError:
            raise S3Error(Code.REQUEST_TIMEOUT) from None
        self._taken += got
        self._decoder.feed(into[:got])
        return got

    async def _receive(self) -> bool:
        """More pieces, or the end, which is checked against what was announced."""
        while not self._ended:
            if self._wants_continue:
                self._send_continue()
            data = await self._next()
            self._taken += len(data)
            if data:
                pieces = self._decoder.feed(data)
                if pieces:
                    self._pieces.extend(pieces)
                    return True
                continue
            self._ended = True
            self._trailers = self._decoder.finish()
        return False

    async def _next(self) -> bytes:
        reader = self._reader
        try:
            # One timer a read is dear; what has already arrived needs none.
            data = reader.read_nowait()
            if data or reader.at_eof():
                return data
            async with asyncio.timeout(IDLE_SECONDS):
                while True:
                    data, ends_http_chunk = await reader.readchunk()
                    if data or not ends_http_chunk or reader.at_eof():
                        return data
        except TimeoutError:
            raise S3Error(Code.REQUEST_TIMEOUT) from None
        except (RequestPayloadError, ConnectionError) as error:
            raise BodyError(BodyFault.INCOMPLETE_BODY, _INCOMPLETE) from error

    def _send_continue(self) -> None:
        self._wants_continue = False
        if self._transport is not None:
            self._transport.write(_CONTINUE)
