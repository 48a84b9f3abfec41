from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher, FrameDamaged
from cyxcloud.shards.gather import ChunkUnavailable, Fault
from cyxcloud.shards.latency import MAX_HEDGE_SECONDS, MIN_HEDGE_SECONDS, Latency
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.shards.writer import store_chunk
from cyxcloud.wire.shardhost import GetAnswer, GetBatch
from cyxcloud.wire.status import Status
from tests.unit.shards.rig import DEK, HEDGING, MIB, Rig, limits, rig, some_bytes

DATA = some_bytes(2 * MIB + 777)  # above what is worked on in the event loop


class Counting:
    """Counts what is asked of a host."""

    def __init__(self, plane: Rig) -> None:
        self.asked: list[GetBatch] = []
        for host in plane.memory:
            host.get = self._recorder(host.get)  # type: ignore[method-assign]

    def _recorder(self, inner):  # type: ignore[no-untyped-def]
        async def get(batch: GetBatch, into: memoryview | None = None, *, seconds: float = 0) -> GetAnswer:
            self.asked.append(batch)
            return await inner(batch, into, seconds=seconds)  # type: ignore[no-any-return]

        return get

    def blocks(self) -> int:
        return sum(len(batch.indexes) * batch.block_count for batch in self.asked)


async def test_whole_chunk_is_one_request_a_host_and_no_parity() -> None:
    with rig() as plane:
        ref, cipher = await plane.store(DATA)
        counting = Counting(plane)
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert [batch.indexes for batch in counting.asked] == [tuple(range(10))]


