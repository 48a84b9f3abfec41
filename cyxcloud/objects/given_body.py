"""A body that the store itself makes: bytes at hand, or pieces that are made while they are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import md5

from cyxcloud.core import checksums
from cyxcloud.core.checksums import Algorithm
from cyxcloud.objects.attributes import Checksum
from cyxcloud.objects.body import Digests
from cyxcloud.shards.frames import Buffer

Pieces = AsyncIterator[bytes] | AsyncIterator[Buffer]


class GivenBody:
    """Of pieces the length is not known before; they are asked for one by one, as the store has room for them."""

    def __init__(self, given: bytes | Pieces, algorithm: Algorithm | None = None) -> None:
        self.length: int | None = len(given) if isinstance(given, bytes) else None
        self._pieces = None if isinstance(given, bytes) else given
        self._left = memoryview(given if isinstance(given, bytes) else b"")
        self._md5 = md5(usedforsecurity=False)
        self._algorithm = algorithm
        self._hasher = None if algorithm is None else checksums.new_hasher(algorithm)

    async def fill(self, into: memoryview) -> int:
        filled = 0
        while filled < len(into) and await self._more():
            taken = min(len(into) - filled, len(self._left))
            into[filled : filled + taken] = self._left[:taken]
            self._left = self._left[taken:]
            filled += taken
        return filled

    async def drain(self) -> None:
        """There is nothing behind the last byte."""

    def digest(self, data: memoryview) -> None:
        self._md5.update(data)
        if self._hasher is not None:
            self._hasher.update(data)

    def finish(self) -> Digests:
        if self._algorithm is None or self._hasher is None:
            return Digests(self._md5.digest())
        value = checksums.encode_digest(self._hasher.digest())
        return Digests(self._md5.digest(), Checksum(self._algorithm.value, value))

    async def _more(self) -> bool:
        while not self._left:
            if self._pieces is None:
                return False
            piece = await anext(self._pieces, None)
            if piece is None:
                return False
            self._left = memoryview(piece)
        return True
