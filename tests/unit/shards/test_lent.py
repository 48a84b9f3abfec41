"""Short-circuit reads of real packs: right bytes whatever becomes of them, and nothing asked of a host twice."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import BlobId, NodeId, PlacementId, ShardId
from cyxcloud.shards.budget import ByteBudget
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher
from cyxcloud.shards.gather import Fault
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.lent import READ_NOWAIT, BorrowedPacks, LentReads
from cyxcloud.shards.placement import Placement, PlacementPool
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.reader import ChunkReader
from cyxcloud.shards.writer import store_chunk
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.status import HostUnavailable
from nodefs.pack import FIRST_RECORD
from nodefs.record import ALIGN_BYTES, DELETED, STATE, STATE_AT, Header, decode_header
from tests.contract.test_shard_host import real_host
from tests.unit.shards.rig import DEK, HEDGING, MIB, QUICK, some_bytes

K, M = 2, 2
SMALL, BIG = some_bytes(100_000), some_bytes(2 * MIB + 777, 2)


@dataclass
class Box:
    """One real host with four nodes, and a count of what it is asked."""

    folder: Path
    client: HostClient
    plane: DataPlane
    placement: Placement
    asked: list[str] = field(default_factory=list)
    bad: dict[int, Fault] = field(default_factory=dict)
    blobs: int = 0

    def __post_init__(self) -> None:
        for name in ("get", "locate", "borrow"):
            setattr(self.client, name, self._counting(name, getattr(self.client, name)))

    def _counting(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.asked.append(name)
            return await inner(*args, **kwargs)

        return call

    def reader(self, lent: LentReads | None = None) -> ChunkReader:
        return ChunkReader(self.plane, lambda shard, _, fault: self.bad.update({shard.index: fault}), lent)

    async def store(self, data: bytes) -> tuple[ChunkRef, BlobCipher]:
        self.blobs += 1
        cipher = BlobCipher(BlobId(1 << 32 | self.blobs), DEK)
        chunk = await store_chunk(self.plane, cipher, 0, data)
        return ChunkRef(cipher.blob, 0, chunk.root, self.placement.nodes, chunk.size, K, M), cipher

    def pack(self, node: NodeId) -> Path:
        return max((self.folder / self.client.nodes[node].name / "data" / "packs").glob("*.pack"))

    def record(self, ref: ChunkRef, index: int) -> tuple[Path, int, Header]:
        """Pack, offset and header of a shard, found without its host."""
        path = self.pack(ref.nodes[index])
        data, at = path.read_bytes(), FIRST_RECORD
        while (header := decode_header(data[at : at + ALIGN_BYTES])).shard != ShardId(ref.blob, 0, index):
            at += header.record_bytes
        return path, at, header

    def overwrite(self, ref: ChunkRef, index: int, at: int, data: bytes) -> None:
        """Behind everybody's back; `at` counts from the record's beginning."""
        path, offset, _ = self.record(ref, index)
        with path.open("r+b") as file:
            file.seek(offset + at)
            file.write(data)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with real_host(tmp_path) as client:
        clock = SystemClock()
        hosts = HostMap(clock, [client])
        placement = Placement(PlacementId(1), K, M, tuple(sorted(client.nodes)))
        pool = PlacementPool(hosts, [placement], random.Random(7))
        with ThreadPoolExecutor(2) as threads:
            budgets = (ByteBudget(64 * MIB), ByteBudget(64 * MIB), ByteBudget(64 * MIB))
            yield Box(tmp_path, client, DataPlane(hosts, pool, threads, clock, *budgets, QUICK), placement)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Stuck(Executor):
    """Threads whose disk never answers."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return Future()


@pytest.mark.parametrize("data", [b"x", SMALL, BIG, some_bytes(CHUNK_BYTES, 3)], ids=["1", "100k", "2M", "4M"])
async def test_whole_chunks_and_ranges_without_a_get(box: Box, data: bytes) -> None:
    ref, cipher = await box.store(data)
    reader, rng = box.reader(), random.Random(len(data))
    for start, end in [
        (0, len(data)),
        *(sorted(rng.sample(range(len(data) + 1), 2)) for _ in range(20) if data != b"x"),
    ]:
        assert await reader.read(ref, cipher, start, end) == data[start:end]
    assert "get" not in box.asked
    box.asked.clear()
    assert await reader.read(ref, cipher, 0, len(data)) == data
    assert box.asked == [], "a repeated read asks nobody"


async def test_many_at_once_borrow_each_pack_once(box: Box) -> None:
    stored = [(await box.store(data), data) for data in (SMALL, BIG) * 8]
    reader = box.reader()
    for _ in range(2):
        got = await asyncio.gather(*(reader.read(ref, cipher, 0, len(data)) for (ref, cipher), data in stored))
        assert [bytes(one) for one in got] == [data for _, data in stored]
    assert (box.asked.count("get"), box.asked.count("borrow"), box.asked.count("locate")) == (0, K, len(stored))


