"""The frozen database file, read for a snapshot: once to hash every group, once more for those that are written.

It is frozen while nobody checkpoints; that is held against the hashes at the second reading, so that a file that moves
all the same ends the snapshot instead of going into it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from cyxcloud.meta.heldfile import HeldFile
from cyxcloud.meta.snapshot_manifest import GROUP_BYTES, group_hash, padded_groups
from cyxcloud.objects.body import Digests

SCAN_BYTES = 64 * GROUP_BYTES
_PAGE_BYTES_AT = 16  # in the header of every SQLite file, two bytes


class FileChanged(Exception):
    """The database file is not what it was when it was hashed: somebody else has checkpointed it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The database file as it stands."""

    size: int
    page_bytes: int
    hashes: tuple[bytes, ...]


def scan(file: HeldFile) -> Scan:
    """Reads the file once, a few MiB at a time. For a thread."""
    hashes: list[bytes] = []
    buffer = memoryview(bytearray(SCAN_BYTES))
    page_bytes = size = 0
    while read := os.preadv(file.fd, [buffer], size):
        assert size % GROUP_BYTES == 0, "a short read in the middle of a file"
        if not size:
            page_bytes = int.from_bytes(buffer[_PAGE_BYTES_AT : _PAGE_BYTES_AT + 2], "big")
        size += read
        hashes += [group_hash(group) for group in padded_groups(buffer[:read])]
    return Scan(size, 65536 if page_bytes == 1 else page_bytes, tuple(hashes))


class GroupsBody:
    """Some groups of the file as the body of an object."""

    def __init__(self, file: HeldFile, scanned: Scan, numbers: Sequence[int]) -> None:
        self.length: int | None = len(numbers) * GROUP_BYTES
        self._file = file
        self._scanned = scanned
        self._numbers = numbers
        self._at = 0

    async def fill(self, into: memoryview) -> int:
        return await asyncio.to_thread(self._fill, into)

    async def drain(self) -> None:
        pass

    def digest(self, data: memoryview) -> None:
        """Nothing is asked for: every group has been hashed and is authenticated as a frame."""

    def finish(self) -> Digests:
        hashes = b"".join(self._scanned.hashes[number] for number in self._numbers)
        return Digests(md5=blake3(hashes).digest(16))

    def _fill(self, into: memoryview) -> int:
        filled = 0
        while filled < len(into) and self._at < len(self._numbers):
            number = self._numbers[self._at]
            target = into[filled : filled + GROUP_BYTES]
            read = os.preadv(self._file.fd, [target], number * GROUP_BYTES)
            target[read:] = bytes(GROUP_BYTES - read)
            if group_hash(target) != self._scanned.hashes[number]:
                raise FileChanged(f"group {number} changed while a snapshot was taken")
            filled += GROUP_BYTES
            self._at += 1
        return filled


class BytesBody:
    """What is in memory as the body of an object."""

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._data = memoryview(data)
        self._at = 0

    async def fill(self, into: memoryview) -> int:
        piece = self._data[self._at : self._at + len(into)]
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    async def drain(self) -> None:
        pass

    def digest(self, data: memoryview) -> None:
        """As above: a manifest carries a hash of its own."""

    def finish(self) -> Digests:
        return Digests(md5=blake3(self._data).digest(16))
