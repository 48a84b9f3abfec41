"""What a webhook's URL may not reach."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fleet.outgoing import Guard, GuardedResolver, NotTaken, Poster, Refused, parse_url

LOOPBACK = ("127.0.0.0/8", "::1/128")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_check_of_what_only_this_box_reaches_refuses(address: str) -> None:
    with pytest.raises(Refused, match=r"notifications\.allow"):
        Guard(()).check(address)


def test_check_lets_the_public_and_the_listed_through() -> None:
    Guard(()).check("93.184.215.14")
    Guard(()).check("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    Guard(("10.0.0.0/8",)).check("10.255.0.1")
    Guard(("10.0.0.0/8",)).check("::ffff:10.0.0.1")
    with pytest.raises(Refused):
        Guard(("10.0.0.0/8",)).check("127.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://user:secret@h/",
        "http://h:0/",
        "http://h\\@127.0.0.1/",
        "http://h/ x",
        "http://h/\n",
        "http://hé/",
        "http://h/" + "x" * 2050,
        "nothing",
    ],
)
def test_parse_url_of_what_is_no_plain_url_refuses(url: str) -> None:
    with pytest.raises(Refused):
        parse_url(url)


async def test_resolve_gives_only_what_may_be_connected_to() -> None:
    """A name with a public and a private address."""
    answers = ["10.0.0.1", "93.184.215.14"]

    async def lookup(_host: str, _port: int, _family: int) -> list[tuple[int, str]]:
        return [(socket.AF_INET, address) for address in answers]

    resolver = GuardedResolver(Guard(()), lookup)
    assert [each["host"] for each in await resolver.resolve("h", 80)] == ["93.184.215.14"]
    answers.pop()
    with pytest.raises(Refused):
        await resolver.resolve("h", 80)


@pytest.fixture
async def receiver() -> AsyncIterator[TestServer]:
    async def taken(request: web.Request) -> web.Response:
        request.app[BODIES].append(await request.read())
        return web.Response(status=204)

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/taken")

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503, text="come again")

    app = web.Application()
    app[BODIES] = []
    app.add_routes([web.post("/taken", taken), web.post("/elsewhere", elsewhere), web.post("/broken", broken)])
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


BODIES: web.AppKey[list[bytes]] = web.AppKey("bodies", list)


async def _post(server: TestServer, path: str, *allowed: str, host: str = "127.0.0.1", port: int = 0) -> None:
    poster = Poster(Guard(allowed), 5.0)
    try:
        await poster.post(f"http://{host}:{port or server.port}{path}", b"hello", {"X-One": "1"})
    finally:
        await poster.close()


async def test_post_reaches_a_listed_address_by_number_and_by_name(receiver: TestServer) -> None:
    await _post(receiver, "/taken", *LOOPBACK)
    await _post(receiver, "/taken", *LOOPBACK, host="localhost")
    assert receiver.app[BODIES] == [b"hello", b"hello"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1"])
async def test_post_to_what_is_not_listed_never_connects(receiver: TestServer, host: str) -> None:
    with pytest.raises(Refused):
        await _post(receiver, "/taken", host=host)
    assert receiver.app[BODIES] == []


async def test_post_does_not_follow_redirects(receiver: TestServer) -> None:
    with pytest.raises(NotTaken, match="answered 307"):
        await _post(receiver, "/elsewhere", *LOOPBACK)
    assert receiver.app[BODIES] == []


async def test_post_says_what_the_receiver_had_against_it(receiver: TestServer) -> None:
    with pytest.raises(NotTaken, match="answered 503 'come again'"):
        await _post(receiver, "/broken", *LOOPBACK)
    with socket.socket() as bound, pytest.raises(NotTaken, match="Connect"):
        bound.bind(("127.0.0.1", 0))  # and does not listen
        await _post(receiver, "/taken", *LOOPBACK, port=bound.getsockname()[1])
