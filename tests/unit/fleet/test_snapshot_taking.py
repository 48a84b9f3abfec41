"""Snapshots on the nodes: what is restored is the file as it was frozen, however a snapshot ends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from cyxcloud.core.ids import NodeId
from cyxcloud.meta import cluster, deletions
from cyxcloud.meta.database import Database
from cyxcloud.meta.heldfile import HeldFile
from cyxcloud.meta.snapshot_manifest import GROUP_BYTES, Manifest
from cyxcloud.meta.snapshot_pointer import read_pointer
from cyxcloud.meta.system import SNAPSHOT_BUCKET
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, Status
from fleet import snapshot_objects
from fleet.snapshot_file import FileChanged, GroupsBody, scan
from fleet.snapshot_taking import NotFrozen, PointerQuorumLost
from tests.unit.fleet.snapshot_rig import Rig, rig

MANY = 10**15


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Iterator[Rig]:
    with rig(template, tmp_path) as made:
        yield made


def keys(store: Rig) -> list[bytes]:
    rows = store.database.reader().driver.execute(
        "SELECT key FROM head WHERE bucket = ? ORDER BY key", (SNAPSHOT_BUCKET,)
    )
    return [bytes(row[0]) for row in rows]


async def test_take_makes_the_database_restorable(store: Rig, tmp_path: Path) -> None:
    await store.fill(3000)
    taken = await store.take()
    assert taken.is_full
    frozen = store.path.read_bytes()
    manifest = store.nodes.restore(tmp_path / "again.db")
    assert (tmp_path / "again.db").read_bytes() == frozen
    assert manifest.summary == taken.summary
    assert len(store.bodies(tmp_path / "again.db")) == 3000
    assert {read_pointer(data).sequence for data in store.nodes.pointers()} == {1}
    assert len(store.nodes.pointers()) == 16


async def test_take_again_writes_only_what_changed(store: Rig, tmp_path: Path) -> None:
    await store.fill(5000)
    full = await store.take()
    await store.fill(10, first=9000)
    second = await store.take()
    assert not second.is_full
    assert full.written_groups > 80
    assert second.written_groups < 20
    store.nodes.restore(tmp_path / "again.db")
    assert set(store.bodies(tmp_path / "again.db")) >= {1, 5000, 9009}


async def test_take_under_writes_restores_the_moment_of_the_checkpoint(store: Rig, tmp_path: Path) -> None:
    """Writes go on into the WAL; none of them is half in the snapshot. Fails where checkpoints are not held off."""
    done = asyncio.Event()
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        while not done.is_set():
            await store.fill(50, first=10_000 + acknowledged)
            acknowledged += 50

    async def checkpoint() -> None:
        while not done.is_set():
            async with store.gate:
                await asyncio.to_thread(store.writer.checkpoint)
            await asyncio.sleep(0.002)

    writing, moving = asyncio.create_task(write()), asyncio.create_task(checkpoint())
    try:
        for _ in range(4):
            before = acknowledged
            await store.take()
            store.nodes.restore(tmp_path / "again.db")
            restored = sum(1 for blob in store.bodies(tmp_path / "again.db") if blob >= 10_000)
            assert restored % 50 == 0
            assert before <= restored <= acknowledged
            await asyncio.sleep(0.02)
    finally:
        done.set()
        await asyncio.gather(writing, moving)


async def test_take_while_a_reader_blocks_the_checkpoint_is_refused(store: Rig, tmp_path: Path) -> None:
    """A partial checkpoint leaves pages of several commits in the file. Fails where `complete` is not asked."""
    await store.fill(100)
    reading = sqlite3.connect(store.path, isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM inline").fetchone()
    await store.fill(2000, first=1000)
    with pytest.raises(NotFrozen):
        await replace(await store.taker(), freeze_tries=2).take()
    assert store.nodes.pointers() == []
    reading.close()
    await store.take()
    store.nodes.restore(tmp_path / "again.db")
    assert len(store.bodies(tmp_path / "again.db")) == 2100


async def test_body_of_a_file_that_moved_is_refused(tmp_path: Path) -> None:
    """Fails where what is written is not held against what was hashed."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * (5 * GROUP_BYTES - 7))
    scanned = scan(HeldFile(path))
    buffer = memoryview(bytearray(8 * GROUP_BYTES))
    body = GroupsBody(HeldFile(path), scanned, (1, 4))
    assert await body.fill(buffer) == 2 * GROUP_BYTES
    assert bytes(buffer[: 2 * GROUP_BYTES]).rstrip(b"\0") == b"x" * (2 * GROUP_BYTES - 7)
    with path.open("r+b") as file:
        file.seek(4 * GROUP_BYTES)
        file.write(b"moved")
    body = GroupsBody(HeldFile(path), scanned, (1, 4))
    with pytest.raises(FileChanged):
        await body.fill(buffer)


