"""Puts a handler's response on the connection: whole, or piece by piece as it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import structlog
from aiohttp import web

from cyxcloud.shards.frames import Buffer
from s3gw.answer import BODILESS, Answer
from s3gw.context import Response
from s3gw.stalls import SendWatch
from s3gw.times import http_date

log = structlog.get_logger(__name__)

SERVER = "CyxCloud"


async def primed(response: Response) -> Response:
    """The first piece is had before the status goes out: a chunk that cannot be read is still an error answer."""
    body = response.body
    if not isinstance(body, AsyncIterator):
        return response
    first = await anext(body)
    if len(first) == response.length:
        await body.aclose()  # type: ignore[attr-defined]
        return response._replace(body=first)
    return response._replace(body=_rejoined(first, body))


async def _rejoined(first: Buffer, rest: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    async with aclosing(rest) as pieces:  # type: ignore[type-var]
        yield first
        async for piece in pieces:
            yield piece


async def render(
    request: web.BaseRequest, response: Response, request_id: str, now_ms: int, sends: SendWatch
) -> web.StreamResponse | Answer:
    headers, body = response.headers, response.body
    headers["x-amz-request-id"] = request_id
    headers["Server"] = SERVER
    headers["Date"] = http_date(now_ms)
    if isinstance(body, AsyncIterator):
        return await _stream(request, response, body, sends)
    keep_alive = request.keep_alive
    if keep_alive and "Expect" in request.headers and not request.content.is_eof():
        # Refused instead of told to continue, a client sends its next request where we would wait for the body.
        keep_alive = False
    if request.method == "HEAD" or response.status in BODILESS:
        return Answer(response.status, headers, b"", response.length, sends=sends, keep_alive=keep_alive)
    return Answer(response.status, headers, body, sends=sends, keep_alive=keep_alive)


async def _stream(
    request: web.BaseRequest, response: Response, body: AsyncIterator[Buffer], sends: SendWatch
) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, headers=response.headers)
    answer.content_length = response.length
    async with aclosing(body) as pieces:  # type: ignore[type-var]
        if request.transport is None:
            return answer  # the client left, which the server finds out by itself
        await answer.prepare(request)
        try:
            with sends.watched(request.transport) as sending:
                async for piece in pieces:
                    sending.given += len(piece)
                    await answer.write(piece)
        except ConnectionError:
            return answer
        except Exception:
            log.exception("read broke off", request_id=response.headers["x-amz-request-id"])
            request.transport.abort()
            return answer
    await answer.write_eof()
    return answer
