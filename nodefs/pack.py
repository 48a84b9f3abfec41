"""Pack files: records one after another, appended and made durable by the commit thread, read by anybody.

A pack begins with a page that says whose it is. `end` is where the next record goes; what lies behind it was never
acknowledged. Crash: a new pack is durable (file and folder) before its first record is written; records of a round that
did not reach fdatasync are a torn tail, which recovery judges. Descriptors stay open as long as the pack does; the app
raises the limit of open files, since a node has one pack a gigabyte.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, fsync_dir, write_all
from cyxcloud.core.ids import NODE_ID_BYTES, NodeId
from cyxcloud.core.merkle import Buffer
from nodefs.record import ALIGN_BYTES, STATE, STATE_AT

MAX_PACK_BYTES = 1 << 30
FIRST_RECORD = ALIGN_BYTES
SUFFIX = ".pack"

_MAGIC = b"CyxPack\x00"
_VERSION = 1
_PAGE = struct.Struct(f">8sHHI{NODE_ID_BYTES}s")

_KEEP_SIZE_PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class PackDamaged(Exception):
    """The file is not a pack of this node."""


class Pack:
    def __init__(self, number: int, path: Path, fd: int, end: int, disk: Disk) -> None:
        self.number = number
        self.path = path
        self.fd = fd
        self.end = end
        self._disk = disk
        status = disk.fstat(fd)
        self._identity = (status.st_dev, status.st_ino)

    @classmethod
    def create(cls, folder: Path, number: int, node_id: NodeId, disk: Disk = DISK) -> Pack:
        path = folder / f"{number:08d}{SUFFIX}"
        fd = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            write_all(fd, [pack_page(number, node_id)], 0, disk)
            disk.fsync(fd)
            fsync_dir(folder, disk=disk)
        except OSError:
            disk.close(fd)
            _discard(path, disk)
            raise
        return cls(number, path, fd, FIRST_RECORD, disk)

    @classmethod
    def open(cls, path: Path, node_id: NodeId, disk: Disk = DISK) -> Pack:
        """A pack that was there; `end` is the file's size until recovery has looked."""
        fd = disk.open(path, os.O_RDWR)
        try:
            number = check_page(disk.pread(fd, ALIGN_BYTES, 0), node_id)
            if path.name != f"{number:08d}{SUFFIX}":
                raise PackDamaged(f"{path} says it is number {number}")  # noqa: TRY301 - closes the descriptor
            return cls(number, path, fd, disk.fstat(fd).st_size, disk)
        except BaseException:
            disk.close(fd)
            raise

    def append(self, buffers: Sequence[Buffer], size: int) -> None:
        """Write whole records at the end; the end moves only when all of it is written (not yet durable)."""
        write_all(self.fd, buffers, self.end, self._disk)
        self.end += size

    def pread(self, size: int, offset: int) -> bytes:
        return self._disk.pread(self.fd, size, offset)

    def preadv(self, buffer: memoryview, offset: int, flags: int = 0) -> int:
        return self._disk.preadv(self.fd, [buffer], offset, flags)

    def mark(self, offset: int, state: int) -> None:
        """Set the state word of the record at this offset (not yet durable)."""
        write_all(self.fd, [STATE.pack(state)], offset + STATE_AT, self._disk)

    def sync(self) -> None:
        self._disk.fdatasync(self.fd)

    def settle_on_disk(self, offset: int) -> None:
        """Write what is dirty from here on, then forget it, so that the next read is of the disk."""
        self.sync()
        os.posix_fadvise(self.fd, offset, 0, os.POSIX_FADV_DONTNEED)

    def cut(self, size: int) -> None:
        self._disk.truncate(self.fd, size)
        self._disk.fsync(self.fd)
        self.end = size

    def size(self) -> int:
        return self._disk.fstat(self.fd).st_size

    def has_its_page(self, node_id: NodeId) -> bool:
        try:
            return check_page(self.pread(ALIGN_BYTES, 0), node_id) == self.number
        except PackDamaged:
            return False
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False

    def write_page(self, node_id: NodeId) -> None:
        write_all(self.fd, [pack_page(self.number, node_id)], 0, self._disk)
        self.sync()

    def is_still_there(self) -> bool:
        """Whether the path names the file that we write to: a folder moved or removed under us keeps our descriptor."""
        try:
            status = self._disk.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def punch(self, offset: int, size: int) -> bool:
        """Give a deleted record's space back but for its first page, which keeps the pack walkable. False: cannot."""
        if size <= ALIGN_BYTES:
            return True
        result = _libc.fallocate(self.fd, _KEEP_SIZE_PUNCH, offset + ALIGN_BYTES, size - ALIGN_BYTES)
        if result == 0:
            return True
        error = ctypes.get_errno()
        if error in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return False
        raise OSError(error, os.strerror(error))

    def open_to_read(self, flags: int = 0) -> int | None:
        """Another descriptor, to be lent; None where the path no longer names this file."""
        try:
            fd = self._disk.open(self.path, os.O_RDONLY | flags)
        except OSError:
            return None
        status = self._disk.fstat(fd)
        if (status.st_dev, status.st_ino) == self._identity:
            return fd
        self._disk.close(fd)
        return None

    def close(self) -> None:
        self._disk.close(self.fd)


def pack_page(number: int, node_id: NodeId) -> bytes:
    body = _PAGE.pack(_MAGIC, _VERSION, 0, number, node_id)
    return (body + STATE.pack(zlib.crc32(body))).ljust(ALIGN_BYTES, b"\x00")


def check_page(page: bytes, node_id: NodeId) -> int:
    """The pack's number, if the page is one of this node's."""
    if len(page) < ALIGN_BYTES:
        raise PackDamaged("shorter than a page")
    magic, version, _, number, owner = _PAGE.unpack_from(page)
    (crc,) = STATE.unpack_from(page, _PAGE.size)
    if magic != _MAGIC or version != _VERSION or crc != zlib.crc32(page[: _PAGE.size]):
        raise PackDamaged("not a pack")
    if owner != node_id:
        raise PackDamaged(f"a pack of node {owner.hex()[:16]}")
    return int(number)


def _discard(path: Path, disk: Disk) -> None:
    try:
        disk.unlink(path)
    except OSError:
        return
