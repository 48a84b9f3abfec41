from __future__ import annotations

import os
from pathlib import Path

import pytest

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.durable import SystemDisk
from cyxcloud.meta.errors import StorageFull
from cyxcloud.meta.room import GOOD_SECONDS, RESERVE_BYTES, Room

PAGE = 4096


class Sized(SystemDisk):
    def __init__(self, total_bytes: int, free_bytes: int) -> None:
        self._total, self._free = total_bytes // PAGE, free_bytes // PAGE

    def statvfs(self, path: Path) -> os.statvfs_result:
        return os.statvfs_result((PAGE, PAGE, self._total, self._free, self._free, 0, 0, 0, 0, 255))


@pytest.mark.parametrize(
    ("total", "reserve"), [(100 << 30, RESERVE_BYTES), (256 << 20, RESERVE_BYTES), (96 << 20, 12 << 20)]
)
def test_room_ends_at_the_reserve(tmp_path: Path, total: int, reserve: int) -> None:
    Room(tmp_path, Sized(total, reserve)).assert_left()
    with pytest.raises(StorageFull):
        Room(tmp_path, Sized(total, reserve - PAGE)).assert_left()


def test_room_that_was_there_a_moment_ago_is_not_asked_for_again(tmp_path: Path) -> None:
    clock, disk = ManualClock(), Sized(100 << 30, RESERVE_BYTES)
    room = Room(tmp_path, disk, clock)
    room.assert_left()
    room.disk = Sized(100 << 30, 0)
    room.assert_left()
    clock.advance(GOOD_SECONDS)
    for _ in range(2):
        with pytest.raises(StorageFull):
            room.assert_left()


def test_room_is_the_disks_own(tmp_path: Path) -> None:
    Room(tmp_path).assert_left()
