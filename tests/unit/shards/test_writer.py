from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from cyxcloud.core.ids import BlobId, PlacementId, ShardId
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher
from cyxcloud.shards.placement import Placement
from cyxcloud.shards.sink import BlobSink
from cyxcloud.shards.slots import Slots
from cyxcloud.shards.writer import QuorumLost, ShardConflict, store_chunk
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.status import HostRefused, Status, WireError
from tests.unit.shards.rig import DEK, MIB, Rig, limits, rig, some_bytes


def stored_on(plane: Rig, shard: ShardId) -> list[MemoryHost]:
    return [host for host in plane.memory for shards in host.shards.values() if shard in shards]


async def test_small_chunk_is_on_fourteen_nodes() -> None:
    with rig() as plane:
        ref, _ = await plane.store(b"x" * 5000)
        for index, node in enumerate(ref.nodes):
            shard = plane.memory[0].shards[node][ref.shard(index)]
            assert len(shard.payload) == 502


@pytest.mark.parametrize("hosts", [1, 7, 14])
async def test_blob_of_many_chunks_comes_back(hosts: int) -> None:
    with rig(hosts, 14 // hosts) as plane:
        data = some_bytes(2 * CHUNK_BYTES + 12_345)
        sink = BlobSink(plane.plane, BlobId(9), DEK)
        for index in range(3):
            piece = data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
            buffer = await sink.buffer(CHUNK_BYTES)
            buffer[: len(piece)] = piece
            await sink.put_chunk(index, buffer, len(piece))
        chunks = await sink.finish()
        assert [(chunk.index, chunk.size, chunk.missing) for chunk in chunks] == [
            (0, CHUNK_BYTES, ()),
            (1, CHUNK_BYTES, ()),
            (2, 12_345, ()),
        ]
        assert (plane.plane.receiving.used, plane.plane.sending.used) == (0, 0)
        reader = plane.reader()
        for chunk in chunks:
            start = chunk.index * CHUNK_BYTES
            got = await reader.read(plane.ref(sink.cipher, chunk), sink.cipher, 0, chunk.size)
            assert got == data[start : start + chunk.size]


async def test_two_nodes_failing_are_missing_shards_and_avoided() -> None:
    with rig(nodes_each=14) as plane:
        nodes = plane.placements[0].nodes
        host = plane.memory[0]
        host.state = {nodes[3]: Status.IO_ERROR, nodes[12]: Status.FULL}
        cipher = plane.cipher()
        chunk = await store_chunk(plane.plane, cipher, 0, b"data")
        assert chunk.missing == (3, 12)
        assert plane.plane.hosts.writable == set(nodes) - {nodes[3], nodes[12]}
        host.state.clear()
        # Not asked at all while they are avoided.
        assert (await store_chunk(plane.plane, plane.cipher(), 0, b"data")).missing == (3, 12)


async def test_a_node_without_host_is_a_missing_shard() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        plane.with_hosts(list(plane.memory[1:]))
        assert (await store_chunk(plane.plane, plane.cipher(), 0, b"data")).missing == (0,)


async def test_the_second_try_is_of_the_profile_that_the_chunk_is_coded_in() -> None:
    with rig(hosts=28, nodes_each=1) as plane:
        first, second = plane.placements[0], plane.placements[14]
        narrow = [Placement(PlacementId(90 + at), 4, 2, second.nodes[at : at + 6]) for at in range(6)]
        plane.plane.pool.replace([*narrow, first, second])
        plane.plane.pool.began(second)
        for node in first.nodes[:3]:
            plane.host_of(node).available = False
        chunk = await store_chunk(plane.plane, plane.cipher(), 0, b"data", first.profile)
        assert chunk.placement == second.id


async def test_below_the_quorum_another_placement_is_tried_with_the_same_shards() -> None:
    with rig(hosts=28, nodes_each=1) as plane:
        plane.plane.pool.replace([plane.placements[0], plane.placements[14]])
        first, second = plane.placements[0], plane.placements[14]
        assert not first.node_set & second.node_set
        plane.plane.pool.began(second)  # so that the first is picked first
        for node in first.nodes[:3]:
            plane.host_of(node).available = False
        cipher = plane.cipher()
        chunk = await store_chunk(plane.plane, cipher, 0, b"data")
        assert (chunk.placement, chunk.missing) == (second.id, ())
        one = plane.host_of(first.nodes[5]).shards[first.nodes[5]][ShardId(cipher.blob, 0, 5)]
        two = plane.host_of(second.nodes[5]).shards[second.nodes[5]][ShardId(cipher.blob, 0, 5)]
        assert one == two


async def test_below_the_quorum_everywhere_is_quorum_lost() -> None:
    with rig(nodes_each=14) as plane:
        plane.memory[0].state = dict.fromkeys(plane.placements[0].nodes[:3], Status.DOWN)
        with pytest.raises(QuorumLost):
            await store_chunk(plane.plane, plane.cipher(), 0, b"data")
        plane.memory[0].state.clear()
        with pytest.raises(QuorumLost, match="open placements"):  # avoided still
            await store_chunk(plane.plane, plane.cipher(), 0, b"data")


async def test_unreachable_hosts_are_quorum_lost() -> None:
    with rig(hosts=2, nodes_each=8) as plane:
        plane.memory[0].available = plane.memory[1].available = False
        with pytest.raises(QuorumLost):
            await store_chunk(plane.plane, plane.cipher(), 0, b"data")


async def test_a_restarting_host_is_waited_for() -> None:
    with rig(nodes_each=14, limits=limits(retry_seconds=5.0)) as plane:
        plane.memory[0].available = False
        storing = asyncio.create_task(store_chunk(plane.plane, plane.cipher(), 0, b"data"))
        await asyncio.sleep(0.02)
        plane.memory[0].available = True
        assert (await asyncio.wait_for(storing, 10)).missing == ()


async def test_a_host_that_refuses_gives_its_status_to_all_its_shards() -> None:
    class Refusing(MemoryHost):
        async def put(self, batch: Any, *, seconds: float = 0) -> dict[int, Status]:
            raise HostRefused(Status.DENIED, "not adopted")

    with rig(nodes_each=14) as plane:
        plane.with_hosts([Refusing(plane.memory[0].identities.values())])
        plane.plane.pool.replace(plane.placements)
        with pytest.raises(QuorumLost, match="open placements"):
            await store_chunk(plane.plane, plane.cipher(), 0, b"data")


async def test_stragglers_are_waited_for_only_so_long() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        plane.memory[4].delay_seconds = plane.memory[8].delay_seconds = 30
        chunk = await asyncio.wait_for(store_chunk(plane.plane, plane.cipher(), 0, b"data"), 10)
        assert chunk.missing == (4, 8)
        assert len(plane.plane.hosts.writable) == 12


async def test_a_straggler_is_left_out_of_writes_until_it_answers() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        slow = plane.memory[5]
        slow.delay_seconds = 0.5
        await store_chunk(plane.plane, plane.cipher(), 0, b"data")
        (node,) = slow.nodes
        assert node not in plane.plane.hosts.writable
        slow.delay_seconds = 0.0
        plane.plane.hosts._avoided.clear()  # as if the few seconds were over
        plane.plane.hosts.refresh()
        assert node not in plane.plane.hosts.writable, "it still owes its answer"
        async with asyncio.timeout(5):
            while node not in plane.plane.hosts.writable:
                await asyncio.sleep(0.01)


async def test_a_straggler_in_time_is_not_missing() -> None:
    with rig(hosts=14, nodes_each=1, limits=limits(straggler_seconds=5.0)) as plane:
        plane.memory[4].delay_seconds = 0.02
        assert (await store_chunk(plane.plane, plane.cipher(), 0, b"data")).missing == ()


async def test_a_blob_id_used_before_is_a_conflict() -> None:
    with rig(nodes_each=14) as plane:
        cipher = BlobCipher(BlobId(77), DEK)
        first = await store_chunk(plane.plane, cipher, 0, b"one")
        assert await store_chunk(plane.plane, cipher, 0, b"one") == first
        with pytest.raises(ShardConflict):
            await store_chunk(plane.plane, cipher, 0, b"two")


async def test_sink_holds_no_more_than_its_budgets() -> None:
    with rig() as plane:
        plane.plane.receiving.limit = 2 * MIB
        sink = BlobSink(plane.plane, BlobId(5), DEK)
        one, two = await sink.buffer(MIB), await sink.buffer(MIB)
        third = asyncio.create_task(sink.buffer(MIB))
        await asyncio.sleep(0)
        assert not third.done()
        await sink.put_chunk(0, one, MIB)
        buffer = await asyncio.wait_for(third, 10)
        await sink.put_chunk(1, two, MIB)
        await sink.put_chunk(2, buffer, 10)
        assert [chunk.size for chunk in await sink.finish()] == [MIB, MIB, 10]
        assert plane.plane.receiving.used == 0


async def test_sink_takes_no_more_chunks_than_may_be_in_flight() -> None:
    with rig(limits=limits(chunks_in_flight=2, put_seconds=5.0)) as plane:
        plane.memory[0].delay_seconds = 0.05
        sink = BlobSink(plane.plane, BlobId(5), DEK)
        for index in range(2):
            await sink.put_chunk(index, await sink.buffer(10), 10)
        third = asyncio.create_task(sink.put_chunk(2, await sink.buffer(10), 10))
        await asyncio.sleep(0.01)
        assert not third.done()
        await third
        assert len(await sink.finish()) == 3


async def test_a_failed_chunk_ends_the_blob() -> None:
    with rig() as plane:
        plane.memory[0].available = False
        sink = BlobSink(plane.plane, BlobId(5), DEK)
        await sink.put_chunk(0, await sink.buffer(10), 10)
        await asyncio.wait(sink._tasks)
        spare = await sink.buffer(10)
        with pytest.raises(QuorumLost):
            await sink.put_chunk(1, spare, 10)
        with pytest.raises(QuorumLost):
            await sink.finish()
        assert (plane.plane.receiving.used, plane.plane.sending.used) == (0, 0)


async def test_abort_stops_and_gives_everything_back() -> None:
    with rig() as plane:
        plane.memory[0].delay_seconds = 30
        sink = BlobSink(plane.plane, BlobId(5), DEK)
        await sink.put_chunk(0, await sink.buffer(MIB), MIB)
        await sink.buffer(MIB)
        await asyncio.sleep(0.02)
        await sink.abort()
        await sink.abort()
        assert (plane.plane.receiving.used, plane.plane.sending.used) == (0, 0)
        assert plane.plane.pool._load == {}


async def test_a_thread_that_still_encodes_holds_its_slot() -> None:
    """Else the next chunk's shards would be written over while they are hashed and sent."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(BlobCipher):
        def seal_into(self, chunk: int, plaintext: Any, target: memoryview) -> None:
            begun.set()
            go_on.wait(20)
            super().seal_into(chunk, plaintext, target)

    with rig() as one:
        plane = replace(one.plane, slots=Slots(4 * MIB))
        storing = asyncio.create_task(store_chunk(plane, Slow(BlobId(9), DEK), 0, bytes(2 * MIB)))
        await asyncio.to_thread(begun.wait, 20)
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        assert plane.slots.take(2 * MIB).memory is None
        go_on.set()
        async with asyncio.timeout(20):
            while plane.slots.take(2 * MIB).memory is None:
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("size", [100_000, 2 * MIB])
async def test_a_slot_is_free_again_when_its_chunk_is_stored_or_lost(size: int) -> None:
    with rig(nodes_each=14) as one:
        plane = replace(one.plane, slots=Slots(4 * MIB))
        await store_chunk(plane, one.cipher(), 0, bytes(size))
        one.memory[0].available = False
        sink = BlobSink(plane, BlobId(5), DEK)
        await sink.put_chunk(0, await sink.buffer(size), size)
        with pytest.raises(QuorumLost):
            await sink.finish()
        assert plane.slots.take(4 * MIB).memory is not None


async def test_abandon_gives_back_the_chunks_that_were_durable() -> None:
    with rig() as plane:
        sink = BlobSink(plane.plane, BlobId(5), DEK)
        for index in (1, 0):
            await sink.put_chunk(index, await sink.buffer(10), 10)
        await asyncio.wait(sink._tasks)
        plane.memory[0].delay_seconds = 30
        await sink.put_chunk(2, await sink.buffer(10), 10)
        await asyncio.sleep(0)
        assert [chunk.index for chunk in await sink.abandon()] == [0, 1]
        assert (plane.plane.receiving.used, plane.plane.sending.used) == (0, 0)


async def test_of_an_answer_counts_only_what_was_asked() -> None:
    """A host that vouches for other hosts' shards, and not for its own, changes nothing about theirs."""

    class Boasting(MemoryHost):
        async def put(self, batch: Any, *, seconds: float = 0) -> dict[int, Status]:
            return {index: Status.OK for index in range(14) if index not in batch.indexes}

    with rig(hosts=14, nodes_each=1) as plane:
        boasting = [Boasting(host.identities.values()) for host in plane.memory[:3]]
        plane.with_hosts([*boasting, *plane.memory[3:]])
        with pytest.raises(QuorumLost):
            await store_chunk(plane.plane, plane.cipher(), 0, b"data")


async def test_a_host_that_breaks_the_protocol_is_a_host_gone() -> None:
    class Babbling(MemoryHost):
        async def put(self, batch: Any, *, seconds: float = 0) -> dict[int, Status]:
            raise WireError("lengths disagree")

        async def get(self, batch: Any, into: memoryview | None = None, *, seconds: float = 0) -> Any:
            raise WireError("lengths disagree")

    with rig(hosts=14, nodes_each=1) as plane:
        ref, reading = await plane.store(b"data")
        babbling = [Babbling(host.identities.values()) for host in plane.memory[:2]]
        plane.with_hosts([*babbling, *plane.memory[2:]])
        assert (await store_chunk(plane.plane, plane.cipher(), 0, b"data")).missing == (0, 1)
        plane.with_hosts([*babbling, *plane.memory[2:]])
        assert bytes(await plane.reader().read(ref, reading, 0, 4)) == b"data"
