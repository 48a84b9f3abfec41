"""The damage that a node found by itself, numbered: what a coordinator asks for to have it made good.

An append-only file: a header with the number of the first entry, then a shard id and a CRC each. An entry is durable
before the record it names is set aside, so that nothing is dropped unheard. Numbers go on over restarts. A torn entry
ends the file; the damage it told of is found again. Where the file is lost, it is made from the names in
data/quarantine/. At its limit the older half goes: those were asked for long ago, or the reconciler misses them.
Crash: append, then the mark; repeated, the shard is told of twice, which does no harm.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, write_all, write_file
from cyxcloud.core.ids import SHARD_ID_BYTES, ShardId

MAX_ENTRIES = 1 << 17

_MAGIC = b"CyxFind1"
_HEAD = struct.Struct(">8sQ")
_ENTRY = struct.Struct(f">{SHARD_ID_BYTES}sI")


class FindingsLog:
    """Appended to by the thread that has the node's packs in hand, read by any."""

    def __init__(self, path: Path, quarantine: Path, disk: Disk = DISK, max_entries: int = MAX_ENTRIES) -> None:
        self._path = path
        self._disk = disk
        self._max_entries = max_entries
        self._first, self._entries = _read(path)
        if self._first == 0:
            self._first, self._entries = 1, _from_names(quarantine)
            if self._entries:
                self._rewrite()

    @property
    def last(self) -> int:
        """The newest entry's number; 0 where nothing was ever found."""
        return self._first + len(self._entries) - 1

    def add(self, shards: Sequence[ShardId]) -> None:
        """Durable when it returns."""
        if not shards:
            return
        packed = [shard.pack() for shard in shards]
        self._entries.extend(packed)
        if len(self._entries) > self._max_entries:
            gone = len(self._entries) - self._max_entries // 2
            self._first += gone
            del self._entries[:gone]
            self._rewrite()
        elif self._disk_size() is None:
            self._rewrite()
        else:
            self._append(packed)

    def page(self, after: int, limit: int) -> tuple[list[ShardId], int]:
        """Up to `limit` entries behind that number, and the last one's number (`after` where there is none)."""
        start = 0 if after > self.last else max(0, after + 1 - self._first)  # a number not given yet: of a lost file
        page = self._entries[start : start + limit]
        return [ShardId.unpack(entry) for entry in page], self._first + start + len(page) - 1

    def _append(self, packed: Sequence[bytes]) -> None:
        offset = _HEAD.size + _ENTRY.size * (len(self._entries) - len(packed))
        fd = self._disk.open(self._path, os.O_WRONLY)
        try:
            write_all(fd, [b"".join(map(_encoded, packed))], offset, self._disk)
            self._disk.fsync(fd)
        finally:
            self._disk.close(fd)

    def _rewrite(self) -> None:
        body = b"".join(map(_encoded, self._entries))
        write_file(self._path, _HEAD.pack(_MAGIC, self._first) + body, disk=self._disk)

    def _disk_size(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return self._disk.stat(self._path).st_size
        return None


def _encoded(packed: bytes) -> bytes:
    return _ENTRY.pack(packed, zlib.crc32(packed))


def _read(path: Path) -> tuple[int, list[bytes]]:
    """(number of the first entry, entries); 0 where there is no such file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0, []
    if len(data) < _HEAD.size or not data.startswith(_MAGIC):
        return 0, []
    entries = []
    for at in range(_HEAD.size, len(data) - _ENTRY.size + 1, _ENTRY.size):
        packed, crc = _ENTRY.unpack_from(data, at)
        if zlib.crc32(packed) != crc:
            break
        entries.append(packed)
    return int(_HEAD.unpack_from(data)[1]), entries


def _from_names(quarantine: Path) -> list[bytes]:
    """Copies of records are named PACK-OFFSET-SHARD; oldest first."""
    found = []
    for path in quarantine.iterdir():
        name = path.name.rpartition("-")[2]
        with contextlib.suppress(ValueError, OSError):
            packed = bytes.fromhex(name)
            if len(packed) == SHARD_ID_BYTES:
                found.append((path.stat().st_mtime_ns, packed))
    return [packed for _, packed in sorted(found)]
