"""R8 on real filesystems in memory: no inodes, read-only, unmounted. Mounting takes the right to."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.wire.client import NodeState, Status
from tests.fault.test_sick_disks import BLOB, SICK, WELL, Box, TwoDisks, running
from tests.unit.nodefs.making import signed_order

INODES = 200


def mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The folder of the sick disk's nodes is a filesystem of its own."""
    folder = tmp_path / "b"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size=64m,nr_inodes={INODES}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: small filesystems, since none can be mounted here ({error})")
    yield folder
    while subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True).returncode == 0:
        pass


@pytest.fixture
async def box(small: Path) -> AsyncIterator[Box]:
    async with running(small.parent, TwoDisks()) as made:
        assert await made.put(WELL + SICK) == [Status.OK] * 4
        yield made


async def test_filesystem_without_inodes_is_read_and_deleted_from_and_comes_back(box: Box, small: Path) -> None:
    litter = []
    with pytest.raises(OSError, match="No space left"):
        for number in range(2 * INODES):
            path = small / f"litter-{number}"
            path.touch()
            litter.append(path)
    await box.until(SICK, NodeState.READ_ONLY, "no inodes left")
    assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK] * 2 + [Status.FULL] * 2
    assert await box.get(WELL + SICK) == [Status.OK] * 4
    assert (await box.infos())["b1"].free_bytes > 0
    order, signature = signed_order(box.ids["b1"], [ShardId(BlobId(BLOB), 0, 2)], SystemClock().now_ms())
    assert (await box.client.delete(order, signature)).statuses == [Status.OK]
    for path in litter:
        path.unlink()
    await box.until(SICK, NodeState.UP)
    assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK] * 4


async def test_filesystem_that_others_filled_is_read_only_until_there_is_room(box: Box, small: Path) -> None:
    with (small / "litter").open("wb") as litter, pytest.raises(OSError, match="No space left"):
        while True:
            litter.write(bytes(1 << 20))
            litter.flush()
    await box.until(SICK, NodeState.READ_ONLY)
    assert await box.get(WELL + SICK) == [Status.OK] * 4
    (small / "litter").unlink()
    await box.until(SICK, NodeState.UP)
    assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK] * 4


async def test_filesystem_that_is_unmounted_is_lost_and_back_when_it_is_mounted_again(box: Box, small: Path) -> None:
    aside = small.parent / "aside"
    aside.mkdir()
    mount("--bind", str(small), str(aside))
    try:
        subprocess.run(["umount", "-l", str(small)], check=True)
        await box.until(SICK, NodeState.LOST)
        assert list(small.iterdir()) == []
        assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK] * 2 + [Status.DOWN] * 2
        mount("--bind", str(aside), str(small))
        await box.until(SICK, NodeState.UP)
        assert await box.get(WELL + SICK) == [Status.OK] * 4
    finally:
        subprocess.run(["umount", "-l", str(aside)], check=True)


async def test_filesystem_that_is_read_only_at_the_start_is_served_when_it_is_not(small: Path) -> None:
    async with running(small.parent, TwoDisks()) as box:
        ids = box.ids
        assert await box.put(WELL + SICK) == [Status.OK] * 4
    mount("-o", "remount,ro", str(small))
    async with running(small.parent, TwoDisks()) as box:
        await box.until(SICK, NodeState.DOWN, "Read-only file system")
        assert await box.put(WELL, BLOB + 1) == [Status.OK] * 2
        mount("-o", "remount,rw", str(small))
        await box.until(SICK, NodeState.UP)
        box.ids = ids
        assert await box.get(WELL + SICK) == [Status.OK] * 4
