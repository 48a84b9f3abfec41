"""Which sync a round takes, and that no error of it is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.ids import NodeId
from nodefs.pack import Pack
from nodefs.syncing import FEWEST_PACKS, QUIET_BYTES, Syncer

PAGE = os.sysconf("SC_PAGE_SIZE")


class CountingDisk(SystemDisk):
    """Counts syncs; `broken` descriptors fail theirs, and with them the whole filesystem's."""

    def __init__(self) -> None:
        self.whole = self.single = 0
        self.broken: set[int] = set()

    def syncfs(self, fd: int) -> None:
        self.whole += 1
        if self.broken:
            raise OSError(errno.EIO, "lost write")
        super().syncfs(fd)

    def fdatasync(self, fd: int) -> None:
        self.single += 1
        if fd in self.broken:
            raise OSError(errno.EIO, "lost write")
        super().fdatasync(fd)


@contextmanager
def syncing(disk: CountingDisk, folder: Path, dirty_bytes: int) -> Iterator[Syncer]:
    counters = folder / "vmstat"
    counters.write_text(f"nr_free_pages 1\nnr_dirty {dirty_bytes // PAGE}\nnr_writeback 0\n")
    syncer = Syncer(disk, counters)
    syncer.start()
    try:
        yield syncer
    finally:
        syncer.stop()


@pytest.fixture
def disk() -> CountingDisk:
    return CountingDisk()


@pytest.fixture
def packs(tmp_path: Path, disk: CountingDisk) -> Iterator[list[Pack]]:
    made = [Pack.create(tmp_path, number, NodeId(bytes(32)), disk) for number in range(FEWEST_PACKS)]
    disk.whole = disk.single = 0
    yield made
    for pack in made:
        pack.close()


def test_many_packs_of_a_quiet_filesystem_are_synced_at_once(
    disk: CountingDisk, packs: list[Pack], tmp_path: Path
) -> None:
    with syncing(disk, tmp_path, dirty_bytes=PAGE) as syncer:
        assert syncer.run(packs, 0) == [None] * FEWEST_PACKS
    assert (disk.whole, disk.single) == (1, 0)


def test_a_few_packs_are_synced_by_themselves(disk: CountingDisk, packs: list[Pack], tmp_path: Path) -> None:
    with syncing(disk, tmp_path, dirty_bytes=0) as syncer:
        syncer.run(packs[1:], 0)
    assert (disk.whole, disk.single) == (0, FEWEST_PACKS - 1)


def test_what_others_left_dirty_is_not_waited_for(disk: CountingDisk, packs: list[Pack], tmp_path: Path) -> None:
    with syncing(disk, tmp_path, dirty_bytes=QUIET_BYTES + 2 * PAGE) as syncer:
        syncer.run(packs, PAGE)
        assert (disk.whole, disk.single) == (0, FEWEST_PACKS)
        syncer.run(packs, 2 * PAGE)  # of these bytes two pages are our own
    assert disk.whole == 1


def test_an_unreadable_counter_means_packs_by_themselves(disk: CountingDisk, packs: list[Pack], tmp_path: Path) -> None:
    syncer = Syncer(disk, tmp_path / "absent")
    syncer.start()
    syncer.run(packs, 0)
    syncer.stop()
    assert (disk.whole, disk.single) == (0, FEWEST_PACKS)


def test_a_failed_sync_of_all_finds_the_pack_that_lost(disk: CountingDisk, packs: list[Pack], tmp_path: Path) -> None:
    disk.broken = {packs[2].fd}
    with syncing(disk, tmp_path, dirty_bytes=0) as syncer:
        errors = syncer.run(packs, 0)
    assert [error is not None for error in errors] == [at == 2 for at in range(FEWEST_PACKS)]
