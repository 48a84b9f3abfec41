"""Files that are whole or absent after a crash, for all that is not a pack.

Order: temp file beside the target, write, fsync, rename (or link, which fails where the name is taken), fsync the
folder; only then does the call return. A crash before the rename leaves `.tmp-*`, which nobody reads; after it the new
content is there.
Every operation goes through a Disk, so that tests can put faults under exactly this code; packs use the same object.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cyxcloud.core.merkle import Buffer

TEMP_PREFIX = ".tmp-"
_libc = ctypes.CDLL(None, use_errno=True)
# IOV_MAX on Linux.
_MAX_BUFFERS = 1024


class Disk(Protocol):
    """The primitives that touch a disk; each raises OSError as the kernel does."""

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int: ...
    def close(self, fd: int) -> None: ...
    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int: ...
    def pread(self, fd: int, size: int, offset: int) -> bytes: ...
    def preadv(self, fd: int, buffers: Sequence[memoryview], offset: int, flags: int = 0) -> int: ...
    def fdatasync(self, fd: int) -> None: ...
    def fsync(self, fd: int) -> None: ...
    def syncfs(self, fd: int) -> None: ...
    def truncate(self, fd: int, size: int) -> None: ...
    def stat(self, path: Path) -> os.stat_result: ...
    def fstat(self, fd: int) -> os.stat_result: ...
    def statvfs(self, path: Path) -> os.statvfs_result: ...
    def rename(self, source: Path, target: Path) -> None: ...
    def link(self, source: Path, target: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def mkdir(self, path: Path, mode: int) -> None: ...


class SystemDisk:
    """The operating system's, without anything in between."""

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        return os.pwritev(fd, buffers, offset)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def preadv(self, fd: int, buffers: Sequence[memoryview], offset: int, flags: int = 0) -> int:
        return os.preadv(fd, buffers, offset, flags)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def syncfs(self, fd: int) -> None:
        if _libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def stat(self, path: Path) -> os.stat_result:
        return path.stat()

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def statvfs(self, path: Path) -> os.statvfs_result:
        return os.statvfs(path)

    def rename(self, source: Path, target: Path) -> None:
        source.rename(target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def mkdir(self, path: Path, mode: int) -> None:
        path.mkdir(mode)


DISK: Disk = SystemDisk()


def write_file(path: Path, data: bytes, *, mode: int = 0o644, disk: Disk = DISK) -> None:
    """Put this content in place of whatever was there."""
    temp = _write_temp(path, data, mode, disk)
    try:
        disk.rename(temp, path)
    except OSError:
        _discard(temp, disk)
        raise
    fsync_dir(path.parent, disk=disk)


def create_file(path: Path, data: bytes, *, mode: int = 0o644, disk: Disk = DISK) -> None:
    """Make a file that was not there; FileExistsError where it was."""
    temp = _write_temp(path, data, mode, disk)
    try:
        disk.link(temp, path)
    finally:
        _discard(temp, disk)
    fsync_dir(path.parent, disk=disk)


def remove_file(path: Path, *, disk: Disk = DISK) -> None:
    """Gone for good; nothing happens where it was gone already."""
    try:
        disk.unlink(path)
    except FileNotFoundError:
        return
    fsync_dir(path.parent, disk=disk)


def make_dirs(path: Path, *, mode: int = 0o755, disk: Disk = DISK) -> None:
    """The folder and those above it, each recorded in its parent."""
    if path.is_dir():
        return
    make_dirs(path.parent, mode=mode, disk=disk)
    try:
        disk.mkdir(path, mode)
    except FileExistsError:
        if not path.is_dir():
            raise
    fsync_dir(path.parent, disk=disk)


def fsync_dir(path: Path, *, disk: Disk = DISK) -> None:
    fd = disk.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(fd)
    finally:
        disk.close(fd)


def write_all(fd: int, buffers: Sequence[Buffer], offset: int, disk: Disk = DISK) -> int:
    """All of the buffers at this offset, however often the kernel stops short; gives the number of bytes."""
    total = sum(len(buffer) for buffer in buffers)
    if len(buffers) <= _MAX_BUFFERS and disk.pwritev(fd, buffers, offset) == total:
        return total
    return _write_slowly(fd, buffers, offset, disk)


def _write_slowly(fd: int, buffers: Sequence[Buffer], offset: int, disk: Disk) -> int:
    at = offset
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            written = disk.pwritev(fd, [view], at)
            at += written
            view = view[written:]
    return at - offset


def _write_temp(path: Path, data: bytes, mode: int, disk: Disk) -> Path:
    temp = path.parent / f"{TEMP_PREFIX}{secrets.token_hex(8)}"
    fd = disk.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            write_all(fd, [data], 0, disk)
            disk.fsync(fd)
        finally:
            disk.close(fd)
    except OSError:
        _discard(temp, disk)
        raise
    return temp


def _discard(temp: Path, disk: Disk) -> None:
    """Best effort: a temp file left behind is only litter."""
    try:
        disk.unlink(temp)
    except OSError:
        return