@pytest.mark.parametrize("data", [SMALL, BIG], ids=["small", "big"])
@pytest.mark.parametrize("nowait", [READ_NOWAIT, 0], ids=["cached", "cold"])
async def test_bytes_that_change_under_a_lent_descriptor_come_from_parity(box: Box, data: bytes, nowait: int) -> None:
    ref, cipher = await box.store(data)
    reader = box.reader(LentReads(box.plane, nowait=nowait))
    assert await reader.read(ref, cipher, 0, len(data)) == data
    header = box.record(ref, 1)[2]
    flipped = bytes([data[0]]) * 9
    box.overwrite(ref, 1, header.payload_at + header.shard_size // 2, flipped)
    for _ in range(2):
        assert await reader.read(ref, cipher, 0, len(data)) == data
        assert box.bad == {1: Fault.CORRUPT}


@pytest.mark.parametrize(
    ("at", "written", "fault"),
    [(STATE_AT, STATE.pack(DELETED), Fault.MISSING), (0, bytes(64), Fault.CORRUPT)],
    ids=["tombstone", "header"],
)
@pytest.mark.parametrize("first", [0, 1_200_000])
async def test_a_record_that_its_host_would_not_give_is_not_taken(
    box: Box, at: int, written: bytes, fault: Fault, first: int
) -> None:
    """Also where only later blocks of the shard are read."""
    ref, cipher = await box.store(BIG)
    reader = box.reader()
    assert await reader.read(ref, cipher, 0, len(BIG)) == BIG
    index = first * K // len(BIG)
    box.overwrite(ref, index, at, written)
    assert await reader.read(ref, cipher, first, first + 100) == BIG[first : first + 100]
    assert box.bad == {index: fault}


async def test_a_pack_cut_short(box: Box) -> None:
    ref, cipher = await box.store(SMALL)
    reader = box.reader()
    assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    path, offset, _ = box.record(ref, 0)
    os.truncate(path, offset + ALIGN_BYTES)
    assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert box.bad == {0: Fault.CORRUPT}


async def test_a_replaced_pack_is_not_borrowed(box: Box) -> None:
    """Who has the old file reads on in it; who has not goes through the host, which has it as well."""
    ref, cipher = await box.store(SMALL)
    before = box.reader()
    assert await before.read(ref, cipher, 0, len(SMALL)) == SMALL
    path = box.pack(ref.nodes[0])
    other = path.with_suffix(".new")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)
    box.asked.clear()
    assert await before.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert box.asked == []
    after = box.reader()
    assert await after.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert box.asked == ["locate", "borrow", "borrow", "get"]
    assert await after.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert box.asked[4:] == ["get"], "nor is it asked for again at once"
    assert box.bad == {}


async def test_evicted_descriptors_are_closed(box: Box) -> None:
    ref, cipher = await box.store(SMALL)
    packs = BorrowedPacks(limit=1)
    before = open_files()
    reader = box.reader(LentReads(box.plane, packs))
    for _ in range(3):
        assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert len(packs) == 1
    assert open_files() == before + 1
    del packs, reader
    assert open_files() == before


def test_removed_packs_are_let_go_with_the_next_one(tmp_path: Path) -> None:
    packs = BorrowedPacks()
    paths = [tmp_path / str(number) for number in range(3)]
    for number, path in enumerate(paths):
        path.touch()
        packs.add((NodeId(b"n"), number), os.open(path, os.O_RDONLY))
        paths[0].unlink(missing_ok=True)
    assert [packs.get((NodeId(b"n"), number)) is None for number in range(3)] == [True, False, False]


async def test_a_node_that_is_down_is_left_alone(box: Box) -> None:
    ref, cipher = await box.store(SMALL)
    reader = box.reader()
    assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    box.plane.hosts.avoid_node(ref.nodes[0])
    box.asked.clear()
    assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert box.asked == ["get"]


async def test_a_shard_that_was_moved_is_looked_for_on_its_new_node(box: Box) -> None:
    ref, cipher = await box.store(SMALL)
    reader = box.reader()
    assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    moved = ChunkRef(ref.blob, 0, ref.root, (ref.nodes[1], ref.nodes[0], *ref.nodes[2:]), ref.size, K, M)
    assert await reader.read(moved, cipher, 0, len(SMALL)) == SMALL
    assert box.bad == {0: Fault.MISSING, 1: Fault.MISSING}


@pytest.mark.parametrize("call", ["locate", "borrow"])
async def test_a_host_that_does_not_answer_is_not_asked_by_every_read(box: Box, call: str) -> None:
    (one, cipher), (other, others) = await box.store(SMALL), await box.store(SMALL)

    async def silent(*_: Any, **__: Any) -> Any:
        box.asked.append(call)
        raise HostUnavailable("no answer before the deadline")

    setattr(box.client, call, silent)
    reader = box.reader()
    assert await reader.read(one, cipher, 0, len(SMALL)) == SMALL
    assert await reader.read(other, others, 0, len(SMALL)) == SMALL
    assert (box.asked.count(call), box.asked.count("get"), box.bad) == (1, 2, {})


async def test_what_is_not_in_the_page_cache_is_read_in_a_thread(box: Box) -> None:
    ref, cipher = await box.store(BIG)
    reader = box.reader(LentReads(box.plane, nowait=0))
    assert await reader.read(ref, cipher, 5, len(BIG)) == BIG[5:]
    assert box.asked.count("get") == 0


async def test_a_disk_that_hangs_holds_up_no_read(box: Box) -> None:
    """Each read goes on through the host after its hedge delay; when all the threads hang, at once."""
    ref, cipher = await box.store(SMALL)
    lent = LentReads(box.plane, nowait=0)
    lent._cold_threads = Stuck()  # type: ignore[assignment]
    object.__setattr__(box.plane, "limits", HEDGING)
    reader = box.reader(lent)
    async with asyncio.timeout(5):
        for _ in range(6):
            assert await reader.read(ref, cipher, 0, len(SMALL)) == SMALL
    assert box.asked.count("get") == 6
    assert lent._cold == 4
