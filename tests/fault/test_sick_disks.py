"""A disk that fails, fills, hangs or goes takes its own nodes out and no others, and they come back when it heals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.core.merkle import Buffer
from cyxcloud.wire.client import GetBatch, Hello, HostClient, HostRefused, NodeInfo, NodeState, Status
from nodefs.app import NodeHost
from nodefs.health import Limits
from nodefs.provision import create_node
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, UNSYNCED, batch, pieces

LIMITS = Limits(slow=0.2, hung=0.4, probe=0.03, again=0.03)
SMALL = pieces(6556)
BLOB = 7 << 32 | 1
WELL, SICK = ("a1", "a2"), ("b1", "b2")
PATIENCE = 10.0


class TwoDisks(SystemDisk):
    """What lies below a folder `b` is a disk of its own, which can be made sick."""

    def __init__(self) -> None:
        self.error = 0  # of writes and syncs
        self.read_error = 0
        self.hangs = threading.Event()
        self.hangs.set()  # clear() makes it hang
        self._sick_fds: set[int] = set()

    def heal(self) -> None:
        self.error = self.read_error = 0
        self.hangs.set()

    def _write(self, *, sick: bool) -> None:
        if sick:
            self.hangs.wait(PATIENCE)
            if self.error:
                raise OSError(self.error, os.strerror(self.error))

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        if flags & os.O_CREAT:
            self._write(sick="b" in path.parts)
        fd = super().open(path, flags, mode)
        if "b" in path.parts:
            self._sick_fds.add(fd)
        return fd

    def close(self, fd: int) -> None:
        self._sick_fds.discard(fd)
        super().close(fd)

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        self._write(sick=fd in self._sick_fds)
        return super().pwritev(fd, buffers, offset)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        if self.read_error and fd in self._sick_fds:
            raise OSError(self.read_error, os.strerror(self.read_error))
        return super().pread(fd, size, offset)

    def fdatasync(self, fd: int) -> None:
        self._write(sick=fd in self._sick_fds)

    def fsync(self, fd: int) -> None:
        self._write(sick=fd in self._sick_fds)

    def syncfs(self, fd: int) -> None:
        self._write(sick=fd in self._sick_fds)

    def stat(self, path: Path) -> os.stat_result:
        return _on_disk(super().stat(path), sick="b" in path.parts)

    def fstat(self, fd: int) -> os.stat_result:
        return _on_disk(super().fstat(fd), sick=fd in self._sick_fds)


def _on_disk(status: os.stat_result, *, sick: bool) -> os.stat_result:
    values = list(status[:10])
    values[2] = 2 if sick else 1
    return os.stat_result(values)


@dataclass
class Box:
    client: HostClient
    disk: TwoDisks
    path: Path
    ids: dict[str, NodeId]
    folders: dict[str, Path]

    async def infos(self) -> dict[str, NodeInfo]:
        return {info.name: info for info in await self.client.stats()}

    async def until(self, names: Sequence[str], state: NodeState, reason: str = "") -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                infos = await self.infos()
                if all(infos[name].state is state and reason in infos[name].reason for name in names):
                    return
                await asyncio.sleep(0.02)

    async def put(self, names: Sequence[str], blob: int = BLOB) -> list[Status]:
        answer = await self.client.put(batch(SMALL, [self.ids[name] for name in names], blob))
        return [answer[index] for index in range(len(names))]

    async def get(self, names: Sequence[str], blob: int = BLOB) -> list[Status]:
        nodes = [self.ids[name] for name in names]
        answer = await self.client.get(GetBatch(BlobId(blob), 0, range(len(nodes)), nodes))
        good = [index for index, status in enumerate(answer.statuses) if status is Status.OK]
        assert bytes(answer.payload) == b"".join(SMALL.payloads[index] for index in good)
        return answer.statuses


@contextlib.asynccontextmanager
async def running(path: Path, disk: TwoDisks, limits: Limits = LIMITS) -> AsyncIterator[Box]:
    folders = {name: path / name[0] / name for name in WELL + SICK}
    for name, folder in folders.items():
        if not any(each.exists() for each in (folder, path / "aside")):
            create_node(folder, name, CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    host = NodeHost(list(folders.values()), path / "sock", disk=disk, limits=limits)
    task = asyncio.create_task(host.run())
    client = HostClient(path / "sock", Hello("coordinator", CLUSTER, INCARNATION))
    try:
        await client.start(PATIENCE)
        ids = {info.name: info.node_id for info in await client.stats()}
        yield Box(client, disk, path, ids, folders)
    finally:
        disk.heal()
        await client.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with running(tmp_path, TwoDisks()) as made:
        assert await made.put(WELL + SICK) == [Status.OK] * 4
        yield made


async def heals(box: Box) -> None:
    """All nodes take writes again, and nothing is lost."""
    box.disk.heal()
    await box.until(WELL + SICK, NodeState.UP)
    assert await box.get(WELL + SICK) == [Status.OK] * 4
    assert await box.put(WELL + SICK, BLOB + 77) == [Status.OK] * 4


async def test_disk_that_fails_takes_its_nodes_down_and_they_come_back(box: Box) -> None:
    box.disk.error = errno.EIO
    await box.until(SICK, NodeState.DOWN, "Input/output error")
    assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK] * 2 + [Status.DOWN] * 2
    assert await box.get(WELL + SICK) == [Status.OK] * 2 + [Status.DOWN] * 2
    await heals(box)


async def test_write_that_fails_is_not_acknowledged_and_its_node_is_opened_again(box: Box) -> None:
    box.disk.error = errno.EIO
    assert await box.put(WELL + SICK, BLOB + 1) in (
        [Status.OK, Status.OK, Status.IO_ERROR, Status.IO_ERROR],
        [Status.OK, Status.OK, Status.DOWN, Status.DOWN],
    )
    await box.until(SICK, NodeState.DOWN)
    await heals(box)
    assert await box.get(SICK, BLOB + 1) == [Status.NOT_FOUND] * 2


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EROFS, "read-only"), (errno.ENOSPC, "full"), (errno.EDQUOT, "full")]
)
async def test_disk_that_takes_no_writes_is_read_on_and_takes_them_when_it_heals(
    box: Box, number: int, reason: str
) -> None:
    box.disk.error = number
    await box.until(SICK, NodeState.READ_ONLY, reason)
    assert await box.get(WELL + SICK) == [Status.OK] * 4
    assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK] * 2 + [Status.FULL] * 2
    await heals(box)


async def test_write_that_meets_a_read_only_filesystem_leaves_reads(box: Box) -> None:
    box.disk.error = errno.EROFS
    statuses = await box.put(WELL + SICK, BLOB + 1)
    assert statuses[:2] == [Status.OK] * 2
    assert Status.OK not in statuses[2:]
    assert await box.get(WELL + SICK) == [Status.OK] * 4
    await heals(box)


async def test_disk_that_hangs_holds_up_only_its_own_nodes(box: Box) -> None:
    box.disk.hangs.clear()
    stuck = [asyncio.create_task(box.put(WELL + SICK, BLOB + number)) for number in range(1, 4)]
    assert await box.put(WELL, BLOB + 9) == [Status.OK] * 2
    await box.until(SICK, NodeState.DOWN, "not answered")
    for task in stuck:
        assert await task == [Status.OK] * 2 + [Status.BUSY] * 2
    assert await box.put(WELL + SICK, BLOB + 10) == [Status.OK] * 2 + [Status.DOWN] * 2
    assert await box.get(WELL + SICK) == [Status.OK] * 2 + [Status.DOWN] * 2
    await heals(box)
    # What had waited for the disk was given up, but for the round that it hung in.
    for number in range(1, 4):
        assert await box.put(WELL + SICK, BLOB + number) == [Status.OK] * 4


async def test_disk_that_hangs_gives_back_what_its_requests_hold(box: Box) -> None:
    """Else its requests would in time fill what the host may receive, and stop all others."""
    box.disk.hangs.clear()
    stuck = [asyncio.create_task(box.put(SICK, BLOB + number)) for number in range(1, 9)]
    await box.until(SICK, NodeState.DOWN)
    await asyncio.gather(*stuck)
    assert await box.put(WELL, BLOB + 9) == [Status.OK] * 2


async def test_node_whose_reads_fail_is_down_and_opened_again(box: Box) -> None:
    box.disk.read_error = errno.EIO
    async with asyncio.timeout(PATIENCE):
        while (await box.infos())["b1"].state is NodeState.UP:
            with contextlib.suppress(HostRefused):
                await box.client.verify(box.ids["b1"], ShardId(BlobId(BLOB), 0, 2), 0, b"nonce")
    assert await box.put(WELL, BLOB + 1) == [Status.OK] * 2
    await asyncio.sleep(5 * LIMITS.again)
    box.disk.heal()
    await box.until(SICK, NodeState.UP)


Ruin = Callable[[Box], Awaitable[None]]


async def removed(box: Box) -> None:
    shutil.copytree(box.folders["b1"], box.path / "aside")
    shutil.rmtree(box.folders["b1"])


async def moved(box: Box) -> None:
    box.folders["b1"].rename(box.path / "aside")


async def emptied(box: Box) -> None:
    shutil.copytree(box.folders["b1"], box.path / "aside")
    for each in box.folders["b1"].iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()


async def replaced(box: Box) -> None:
    box.folders["b1"].rename(box.path / "aside")
    create_node(box.folders["b1"], "stranger", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)


async def copied_over(box: Box) -> None:
    box.folders["b1"].rename(box.path / "aside")
    shutil.copytree(box.folders["a1"], box.folders["b1"])


@pytest.mark.parametrize("ruin", [removed, moved, emptied, replaced, copied_over])
async def test_node_whose_folder_goes_is_lost_never_made_again_and_back_with_its_folder(box: Box, ruin: Ruin) -> None:
    await ruin(box)
    before = sorted(str(path) for path in box.folders["b1"].rglob("*"))
    await box.until(["b1"], NodeState.LOST)
    info = (await box.infos())["b1"]
    assert info.node_id == box.ids["b1"]
    assert str(box.folders["b1"]) in info.reason
    assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK, Status.OK, Status.DOWN, Status.OK]
    assert await box.get(WELL + SICK) == [Status.OK, Status.OK, Status.DOWN, Status.OK]
    await asyncio.sleep(5 * LIMITS.again)
    assert sorted(str(path) for path in box.folders["b1"].rglob("*")) == before
    shutil.rmtree(box.folders["b1"], ignore_errors=True)
    (box.path / "aside").rename(box.folders["b1"])
    await box.until(["b1"], NodeState.UP)
    assert await box.get(WELL + SICK) == [Status.OK] * 4
    assert await box.put(["b1"], BLOB + 2) == [Status.OK]


async def test_no_acknowledgement_rests_on_a_folder_that_went_between_two_probes(tmp_path: Path) -> None:
    async with running(tmp_path, TwoDisks(), replace(LIMITS, probe=60.0)) as box:
        assert await box.put(WELL + SICK) == [Status.OK] * 4
        shutil.rmtree(box.folders["b1"])
        assert await box.put(WELL + SICK, BLOB + 1) == [Status.OK, Status.OK, Status.IO_ERROR, Status.OK]


async def test_folder_replaced_by_a_copy_of_itself_is_not_served_from_what_was_removed(tmp_path: Path) -> None:
    async with running(tmp_path, TwoDisks(), replace(LIMITS, again=60.0)) as box:
        shutil.copytree(box.folders["b1"], box.path / "aside")
        box.folders["b1"].rename(box.path / "removed")
        (box.path / "aside").rename(box.folders["b1"])
        await box.until(["b1"], NodeState.LOST)
        assert (await box.client.open_node(box.folders["b1"])).state is NodeState.UP
        assert await box.put(["b1"]) == [Status.OK]
        assert list((box.folders["b1"] / "data" / "packs").iterdir())


async def test_folder_that_is_not_there_at_the_start_is_lost_and_served_when_it_comes(tmp_path: Path) -> None:
    async with running(tmp_path, TwoDisks()) as box:
        ids = box.ids
        await box.put(WELL + SICK)
    (tmp_path / "b").rename(tmp_path / "aside")
    async with running(tmp_path, TwoDisks()) as box:
        box.ids = ids
        infos = await box.infos()
        assert {infos[name].state for name in SICK} == {NodeState.LOST}
        assert {infos[name].node_id for name in SICK} == {b""}
        assert not (tmp_path / "b").exists()
        (tmp_path / "aside").rename(tmp_path / "b")
        await box.until(SICK, NodeState.UP)
        assert await box.get(WELL + SICK) == [Status.OK] * 4


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken"])
async def test_copy_of_a_node_at_the_start_does_not_speak_for_it(tmp_path: Path, *, broken: bool) -> None:
    async with running(tmp_path, TwoDisks()) as box:
        ids = box.ids
    shutil.rmtree(tmp_path / "b" / "b1")
    shutil.copytree(tmp_path / "a" / "a1", tmp_path / "b" / "b1")
    if broken:
        shutil.rmtree(tmp_path / "b" / "b1" / "data" / "packs")
    async with running(tmp_path, TwoDisks()) as box:
        infos = await box.client.stats()
        (lost,) = [info for info in infos if info.state is not NodeState.UP]
        assert (lost.node_id, lost.name, lost.state) == (b"", "b1", NodeState.LOST)
        assert ("lacks" if broken else "copy") in lost.reason
        assert {info.node_id for info in infos if info.state is NodeState.UP} == {
            ids[name] for name in ("a1", "a2", "b2")
        }


async def test_new_node_in_the_place_of_a_lost_one_is_served_when_the_coordinator_says_so(box: Box) -> None:
    shutil.rmtree(box.folders["b1"])
    await box.until(["b1"], NodeState.LOST)
    made = create_node(box.folders["b1"], "b1", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    await asyncio.sleep(5 * LIMITS.again)
    assert (await box.infos())["b1"].state is NodeState.LOST
    info = await box.client.open_node(box.folders["b1"])
    assert (info.node_id, info.state) == (made, NodeState.UP)
    assert len(await box.client.stats()) == 4