async def test_range_fetches_only_the_blocks_it_needs() -> None:
    with rig() as plane:
        data = some_bytes(CHUNK_BYTES)
        ref, cipher = await plane.store(data)
        counting = Counting(plane)
        assert await plane.reader().read(ref, cipher, 200_000, 200_100) == data[200_000:200_100]
        assert counting.blocks() == 2


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
async def test_any_range_with_any_shards_gone(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([1, 100, 70_000, 700_000, CHUNK_BYTES]))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    lost = data.draw(st.sets(st.integers(0, 13), max_size=4))
    hosts = data.draw(st.sampled_from([1, 2, 14]))
    with rig(hosts, 14 // hosts) as plane:
        plaintext = some_bytes(size)
        ref, cipher = await plane.store(plaintext)
        for index in lost:
            plane.host_of(ref.nodes[index]).drop(ref.nodes[index], ref.shard(index))
        assert await plane.reader().read(ref, cipher, start, end) == plaintext[start:end]
        assert set(plane.wrong().values()) <= {Fault.MISSING}
        assert plane.wrong().keys() <= lost


async def test_missing_and_corrupt_are_told_apart() -> None:
    with rig() as plane:
        ref, cipher = await plane.store(DATA)
        host = plane.memory[0]
        host.drop(ref.nodes[2], ref.shard(2))
        host.corrupt(ref.nodes[5], ref.shard(5), 70_000)
        host.state = {ref.nodes[7]: Status.DOWN, ref.nodes[8]: Status.CORRUPT}
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert plane.wrong() == {2: Fault.MISSING, 5: Fault.CORRUPT, 7: Fault.UNREACHABLE, 8: Fault.CORRUPT}


async def test_a_second_read_of_a_damaged_shard_is_not_fooled_by_the_first() -> None:
    """Hashes and proofs are remembered, bytes never: damage after a good read is seen by the next."""
    with rig() as plane:
        ref, cipher = await plane.store(DATA)
        reader = plane.reader()
        assert await reader.read(ref, cipher, 0, len(DATA)) == DATA
        plane.memory[0].corrupt(ref.nodes[0], ref.shard(0), 5)
        assert await reader.read(ref, cipher, 0, len(DATA)) == DATA
        assert plane.wrong() == {0: Fault.CORRUPT}


async def test_a_shard_of_another_size_does_not_spoil_its_batch() -> None:
    with rig() as plane:
        ref, cipher = await plane.store(DATA)
        host, node = plane.memory[0], ref.nodes[0]
        stored = host.shards[node][ref.shard(0)]
        host.shards[node][ref.shard(0)] = replace(stored, payload=stored.payload[:-1])
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert plane.wrong() == {0: Fault.CORRUPT}


async def test_avoided_nodes_are_not_asked_while_others_suffice() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        ref, cipher = await plane.store(DATA)
        plane.plane.hosts.avoid_node(ref.nodes[0])
        counting = Counting(plane)
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert sorted(tuple(batch.indexes) for batch in counting.asked) == [(index,) for index in range(1, 11)]
        assert plane.bad == []
        for node in ref.nodes[1:6]:
            plane.plane.hosts.avoid_node(node)
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA


async def test_nodes_that_no_host_serves_are_made_up_for() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        ref, cipher = await plane.store(DATA)
        plane.with_hosts(list(plane.memory[4:]))
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        plane.with_hosts(list(plane.memory[5:]))
        with pytest.raises(ChunkUnavailable):
            await plane.reader().read(ref, cipher, 0, len(DATA))
        assert set(plane.wrong().values()) == {Fault.UNREACHABLE}


@pytest.mark.parametrize("late", [1, 4])
async def test_late_hosts_are_hedged(late: int) -> None:
    """R9: some of fourteen hosts never answer; the read takes little more than the hedge delay."""
    with rig(hosts=14, nodes_each=1, limits=HEDGING) as plane:
        ref, cipher = await plane.store(DATA)
        for host in random.Random(late).sample(plane.memory, late):
            host.delay_seconds = 30
        started = time.monotonic()
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert time.monotonic() - started < 5


async def test_a_host_that_a_read_did_without_is_waited_for_by_nobody_until_it_answers() -> None:
    """R9: the first read waits for its hedge, those that follow do not."""
    with rig(hosts=14, nodes_each=1, limits=limits(first_hedge_seconds=0.2, late_seconds=0.4)) as plane:
        ref, cipher = await plane.store(DATA)
        hung = plane.host_of(ref.nodes[3])
        hung.delay_seconds = 0.6
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert ref.nodes[3] not in plane.plane.hosts.readable | plane.plane.hosts.writable
        counting = Counting(plane)
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert all(3 not in batch.indexes for batch in counting.asked)
        hung.delay_seconds = 0.0
        async with asyncio.timeout(5):
            while ref.nodes[3] not in plane.plane.hosts.readable:
                await asyncio.sleep(0.01)


async def test_one_stuck_node_of_a_host_is_worked_around() -> None:
    """The host answers a batch as slowly as its slowest disk: asked one by one, the other nodes answer."""
    with rig(limits=HEDGING) as plane:
        ref, cipher = await plane.store(DATA)
        host, stuck, inner = plane.memory[0], ref.nodes[3], plane.memory[0].get

        async def get(batch: GetBatch, into: memoryview | None = None, *, seconds: float = 0) -> GetAnswer:
            if stuck in batch.nodes:
                await asyncio.sleep(30)
            return await inner(batch, into, seconds=seconds)

        host.get = get  # type: ignore[method-assign]
        started = time.monotonic()
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert time.monotonic() - started < 5


async def test_everything_late_ends_in_time() -> None:
    async def never(*_: object, **__: object) -> GetAnswer:
        await asyncio.sleep(60)
        raise AssertionError

    with rig(limits=limits(read_seconds=0.1)) as plane:
        ref, cipher = await plane.store(DATA)
        plane.memory[0].get = never  # type: ignore[method-assign]
        started = time.monotonic()
        with pytest.raises(ChunkUnavailable, match="not answered in time"):
            await plane.reader().read(ref, cipher, 0, len(DATA))
        assert time.monotonic() - started < 5


async def test_a_restarting_host_is_waited_for() -> None:
    with rig(limits=limits(retry_seconds=5.0)) as plane:
        ref, cipher = await plane.store(DATA)
        plane.memory[0].available = False
        reading = asyncio.create_task(plane.reader().read(ref, cipher, 0, len(DATA)))
        await asyncio.sleep(0.02)
        plane.memory[0].available = True
        assert await asyncio.wait_for(reading, 10) == DATA


async def test_another_key_opens_nothing() -> None:
    with rig() as plane:
        ref, cipher = await plane.store(DATA)
        with pytest.raises(FrameDamaged):
            await plane.reader().read(ref, BlobCipher(cipher.blob, bytes(32)), 0, 1)


async def three_chunks(plane: Rig) -> tuple[list[ChunkRef], BlobCipher, bytes]:
    cipher = BlobCipher(BlobId(3), DEK)
    data = some_bytes(2 * CHUNK_BYTES + 5000)
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    chunks = [await store_chunk(plane.plane, cipher, index, piece) for index, piece in enumerate(pieces)]
    return [plane.ref(cipher, chunk) for chunk in chunks], cipher, data


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 2 * CHUNK_BYTES + 5000), (CHUNK_BYTES - 1, CHUNK_BYTES + 1), (2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1), (7, 8)],
)
async def test_blob_ranges(start: int, end: int) -> None:
    with rig() as plane:
        refs, cipher, data = await three_chunks(plane)
        touched = [ref for ref in refs if start < ref.index * CHUNK_BYTES + ref.size and end > ref.index * CHUNK_BYTES]
        pieces = [bytes(piece) async for piece in plane.reader().read_blob(touched, cipher, start, end)]
        assert b"".join(pieces) == data[start:end]
        assert plane.plane.reading.used == 0


