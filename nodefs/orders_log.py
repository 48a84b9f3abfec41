"""The delete orders that this node accepted: evidence, and the redo log of its deletes.

An order is durable here before the first tombstone of it is written. The index remembers a position; after a crash the
orders behind it are carried out again, which is safe to repeat. At its limit the log becomes `orders.1.log` in place of
the one before: evidence is kept for about a million deletes, not for ever. A torn last entry is cut at the next start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, fsync_dir, write_all
from nodefs.index import OrdersPosition

MAX_LOG_BYTES = 32 * 1024 * 1024

_MAGIC = b"CyxOrdr1"
_HEAD = struct.Struct(">8sQ")
_ENTRY = struct.Struct(">III")  # order bytes, signature bytes, CRC-32 of both


class OrderLog:
    def __init__(self, path: Path, disk: Disk = DISK, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._old = path.with_name("orders.1.log")
        self._disk = disk
        self._max_bytes = max_bytes
        self._fd, self._generation, self._end = self._open()

    @property
    def position(self) -> OrdersPosition:
        return OrdersPosition(self._generation, self._end)

    def append(self, order: bytes, signature: bytes) -> None:
        """Durable when it returns."""
        if self._end >= self._max_bytes:
            self._roll()
        entry = _ENTRY.pack(len(order), len(signature), zlib.crc32(order + signature)) + order + signature
        write_all(self._fd, [entry], self._end, self._disk)
        self._disk.fdatasync(self._fd)
        self._end += len(entry)

    def since(self, position: OrdersPosition) -> Iterator[tuple[bytes, bytes]]:
        """The orders behind this position, oldest first; more than asked for where that has been rolled away."""
        if position.generation == self._generation:
            yield from _entries(self._path, position.offset)
            return
        kept = self._old.exists() and _read_generation(self._old)
        yield from _entries(self._old, position.offset if kept == position.generation else _HEAD.size)
        yield from _entries(self._path, _HEAD.size)

    def close(self) -> None:
        self._disk.close(self._fd)

    def _open(self) -> tuple[int, int, int]:
        generation = _read_generation(self._path)
        if generation is None:
            generation = (_read_generation(self._old) or 0) + 1
            self._begin(generation)
        end = _HEAD.size + sum(
            _ENTRY.size + len(order) + len(signature) for order, signature in _entries(self._path, _HEAD.size)
        )
        fd = self._disk.open(self._path, os.O_RDWR)
        if self._disk.fstat(fd).st_size > end:
            self._disk.truncate(fd, end)
            self._disk.fsync(fd)
        return fd, generation, end

    def _begin(self, generation: int) -> None:
        fd = self._disk.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(fd, [_HEAD.pack(_MAGIC, generation)], 0, self._disk)
            self._disk.fsync(fd)
        finally:
            self._disk.close(fd)
        fsync_dir(self._path.parent, disk=self._disk)

    def _roll(self) -> None:
        self._disk.close(self._fd)
        self._disk.rename(self._path, self._old)
        self._fd, self._generation, self._end = self._open()


def _read_generation(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except OSError:
        return None
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return None
    return int(_HEAD.unpack(head)[1])


def _entries(path: Path, offset: int) -> Iterator[tuple[bytes, bytes]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(max(offset, _HEAD.size))
        while len(head := file.read(_ENTRY.size)) == _ENTRY.size:
            order_bytes, signature_bytes, crc = _ENTRY.unpack(head)
            if order_bytes + signature_bytes > MAX_LOG_BYTES:
                return
            body = file.read(order_bytes + signature_bytes)
            if len(body) < order_bytes + signature_bytes or zlib.crc32(body) != crc:
                return
            yield body[:order_bytes], body[order_bytes:]
