"""The delete orders that this node accepted, and its receipts: evidence, the redo log of its deletes, and what tells a
replay.

An order is durable here before the first tombstone of it is written, its receipt before that is given out. The index
remembers a position; after a crash the orders behind it are carried out again, but one that has its receipt only where
a tombstone is written already: what was put again since then is not its business. An order of a sequence that has been
reached is never carried out; the very last one gets the receipt that it got. At its limit the log becomes
`orders.1.log` in place of the one before: evidence is kept for about a million deletes, not for ever. A torn last entry
is cut at the next start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, fsync_dir, write_all
from cyxcloud.wire.orders import Order, order_hash
from cyxcloud.wire.shardhost import DeleteAnswer
from nodefs.index import OrdersPosition
from nodefs.settled import Settled, decode_settled, encode_settled

MAX_LOG_BYTES = 32 * 1024 * 1024

# The first version has no receipts in it, and no kinds: such a log is read, and put aside at the next start.
_MAGIC, _MAGIC_1 = b"CyxOrdr2", b"CyxOrdr1"
_HEAD = struct.Struct(">8sQ")
_ENTRY = struct.Struct(">BIII")  # kind, bytes of both parts, CRC-32 of kind and parts
_ENTRY_1 = struct.Struct(">III")  # bytes of order and signature, CRC-32 of both
_ORDER, _RECEIPT = 1, 2


@dataclass(frozen=True, slots=True)
class Logged:
    """`is_settled`: its receipt is in the log too, so its tombstones are on the disk."""

    order: bytes
    signature: bytes
    is_settled: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    first: bytes
    second: bytes
    size: int


class OrderLog:
    def __init__(self, path: Path, disk: Disk = DISK, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._old = path.with_name("orders.1.log")
        self._disk = disk
        self._max_bytes = max_bytes
        self.settled: Settled | None = None
        self._begun: dict[bytes, Order] = {}  # in the round in hand, by hash
        self._fd, self._generation, self._end = self._open()

    @property
    def position(self) -> OrdersPosition:
        return OrdersPosition(self._generation, self._end)

    def answer_to(self, digest: bytes) -> DeleteAnswer | None:
        """What was answered to this very order, if it was the last."""
        settled = self.settled
        return settled.answer() if settled is not None and settled.order_hash == digest else None

    def against(self, told: Order) -> str:
        """Why this order comes too late; empty where it does not."""
        reached = [each.sequence for each in self._begun.values() if each.incarnation == told.incarnation]
        if self.settled is not None and self.settled.incarnation == told.incarnation:
            reached.append(self.settled.sequence)
        last = max(reached, default=-1)
        return f"order {told.sequence} comes after {last} was carried out" if told.sequence <= last else ""

    def append(self, told: Order, order: bytes, signature: bytes) -> None:
        """Durable when it returns."""
        if self._end >= self._max_bytes:
            self._roll()
        self._write(_ORDER, order, signature)
        self._begun[order_hash(order)] = told

    def settle(self, settled: Settled) -> None:
        """The order is carried out and this is its receipt; durable when it returns."""
        self._write(_RECEIPT, encode_settled(settled), settled.signature)
        self.settled = settled

    def end_round(self) -> None:
        """What has no receipt by now was not carried out."""
        self._begun.clear()

    def since(self, position: OrdersPosition) -> Iterator[Logged]:
        """The orders behind this position, oldest first; more than asked for where that has been rolled away."""
        settled = {
            decode_settled(each.first, each.second).order_hash
            for each in self._entries_since(position)
            if each.kind == _RECEIPT
        }
        for each in self._entries_since(position):
            if each.kind == _ORDER:
                yield Logged(each.first, each.second, order_hash(each.first) in settled)

    def close(self) -> None:
        self._disk.close(self._fd)

    def _write(self, kind: int, first: bytes, second: bytes) -> None:
        parts = first + second
        crc = zlib.crc32(parts, kind)
        entry = _ENTRY.pack(kind, len(first), len(second), crc) + parts
        write_all(self._fd, [entry], self._end, self._disk)
        self._disk.fdatasync(self._fd)
        self._end += len(entry)

    def _entries_since(self, position: OrdersPosition) -> Iterator[_Entry]:
        if position.generation == self._generation:
            yield from _entries(self._path, position.offset)
            return
        kept = _read_head(self._old)
        is_in_old = kept is not None and kept[1] == position.generation
        yield from _entries(self._old, position.offset if is_in_old else _HEAD.size)
        yield from _entries(self._path, _HEAD.size)

    def _open(self) -> tuple[int, int, int]:
        head = _read_head(self._path)
        if head is not None and head[0] == _MAGIC_1:
            self._disk.rename(self._path, self._old)
            head = None
        if head is None:
            before = _read_head(self._old)
            head = _MAGIC, (0 if before is None else before[1]) + 1
            self._begin(head[1])
        end = _HEAD.size
        for entry in _entries(self._path, _HEAD.size):
            end += entry.size
            if entry.kind == _RECEIPT:
                self.settled = decode_settled(entry.first, entry.second)
        fd = self._disk.open(self._path, os.O_RDWR)
        if self._disk.fstat(fd).st_size > end:
            self._disk.truncate(fd, end)
            self._disk.fsync(fd)
        return fd, head[1], end

    def _begin(self, generation: int) -> None:
        fd = self._disk.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(fd, [_HEAD.pack(_MAGIC, generation)], 0, self._disk)
            self._disk.fsync(fd)
        finally:
            self._disk.close(fd)
        fsync_dir(self._path.parent, disk=self._disk)

    def _roll(self) -> None:
        settled = self.settled
        self._disk.close(self._fd)
        self._disk.rename(self._path, self._old)
        self._fd, self._generation, self._end = self._open()
        if settled is not None:
            self.settle(settled)


def _read_head(path: Path) -> tuple[bytes, int] | None:
    """Version and generation."""
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD.size)
    except OSError:
        return None
    if len(data) < _HEAD.size or not data.startswith((_MAGIC, _MAGIC_1)):
        return None
    magic, generation = _HEAD.unpack(data)
    return magic, generation


def _entries(path: Path, offset: int) -> Iterator[_Entry]:
    head = _read_head(path)
    if head is None:
        return
    struct_of = _ENTRY_1 if head[0] == _MAGIC_1 else _ENTRY
    with path.open("rb") as file:
        file.seek(max(offset, _HEAD.size))
        while len(data := file.read(struct_of.size)) == struct_of.size:
            kind, first, second, crc = (
                (_ORDER, *struct_of.unpack(data)) if struct_of is _ENTRY_1 else _ENTRY.unpack(data)
            )
            if first + second > MAX_LOG_BYTES:
                return
            body = file.read(first + second)
            begin = 0 if struct_of is _ENTRY_1 else kind
            if len(body) < first + second or zlib.crc32(body, begin) != crc:
                return
            yield _Entry(kind, body[:first], body[first:], struct_of.size + first + second)
