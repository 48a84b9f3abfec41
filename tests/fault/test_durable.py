"""core/durable under a disk that fails or loses power at every operation: old or new, and what returned is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cyxcloud.core.durable import create_file, make_dirs, remove_file, write_all, write_file
from tests.fault.faultdisk import Fault, FaultDisk, PowerLost, Survives
from tests.fault.sweep import Case, crash_everywhere, fail_everywhere

OLD, NEW = b"old" * 3000, b"new" * 5000


def with_old(root: Path) -> None:
    (root / "f").write_bytes(OLD)


def nothing(_root: Path) -> None:
    pass


def content(root: Path) -> bytes | None:
    return (root / "f").read_bytes() if (root / "f").exists() else None


def case(
    prepare: Callable[[Path], None], work: Callable[[FaultDisk], None], before: bytes | None, after: bytes | None
) -> Case[list[bool]]:
    """`before` or `after`; once it has returned, `after`."""

    def run(disk: FaultDisk, done: list[bool]) -> None:
        work(disk)
        done.append(True)

    def check(root: Path, done: list[bool]) -> None:
        assert content(root) == after if done else content(root) in (before, after)

    return Case(prepare, list, run, check)


CASES = {
    "write anew": case(nothing, lambda disk: write_file(disk.root / "f", NEW, disk=disk), None, NEW),
    "replace": case(with_old, lambda disk: write_file(disk.root / "f", NEW, disk=disk), OLD, NEW),
    "create": case(nothing, lambda disk: create_file(disk.root / "f", NEW, disk=disk), None, NEW),
    "remove": case(with_old, lambda disk: remove_file(disk.root / "f", disk=disk), OLD, None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_old_or_new_wherever_the_power_goes(name: str, tmp_path: Path) -> None:
    assert crash_everywhere(CASES[name], tmp_path, seeds=4) > 10


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_old_or_new_whichever_operation_fails(name: str, tmp_path: Path) -> None:
    assert fail_everywhere(CASES[name], tmp_path) > 8


def test_folders_made_are_there_with_what_was_written_in_them(tmp_path: Path) -> None:
    def work(disk: FaultDisk, done: list[bool]) -> None:
        make_dirs(disk.root / "a" / "b", disk=disk)
        write_file(disk.root / "a" / "b" / "f", NEW, disk=disk)
        done.append(True)

    def check(root: Path, done: list[bool]) -> None:
        assert not done or (root / "a" / "b" / "f").read_bytes() == NEW

    assert crash_everywhere(Case(nothing, list, work, check), tmp_path, seeds=4) > 20


# The disk itself


@pytest.fixture
def disk(tmp_path: Path) -> FaultDisk:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "f").write_bytes(OLD)
    return FaultDisk(tmp_path / "root")


def after_power(disk: FaultDisk, survives: Survives = Survives.NOTHING, seed: int = 0) -> Path:
    target = disk.root.with_name(f"after-{survives.name}-{seed}")
    disk.power_returns(target, survives, seed=seed)
    return target


def overwrite(disk: FaultDisk, data: bytes, *, sync: bool) -> None:
    fd = disk.open(disk.root / "f", os.O_RDWR)
    write_all(fd, [data], 0, disk)
    if sync:
        disk.fdatasync(fd)
    disk.close(fd)


def test_what_was_not_synced_is_lost(disk: FaultDisk) -> None:
    overwrite(disk, NEW, sync=False)
    assert content(disk.root) == NEW
    assert content(after_power(disk)) == OLD
    assert content(after_power(disk, Survives.EVERYTHING)) == NEW
    overwrite(disk, NEW, sync=True)
    assert content(after_power(disk, seed=1)) == NEW


def test_a_torn_write_keeps_its_beginning(disk: FaultDisk) -> None:
    overwrite(disk, b"A" * len(OLD), sync=False)
    kept = {len(content(after_power(disk, Survives.TORN, seed)) or b"") for seed in range(3)}
    torn = [(content(after_power(disk, Survives.TORN, seed)) or b"").count(b"A") for seed in range(3, 13)]
    assert kept == {len(OLD)}
    assert all(count % 512 == 0 for count in torn)
    assert len(set(torn)) > 2


def test_pages_survive_in_any_order(disk: FaultDisk) -> None:
    overwrite(disk, b"A" * 8192, sync=False)
    found = {(content(after_power(disk, Survives.SOME, seed)) or b"")[::4096][:2] for seed in range(20)}
    assert len(found) == 4


def test_a_new_name_needs_its_folders_sync(disk: FaultDisk) -> None:
    disk.rename(disk.root / "f", disk.root / "g")
    assert [each.name for each in after_power(disk).iterdir()] == ["f"]
    fd = disk.open(disk.root, os.O_RDONLY | os.O_DIRECTORY)
    disk.fsync(fd)
    disk.close(fd)
    assert [each.name for each in after_power(disk, seed=1).iterdir()] == ["g"]


def test_data_is_lost_after_a_failed_sync_though_the_next_succeeds(disk: FaultDisk) -> None:
    disk.fault = Fault(3, 5)
    with pytest.raises(OSError, match="injected"):
        overwrite(disk, NEW, sync=True)
    fd = disk.open(disk.root / "f", os.O_RDWR)
    disk.fsync(fd)
    disk.close(fd)
    assert content(after_power(disk)) == OLD


def test_nothing_goes_on_without_power(disk: FaultDisk) -> None:
    disk.fault = Fault(1)
    for _ in range(2):
        with pytest.raises(PowerLost):
            overwrite(disk, NEW, sync=True)