async def test_blob_left_early_gives_back_its_budget() -> None:
    with rig() as plane:
        refs, cipher, _ = await three_chunks(plane)
        async with aclosing(plane.reader().read_blob(refs, cipher, 0, CHUNK_BYTES * 2)) as pieces:
            async for _ in pieces:
                break
        assert plane.plane.reading.used == 0


async def test_blob_reads_ahead_only_where_the_budget_has_room() -> None:
    with rig() as plane:
        refs, cipher, data = await three_chunks(plane)
        plane.plane.reading.limit = 2 * CHUNK_BYTES
        counting = Counting(plane)
        async with aclosing(plane.reader().read_blob(refs, cipher, 0, len(data))) as pieces:
            await anext(pieces)
            await asyncio.sleep(0.01)
            assert len(counting.asked) == 1
            assert b"".join([bytes(piece) async for piece in pieces]) == data[CHUNK_BYTES:]
        assert plane.plane.reading.used == 0


async def test_blob_whose_later_chunk_is_lost_fails_after_what_was_good() -> None:
    with rig() as plane:
        refs, cipher, data = await three_chunks(plane)
        for node in refs[1].nodes[:5]:
            plane.memory[0].shards[node].clear()
        reader = plane.reader().read_blob([refs[0], refs[1]], cipher, 0, 2 * CHUNK_BYTES)
        refs_lost = [ref for ref in refs if sum(node in refs[1].nodes[:5] for node in ref.nodes) > 4]
        if refs[0] not in refs_lost:
            assert bytes(await anext(reader)) == data[:CHUNK_BYTES]
        with pytest.raises(ChunkUnavailable):
            await anext(reader)
        await reader.aclose()
        assert plane.plane.reading.used == 0


def test_latency_follows_the_95th_percentile_within_bounds() -> None:
    latency = Latency(0.25)
    assert latency.hedge_seconds == 0.25
    for _ in range(64):
        latency.add(0.001)
    assert latency.hedge_seconds == MIN_HEDGE_SECONDS
    for _ in range(64):
        latency.add(0.1)
    assert latency.hedge_seconds == 0.1
    for _ in range(64):
        latency.add(100)
    assert latency.hedge_seconds == MAX_HEDGE_SECONDS