async def test_take_gives_up_what_no_snapshot_needs(store: Rig) -> None:
    await store.fill(3000)
    await store.take()
    for round_number in range(6):
        await store.empty(1500)
        await store.fill(1500)
        taken = await store.take()
        manifest = Manifest.decode((store.path.parent / "snapshot.state").read_bytes())
        live = sorted([blob.key for blob in manifest.blobs] + [b"manifest/%012d" % taken.summary.sequence])
        assert keys(store) == live
        stored = sum(blob.stored_groups for blob in manifest.blobs)
        assert stored <= 2 * len(manifest.groups), round_number
    assert len(deletions.due(store.database.reader(), MANY, 1000)) >= 6


async def test_take_without_its_state_file_is_a_full_one(store: Rig) -> None:
    await store.fill(1000)
    await store.take()
    state = store.path.parent / "snapshot.state"
    for damage in (state.unlink, lambda: state.write_bytes(state.read_bytes()[:-1] + b"?")):
        damage()
        assert (await store.take()).is_full
        assert not (await store.take()).is_full
    assert oct(state.stat().st_mode)[-3:] == "600"


async def test_take_with_the_state_of_a_later_day_is_a_full_one(store: Rig, template: Path, tmp_path: Path) -> None:
    """An old copy of the database was put back beside a newer state file."""
    await store.fill(100)
    await store.take()
    state = store.path.parent / "snapshot.state"
    later = state.read_bytes()
    with rig(template, tmp_path / "old") as old:
        (old.path.parent / "snapshot.state").write_bytes(later)
        await old.fill(100)
        assert (await old.take()).is_full


async def test_take_after_its_objects_were_removed_is_a_full_one(store: Rig) -> None:
    await store.fill(100)
    await store.take()
    await snapshot_objects.give_up_all_but((await store.taker()).store, frozenset())
    assert (await store.take()).is_full


async def test_take_with_too_few_pointers_keeps_the_snapshot_before(store: Rig, tmp_path: Path) -> None:
    """Fails where older groups are given up, or the state is written, before the pointer has its quorum."""
    await store.fill(3000)
    await store.take()
    await store.empty(3000)
    before = {key for key in keys(store) if key.startswith(b"delta")}
    deaf = set(store.node_ids()[3:])
    failing = replace(await store.taker(), hosts=[cast("ShardHost", _DeafHost(host, deaf)) for host in store.hosts])
    with pytest.raises(PointerQuorumLost, match="3 nodes"):
        await failing.take()
    assert before <= set(keys(store))
    assert Manifest.decode((store.path.parent / "snapshot.state").read_bytes()).summary.sequence == 1
    nodes = store.nodes
    assert nodes.restore(tmp_path / "again.db").summary.sequence == 2  # on three nodes, and whole
    nodes.missing = set(store.node_ids()[:3])
    assert nodes.restore(tmp_path / "again.db").summary.sequence == 1
    assert len(store.bodies(tmp_path / "again.db")) == 3000


class _DeafHost:
    """Its named nodes take no pointer."""

    def __init__(self, host: MemoryHost, deaf: set[NodeId]) -> None:
        self._host, self._deaf = host, deaf

    def __getattr__(self, name: str) -> object:
        return getattr(self._host, name)

    async def put_pointer(self, node: NodeId, pointer: bytes) -> None:
        if node in self._deaf:
            raise HostRefused(Status.DOWN, "deaf")
        await self._host.put_pointer(node, pointer)


async def test_restore_without_four_nodes_and_with_damaged_pointers(store: Rig, tmp_path: Path) -> None:
    await store.fill(2000)
    await store.take()
    ids = store.node_ids()
    for first in range(16):
        nodes = store.nodes
        nodes.missing = {ids[(first + at) % 16] for at in range(4)}
        nodes.restore(tmp_path / "again.db")
    left = [node for node in ids if node not in nodes.missing]
    for number, node in enumerate(left[:-1]):
        host = next(host for host in store.hosts if node in host.identities)
        host.pointers[node] = host.pointers[node][:-number] if number else b""
    assert nodes.restore(tmp_path / "again.db").summary.sequence == 1


async def test_restore_with_wrong_bytes_in_shards_takes_others(store: Rig, tmp_path: Path) -> None:
    """Fails where a shard is not proven before it is decoded: the code gives wrong bytes without a word."""
    await store.fill(2000)
    await store.take()
    frozen = store.path.read_bytes()
    for host in store.hosts:
        for node in list(host.identities)[:2]:
            for shard in host.shards[node]:
                host.corrupt(node, shard, at=3)
    store.nodes.restore(tmp_path / "again.db")
    assert (tmp_path / "again.db").read_bytes() == frozen


async def test_sequence_is_in_the_frozen_file(store: Rig, tmp_path: Path) -> None:
    """So that a copy of an earlier day says a lower number than the nodes' pointers."""
    for sequence in (1, 2):
        await store.take()
        store.nodes.restore(tmp_path / "again.db")
        copy = Database(tmp_path / "again.db")
        assert cluster.snapshot_sequence(copy.reader()) == sequence
        copy.close()
