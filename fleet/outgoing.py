"""Requests from this store to URLs that users gave: none reaches what only this box can reach.

The host is looked up once for a connection, and that very address is checked and connected to, so that a name cannot
answer with another one a moment later. Only addresses of the public internet are allowed, and those that an operator
listed. Redirects are not followed, proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Lookup = Callable[[str, int, int], Awaitable[list[tuple[int, str]]]]

MAX_URL_CHARACTERS = 2048
CONNECTIONS = 32
# How much of a receiver's words is read: enough to say what it had against the message.
ANSWER_BYTES = 256
_NAT64 = ip_network("64:ff9b::/96")


class Refused(Exception):
    """The URL must not be asked; the text says why."""


class NotTaken(Exception):
    """The receiver did not take the message; the text says what happened."""


def parse_url(text: str) -> URL:
    """As the client that asks it reads it. Raises Refused for what can never be asked, whatever its host turns out to
    be."""
    if len(text) > MAX_URL_CHARACTERS or not text.isascii() or not text.isprintable() or set(text) & set(" \\"):
        raise Refused(f"must be at most {MAX_URL_CHARACTERS} printable ASCII characters without spaces")
    try:
        url = URL(text)
    except ValueError as error:
        raise Refused(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or url.port == 0:
        raise Refused("must be http:// or https:// with a host")
    if url.user is not None or url.password is not None:
        raise Refused("must not hold a user or password; use --secret")
    return url


class Guard:
    """Which addresses may be connected to."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed: tuple[Network, ...] = tuple(ip_network(each, strict=False) for each in allowed)

    def check(self, text: str) -> None:
        """Raises Refused. What an IPv6 address carries an IPv4 one in is that one."""
        address = _plain(ip_address(text.partition("%")[0]))
        if any(address.version == each.version and address in each for each in self._allowed):
            return
        if not address.is_global or address.is_multicast:
            raise Refused(f"{address} is not a public address; notifications.allow can list its network")


def _plain(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


async def _lookup(host: str, port: int, family: int) -> list[tuple[int, str]]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
    return [(each[0], str(each[4][0])) for each in found]


class GuardedResolver(AbstractResolver):
    """Gives the addresses of a host that may be connected to; the connection is made to one of these."""

    def __init__(self, guard: Guard, lookup: Lookup = _lookup) -> None:
        self._guard, self._lookup = guard, lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        refused: Refused | None = None
        results: list[ResolveResult] = []
        for its_family, address in await self._lookup(host, port, family):
            try:
                self._guard.check(address)
            except Refused as reason:
                refused = reason
                continue
            flags = socket.AI_NUMERICHOST
            results.append(
                ResolveResult(hostname=host, host=address, port=port, family=its_family, proto=0, flags=flags)
            )
        if refused is not None and not results:
            raise refused
        return results

    async def close(self) -> None:
        """Holds nothing."""


class Poster:
    """Sends messages. Open it with `async with`."""

    def __init__(self, guard: Guard, timeout_seconds: float) -> None:
        self._guard, self._timeout = guard, ClientTimeout(total=timeout_seconds)
        self._session: ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns when the receiver answered with 2xx; raises Refused or NotTaken."""
        parsed = parse_url(url)
        self._check_literal(parsed.host or "")
        try:
            async with self._open().post(parsed, data=body, headers=headers, allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    return
                words = await answer.content.read(ANSWER_BYTES)
        except Refused:
            raise
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            if isinstance(error.__cause__, Refused):
                raise error.__cause__ from None
            raise NotTaken(f"{type(error).__name__}: {error}") from None
        raise NotTaken(f"answered {answer.status} {words.decode('utf-8', 'replace')!r}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _check_literal(self, host: str) -> None:
        """An address in the URL itself is never looked up, so it does not pass the resolver."""
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return
        self._guard.check(host)

    def _open(self) -> ClientSession:
        if self._session is None:
            resolver = GuardedResolver(self._guard)
            connector = TCPConnector(resolver=resolver, use_dns_cache=False, limit=CONNECTIONS)
            self._session = ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=DummyCookieJar(), trust_env=False
            )
        return self._session
