"""A disk whose Nth operation fails, or at whose Nth operation the power goes; what was not synced is then lost.

Operations reach the real files under `root`, so that the code under test reads as always; beside them a model keeps, for
each file, what was synced and what was not, and the same for each folder's entries. `power_returns` lays down what a
disk may hold after the power went: see Survives. It is strict where filesystems differ: a new name needs its folder's
fsync, and after a failed fsync the data is lost though a second fsync succeeds. What goes around the Disk (SQLite's
files, rmtree) is not in the model: name it as `around`, and it stands as it is.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.merkle import Buffer

PAGE_BYTES = 4096
SECTOR_BYTES = 512


class PowerLost(BaseException):
    """Nothing may catch this but the test: the program is gone."""


class Survives(Enum):
    """Of what was not synced."""

    NOTHING = auto()
    EVERYTHING = auto()  # as after kill -9
    SOME = auto()  # any pages and any names, whatever their order was
    TORN = auto()  # everything but the end of each file's last write


@dataclass(frozen=True, slots=True)
class Fault:
    """At operation number `at` (from 1): an error of this number, or the end of power where that is 0."""

    at: int
    error: int = 0


@dataclass(slots=True, eq=False)
class _File:
    mode: int
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes] | int] = field(default_factory=list)  # a write, or a truncation


@dataclass(slots=True, eq=False)
class _Folder:
    mode: int
    live: dict[str, _File | _Folder] = field(default_factory=dict)
    synced: dict[str, _File | _Folder] = field(default_factory=dict)
    unsynced: list[dict[str, _File | _Folder | None]] = field(default_factory=list)  # one change each

    def change(self, entries: dict[str, _File | _Folder | None]) -> None:
        self.unsynced.append(entries)
        _enter(self.live, entries)


class FaultDisk(SystemDisk):
    def __init__(self, root: Path, fault: Fault | None = None) -> None:
        self.root = root
        self.fault = fault
        self.count = 0  # operations that a fault may hit
        self.lost = False  # the power
        self._owner = threading.get_ident()
        self._lock = threading.RLock()
        self._opened: dict[int, _File | _Folder] = {}
        self._tree = _read_tree(root)

    @property
    def fired(self) -> bool:
        return self.fault is not None and self.count >= self.fault.at

    def power_returns(self, target: Path, survives: Survives, *, seed: int = 0, around: Sequence[str] = ()) -> None:
        """Write to a new folder what the disk holds; `around` are globs of what is copied as it stands."""
        target.mkdir()
        _Image(survives, random.Random(seed)).write(self._tree, target)
        for pattern in around:
            for path in self.root.glob(pattern):
                copy = target / path.relative_to(self.root)
                if copy.parent.is_dir():
                    shutil.copy(path, copy)

    # The primitives

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        with self._lock:
            self._step(reads=not flags & os.O_CREAT)
            fd = super().open(path, flags, mode)
            folder, name = self._parent(path)
            if folder is not None:
                node = self._known(folder, name, path, mode)
                if flags & os.O_TRUNC and isinstance(node, _File):
                    node.unsynced.append(0)
                self._opened[fd] = node
            return fd

    def close(self, fd: int) -> None:
        with self._lock:
            self._opened.pop(fd, None)
            super().close(fd)

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        with self._lock:
            data = b"".join(bytes(buffer) for buffer in buffers)
            try:
                self._step()
            except OSError:
                self._write(fd, data[: len(data) // 2], offset)
                raise
            except PowerLost:
                self._write(fd, data, offset)
                raise
            return self._write(fd, data, offset)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._step(reads=True)
        return super().pread(fd, size, offset)

    def fdatasync(self, fd: int) -> None:
        self._sync(fd)

    def fsync(self, fd: int) -> None:
        self._sync(fd)

    def syncfs(self, fd: int) -> None:
        with self._lock:
            self._step()
            for node in _all(self._tree):
                _settle(node)

    def truncate(self, fd: int, size: int) -> None:
        with self._lock:
            self._step()
            super().truncate(fd, size)
            if isinstance(node := self._opened.get(fd), _File):
                node.unsynced.append(size)

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            self._step()
            (old, old_name), (new, new_name) = self._parent(source), self._parent(target)
            assert old is not None
            assert new is not None
            node = self._known(old, old_name, source, 0o755)
            super().rename(source, target)
            if old is new:
                new.change({old_name: None, new_name: node})
            else:
                new.change({new_name: node})
                old.change({old_name: None})

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            self._step()
            super().link(source, target)
            (old, old_name), (new, new_name) = self._parent(source), self._parent(target)
            assert old is not None
            assert new is not None
            new.change({new_name: old.live[old_name]})

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._step()
            super().unlink(path)
            folder, name = self._parent(path)
            if folder is not None:
                folder.change({name: None})

    def mkdir(self, path: Path, mode: int) -> None:
        with self._lock:
            self._step()
            super().mkdir(path, mode)
            folder, name = self._parent(path)
            if folder is not None:
                folder.change({name: _Folder(mode)})

    # The model

    def _step(self, *, reads: bool = False) -> None:
        """Counts; a crash at a read would be the one at the next write, so those are counted for errors alone."""
        if self.lost:
            self._end()
        if reads and (self.fault is None or not self.fault.error):
            return
        self.count += 1
        if self.fault is not None and self.count == self.fault.at:
            if self.fault.error:
                raise OSError(self.fault.error, f"injected: {os.strerror(self.fault.error)}")
            self.lost = True
            self._end()

    def _end(self) -> None:
        """Another thread's end would leave its starter waiting; that one gets its own at its next operation."""
        if threading.get_ident() != self._owner:
            raise OSError(errno.EIO, "the power is gone")
        raise PowerLost

    def _write(self, fd: int, data: bytes, offset: int) -> int:
        if isinstance(node := self._opened.get(fd), _File):
            node.unsynced.append((offset, data))
        return super().pwritev(fd, [data], offset)

    def _sync(self, fd: int) -> None:
        with self._lock:
            node = self._opened.get(fd)
            try:
                self._step()
            except OSError:
                if isinstance(node, _File) and not self.lost:
                    node.unsynced.clear()  # the kernel takes the pages for clean, and a later fsync for done
                raise
            if node is not None:
                _settle(node)

    def _parent(self, path: Path) -> tuple[_Folder | None, str]:
        if path == self.root or self.root not in path.parents:
            return (None, "") if path != self.root else (_Folder(0o755, {"": self._tree}), "")
        here = self._tree
        for part in path.relative_to(self.root).parts[:-1]:
            below = self._known(here, part, path, 0o755)
            assert isinstance(below, _Folder), path
            here = below
        return here, path.name

    @staticmethod
    def _known(folder: _Folder, name: str, path: Path, mode: int) -> _File | _Folder:
        if name not in folder.live:
            folder.change({name: _Folder(0o755) if path.is_dir() else _File(mode)})
        return folder.live[name]


