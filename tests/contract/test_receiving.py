"""Bodies past aiohttp's parser, on both event loops' transports: the connection afterwards is what it always was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import pytest
import uvloop
from aiohttp import StreamReader, web

from cyxcloud.objects.body import Body
from s3gw.body import plan_body
from s3gw.body_errors import BodyError
from s3gw.intake import RequestBody
from s3gw.receiving import LEAST_BYTES, StraightReceiver
from s3gw.sigv4 import Anonymous, Payload, PayloadKind

SIZE = 3 << 20
FIRST = 100_000  # comes with the head, and so by aiohttp's reader
BODY = (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]
OTHER = b"GET /other HTTP/1.1\r\nHost: h\r\n\r\n"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call took past the parser."""
    taken: list[int] = []
    fill = StraightReceiver.fill

    async def counted(self: StraightReceiver, into: memoryview, idle_seconds: float) -> int:
        got = await fill(self, into, idle_seconds)
        taken.append(got)
        return got

    monkeypatch.setattr(StraightReceiver, "fill", counted)
    return taken


def on_both_loops(scenario: Callable[[list[int]], Coroutine[None, None, None]]) -> Callable[..., None]:
    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
    def test(run: Callable[[Coroutine[None, None, None]], None], straight: list[int]) -> None:
        run(scenario(straight))

    return test


def body_of(request: web.BaseRequest) -> RequestBody:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return RequestBody(
        request, plan_body(headers, Anonymous(Payload(PayloadKind.UNSIGNED, PayloadKind.UNSIGNED.value)))
    )


async def read_all(body: Body) -> bytes:
    whole = bytearray()
    while True:
        buffer = bytearray(1 << 20)
        got = await body.fill(memoryview(buffer))
        whole += buffer[:got]
        if got < len(buffer):
            await body.drain()
            return bytes(whole)


async def echo_length(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return web.Response(text="other")
    whole = await read_all(body_of(request))
    return web.Response(text="whole" if whole == BODY else f"{len(whole)} bytes, not what was sent")


@contextlib.asynccontextmanager
async def connected(handler: Handler) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = web.Server(handler, lingering_time=5.0)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()
        listener.close()
        await server.shutdown(1.0)


def head(extra: str = "", size: int = SIZE) -> bytes:
    return f"PUT /key HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n{extra}\r\n".encode()


async def answer(reader: asyncio.StreamReader) -> str:
    start = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in start.split(b"\r\n") if line.startswith(b"Content-Length"))
    return (await reader.readexactly(length)).decode()


async def send_in_two(writer: asyncio.StreamWriter, rest: bytes = BODY[FIRST:]) -> None:
    writer.write(head() + BODY[:FIRST])
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.write(rest)
    await writer.drain()


@on_both_loops
async def test_body_comes_whole_and_connection_goes_on(straight: list[int]) -> None:
    async with connected(echo_length) as (reader, writer):
        for _ in range(2):
            await send_in_two(writer)
            assert await answer(reader) == "whole"
        writer.write(OTHER)
        assert await answer(reader) == "other"
    assert sum(straight) > SIZE


@on_both_loops
async def test_next_request_in_the_same_segments_is_answered(straight: list[int]) -> None:
    async with connected(echo_length) as (reader, writer):
        await send_in_two(writer, BODY[FIRST:] + OTHER + head() + BODY + OTHER)
        assert [await answer(reader) for _ in range(4)] == ["whole", "other", "whole", "other"]
    assert sum(straight) > LEAST_BYTES


@on_both_loops
async def test_body_that_comes_piece_by_piece(straight: list[int]) -> None:
    async with connected(echo_length) as (reader, writer):
        writer.write(head())
        for at in range(0, SIZE, 300_001):
            writer.write(BODY[at : at + 300_001])
            await writer.drain()
            await asyncio.sleep(0.002)
        assert await answer(reader) == "whole"
    assert sum(straight) > SIZE // 2


@on_both_loops
async def test_body_is_asked_for_when_it_is_read(straight: list[int]) -> None:
    async with connected(echo_length) as (reader, writer):
        writer.write(head("Expect: 100-continue\r\n"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert await answer(reader) == "whole"
    assert sum(straight) == SIZE


@on_both_loops
async def test_body_refused_in_its_middle_is_drained(straight: list[int]) -> None:
    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(text="other")
        assert await body_of(request).fill(memoryview(bytearray(1 << 20))) == 1 << 20
        return web.Response(status=400, text="refused")

    async with connected(refuse) as (reader, writer):
        await send_in_two(writer, BODY[FIRST:] + OTHER)
        assert await answer(reader) == "refused"
        assert await answer(reader) == "other"
    assert sum(straight) > LEAST_BYTES


@on_both_loops
async def test_client_that_leaves_in_mid_body_is_noticed(straight: list[int]) -> None:
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        try:
            await read_all(body_of(request))
        except BaseException as error:
            failed.set_result(error)
            raise
        return web.Response()

    async with connected(note) as (_reader, writer):
        await send_in_two(writer, BODY[FIRST : 2 << 20])
        writer.close()
        assert isinstance(await failed, BodyError)
    assert sum(straight) > LEAST_BYTES


@on_both_loops
async def test_client_that_sends_nothing_more_times_out_and_may_go_on(straight: list[int]) -> None:
    async def impatient(request: web.BaseRequest) -> web.StreamResponse:
        receiver = StraightReceiver.of(request)
        assert receiver is not None
        buffer = bytearray(SIZE)
        with pytest.raises(TimeoutError):
            await receiver.fill(memoryview(buffer), 0.05)
        rest = await request.content.read()
        got = SIZE - len(rest)
        return web.Response(text=str(bytes(buffer[:got]) + rest == BODY and got))

    async with connected(impatient) as (reader, writer):
        writer.write(head())
        await asyncio.sleep(0.02)
        writer.write(BODY[:200_000])
        await asyncio.sleep(0.3)
        writer.write(BODY[200_000:])
        assert await answer(reader) == "200000"
    assert not straight, "it came to no end"


@on_both_loops
async def test_server_that_ends_gives_the_connection_back(straight: list[int]) -> None:
    begun = asyncio.Event()

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        await body_of(request).fill(memoryview(bytearray(SIZE)))
        raise AssertionError("the body never ends")

    server = web.Server(never)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
    writer.write(head())
    await begun.wait()
    listener.close()
    await server.shutdown(0.05)
    assert await reader.read() == b""
    assert not server.connections
    assert not straight, "it came to no end"
    writer.close()


@on_both_loops
async def test_parser_that_counts_otherwise_ends_the_connection(straight: list[int]) -> None:
    async def confused(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        elsewhere = StreamReader(request.protocol, 1 << 16, loop=asyncio.get_running_loop())
        receiver = StraightReceiver(request.protocol, request.transport, elsewhere)
        await receiver.fill(memoryview(bytearray(SIZE)), 5.0)
        return web.Response(text="never sent")

    async with connected(confused) as (reader, writer):
        writer.write(head())
        await asyncio.sleep(0.02)
        writer.write(BODY + OTHER)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert straight == [SIZE]
