from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cyxcloud.core.durable import (
    TEMP_PREFIX,
    SystemDisk,
    create_file,
    make_dirs,
    remove_file,
    write_all,
    write_file,
)
from cyxcloud.core.merkle import Buffer


class FailingDisk(SystemDisk):
    """Fails its Nth operation that can fail; remembers what was done."""

    def __init__(self, fail_at: int = 0) -> None:
        self.fail_at = fail_at
        self.count = 0
        self.calls: list[str] = []

    def _step(self, name: str) -> None:
        self.calls.append(name)
        self.count += 1
        if self.count == self.fail_at:
            raise OSError(errno.EIO, "injected")

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        self._step("open")
        return super().open(path, flags, mode)

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        self._step("pwritev")
        return super().pwritev(fd, buffers, offset)

    def fsync(self, fd: int) -> None:
        self._step("fsync")
        super().fsync(fd)

    def rename(self, source: Path, target: Path) -> None:
        self._step("rename")
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._step("link")
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        super().unlink(path)


def litter(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(TEMP_PREFIX)]


def test_write_replaces_and_sets_the_mode(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"old")
    write_file(tmp_path / "a", b"new", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert not litter(tmp_path)


def test_file_is_synced_before_its_name_and_the_folder_after(tmp_path: Path) -> None:
    disk = FailingDisk()
    write_file(tmp_path / "a", b"x", disk=disk)
    assert disk.calls == ["open", "pwritev", "fsync", "rename", "open", "fsync"]


def test_create_fails_where_the_name_is_taken(tmp_path: Path) -> None:
    create_file(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert not litter(tmp_path)


@pytest.mark.parametrize("write", [write_file, create_file])
def test_whichever_operation_fails_the_file_is_old_or_new(tmp_path: Path, write: Callable[..., None]) -> None:
    path = tmp_path / "a"
    for fail_at in range(1, 20):
        path.unlink(missing_ok=True)
        disk = FailingDisk(fail_at)
        try:
            write(path, b"new content", disk=disk)
        except OSError:
            assert not path.exists() or path.read_bytes() == b"new content"
            continue
        assert path.read_bytes() == b"new content"
        if disk.count < fail_at:
            return
    pytest.fail("never got through without a fault")


def test_remove_is_quiet_about_what_is_gone(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"x")
    remove_file(tmp_path / "a")
    remove_file(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_make_dirs_makes_those_above_and_refuses_a_file(tmp_path: Path) -> None:
    make_dirs(tmp_path / "a" / "b" / "c")
    make_dirs(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    write_file(tmp_path / "f", b"x")
    with pytest.raises(FileExistsError):
        make_dirs(tmp_path / "f")


class ShortDisk(SystemDisk):
    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        return os.pwrite(fd, bytes(buffers[0])[:3], offset)


@pytest.mark.parametrize("count", [1, 5, 1500])
def test_write_all_goes_on_where_the_kernel_stopped(tmp_path: Path, count: int) -> None:
    buffers = [bytes([number % 256]) * 7 for number in range(count)]
    fd = os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT)
    try:
        assert write_all(fd, buffers, 10, ShortDisk()) == 7 * count
        assert os.pread(fd, 20_000, 10) == b"".join(buffers)
        assert write_all(fd, buffers, 0) == 7 * count
    finally:
        os.close(fd)