@dataclass(frozen=True, slots=True)
class _Image:
    """One of the states that a disk may be in after the power went."""

    survives: Survives
    rng: random.Random

    def write(self, folder: _Folder, target: Path) -> None:
        entries = dict(folder.synced)
        for change in folder.unsynced:
            if self._stays():
                _enter(entries, change)
        for name, node in entries.items():
            if isinstance(node, _Folder):
                (target / name).mkdir(node.mode)
                self.write(node, target / name)
            else:
                (target / name).write_bytes(self._content(node))
                (target / name).chmod(node.mode)

    def _stays(self) -> bool:
        if self.survives is Survives.SOME:
            return self.rng.random() < 0.5
        return self.survives is not Survives.NOTHING

    def _content(self, file: _File) -> bytes:
        content = bytearray(file.synced)
        for number, change in enumerate(file.unsynced, start=1):
            if isinstance(change, int):
                if self._stays():
                    _apply(content, change)
                continue
            offset, data = change
            if self.survives is Survives.TORN and number == len(file.unsynced):
                _apply(content, (offset, data[: self.rng.randrange(0, len(data) + 1, SECTOR_BYTES)]))
                continue
            for at in range(0, len(data), PAGE_BYTES):
                if self._stays():
                    _apply(content, (offset + at, data[at : at + PAGE_BYTES]))
        return bytes(content)


def _read_tree(path: Path) -> _Folder:
    """What stands there now is durable."""
    folder = _Folder(path.stat().st_mode & 0o777)
    for each in path.iterdir():
        mode = each.stat().st_mode & 0o777
        folder.live[each.name] = _read_tree(each) if each.is_dir() else _File(mode, bytearray(each.read_bytes()))
    folder.synced = dict(folder.live)
    return folder


def _settle(node: _File | _Folder) -> None:
    if isinstance(node, _File):
        for write in node.unsynced:
            _apply(node.synced, write)
    else:
        for change in node.unsynced:
            _enter(node.synced, change)
    node.unsynced.clear()


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    size = change if isinstance(change, int) else change[0]
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if isinstance(change, int):
        del content[size:]
    elif change[1]:
        content[size : size + len(change[1])] = change[1]


def _enter(entries: dict[str, _File | _Folder], change: dict[str, _File | _Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _all(folder: _Folder) -> Iterator[_File | _Folder]:
    yield folder
    for node in folder.live.values():
        if isinstance(node, _Folder):
            yield from _all(node)
        else:
            yield node
