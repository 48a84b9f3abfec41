"""A body that the store itself makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import md5

from cyxcloud.objects.given_body import GivenBody


async def _pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def _read(body: GivenBody, size: int) -> list[bytes]:
    got = []
    while True:
        into = bytearray(size)
        count = await body.fill(memoryview(into))
        body.digest(memoryview(into)[:count])
        got.append(bytes(into[:count]))
        if count < size:
            return got


async def test_fill_of_pieces_is_short_only_at_the_end() -> None:
    body = GivenBody(_pieces(b"abc", b"", b"defgh", b"i"))
    assert body.length is None
    assert await _read(body, 4) == [b"abcd", b"efgh", b"i"]
    assert body.finish().md5 == md5(b"abcdefghi", usedforsecurity=False).digest()


async def test_fill_of_bytes_knows_their_length() -> None:
    body = GivenBody(b"abcde")
    assert body.length == 5
    assert await _read(body, 3) == [b"abc", b"de"]
