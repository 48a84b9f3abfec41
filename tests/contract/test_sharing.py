"""Shards in memory that a host maps: they are stored as if sent, and no byte of them changes before the host is done."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.shards.slots import Slots
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.client import GetBatch, HostClient, HostRefused, HostUnavailable, Status
from cyxcloud.wire.codec import Hello, hello_message
from cyxcloud.wire.framing import FrameProtocol, frame
from cyxcloud.wire.lending import LENT, SHARE, lending_socket
from cyxcloud.wire.shardhost import PutBatch
from cyxcloud.wire.sharing import FEATURE_SHARE, SharedMemory, share
from nodefs.memories import MOST_BYTES
from tests.contract.test_shard_host import BLOB, SMALL, nodes_of, real_host
from tests.unit.nodefs.making import CLUSTER, INCARNATION, batch

MEMORY_BYTES = 1 << 20


def in_slot(slots: Slots, made: PutBatch) -> PutBatch:
    """The same shards, lying in a slot."""
    size = made.shard_size
    slot = slots.take(made.total * size)
    views = [slot.view[at * size : (at + 1) * size] for at in range(made.total)]
    for at, payload in zip(made.indexes, made.payloads, strict=True):
        views[at][:] = payload
    return replace(made, payloads=[views[at] for at in made.indexes], slot=slot)


async def shared_with(client: HostClient, memory: SharedMemory | None) -> None:
    async with asyncio.timeout(10):
        while not client._shares.has(memory):
            await asyncio.sleep(0.001)


async def test_shards_in_shared_memory_are_stored(tmp_path: Path) -> None:
    slots = Slots(MEMORY_BYTES)
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        put = in_slot(slots, batch(SMALL, nodes, BLOB))
        assert put.slot is not None
        await shared_with(client, put.slot.memory)
        # What goes over the socket is what the message names: nothing else could be stored.
        picked = (3, 0, 13, 7)
        some = replace(
            put,
            indexes=picked,
            nodes=[nodes[at] for at in picked],
            block_hashes=[put.block_hashes[at] for at in picked],
            proofs=[put.proofs[at] for at in picked],
            payloads=[b"?" * put.shard_size] * 4,
        )
        assert await client.put(some) == dict.fromkeys(picked, Status.OK)
        assert await client.put(put) == dict.fromkeys(range(14), Status.OK)
        answer = await client.get(GetBatch(BlobId(BLOB), 0, range(14), nodes))
        assert bytes(answer.payload) == b"".join(SMALL.payloads)
        put.slot.release()
        assert slots.take(1).offset == 0


async def test_until_a_host_has_mapped_it_shards_go_by_the_socket(tmp_path: Path) -> None:
    slots = Slots(MEMORY_BYTES)
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        put = in_slot(slots, batch(SMALL, nodes, BLOB))
        assert await client.put(put) == dict.fromkeys(range(14), Status.OK)
        assert put.slot is not None
        put.slot.release()
        assert slots.take(1).offset == 0


async def test_a_host_unmaps_what_its_owner_no_longer_shares(tmp_path: Path) -> None:
    memory = SharedMemory(MEMORY_BYTES)
    async with real_host(tmp_path):
        before = mapped(memory)
        connection = await share(tmp_path / "sock", memory, 5)
        assert mapped(memory) == before + 1
        connection.close()
        async with asyncio.timeout(10):
            while mapped(memory) > before:
                await asyncio.sleep(0.001)


def mapped(memory: SharedMemory) -> int:
    inode = os.fstat(memory.fd).st_ino
    return sum(line.split()[4] == str(inode) for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.parametrize("size", [MEMORY_BYTES + 1, MOST_BYTES + 1, 0])
async def test_memory_of_another_size_than_said_is_refused(tmp_path: Path, size: int) -> None:
    memory = SharedMemory(MEMORY_BYTES)
    memory.size = size
    async with real_host(tmp_path):
        with pytest.raises(HostRefused):
            await share(tmp_path / "sock", memory, 5)


async def test_memory_that_could_shrink_is_refused(tmp_path: Path) -> None:
    """It would be a SIGBUS for the host."""
    async with real_host(tmp_path):
        memory = SharedMemory(MEMORY_BYTES)
        os.close(memory.fd)
        memory.fd = os.memfd_create("unsealed")
        os.ftruncate(memory.fd, MEMORY_BYTES)
        with pytest.raises(HostRefused):
            await share(tmp_path / "sock", memory, 5)


async def test_a_number_is_shared_once_and_nonsense_not_at_all(tmp_path: Path) -> None:
    memory = SharedMemory(MEMORY_BYTES)
    async with real_host(tmp_path) as client:
        with await share(tmp_path / "sock", memory, 5):
            with pytest.raises(HostRefused):
                await share(tmp_path / "sock", memory, 5)
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(str(lending_socket(tmp_path / "sock")))
                socket.send_fds(rude, [b"short"], [memory.fd, memory.fd])
        assert (await client.stats())[0].shard_count == 0
    with pytest.raises(HostUnavailable):
        await share(tmp_path / "sock", memory, 5)


async def test_a_put_from_memory_that_is_not_shared_breaks_the_connection(tmp_path: Path) -> None:
    slots = Slots(MEMORY_BYTES)
    async with real_host(tmp_path) as client:
        put = in_slot(slots, batch(SMALL, nodes_of(client), BLOB))
        assert put.slot is not None
        assert put.slot.memory is not None
        client._shares._shared[put.slot.memory.number] = put.slot.memory, socket.socket()
        with pytest.raises(HostUnavailable):
            await client.put(put)
        assert put.slot.memory.is_retired


class SlowHost(FrameProtocol):
    """Maps what it is given and answers puts when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.payload_bytes = 0

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        if message.HasField("hello"):
            self.say(hello_message(Hello("node-host", features=(FEATURE_SHARE,)), message.request_id))
        else:
            self.asked.append(message.request_id)
            self.payload_bytes += len(payload)

    def answer(self, request_id: int, *, last: bool) -> None:
        result = pb.PutResult(indexes=b"\0", statuses=bytes([Status.OK]), last=last)
        self.say(pb.Envelope(request_id=request_id, put_result=result))

    def say(self, envelope: pb.Envelope) -> None:
        assert self.transport is not None
        self.transport.write(frame(envelope))


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[tuple[SlowHost, HostClient]]:
    loop = asyncio.get_running_loop()
    host = SlowHost()
    client = HostClient(tmp_path / "sock", Hello("gateway", CLUSTER, INCARNATION))
    server = await loop.create_unix_server(lambda: host, str(tmp_path / "sock"))

    async def desk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(SHARE.size)
        writer.write(LENT)
        await reader.read()
        writer.close()

    lending = await asyncio.start_unix_server(desk, str(lending_socket(tmp_path / "sock")))
    await client.start(10)
    try:
        yield host, client
    finally:
        await client.close()
        lending.close()
        server.close()


async def sent(client: HostClient, host: SlowHost, slots: Slots) -> tuple[PutBatch, asyncio.Task[dict[int, Status]]]:
    """A put from shared memory that has reached the host."""
    put = in_slot(slots, batch(SMALL, [NodeId(bytes([at]) * 32) for at in range(14)], BLOB))
    assert put.slot is not None
    await shared_with(client, put.slot.memory)
    before = len(host.asked)
    task = asyncio.create_task(client.put(put, seconds=20))
    async with asyncio.timeout(10):
        while len(host.asked) == before:
            await asyncio.sleep(0.001)
    assert host.payload_bytes == 0
    return put, task


async def test_a_slot_is_held_until_the_last_answer_to_a_put_that_was_given_up(
    slow: tuple[SlowHost, HostClient],
) -> None:
    host, client = slow
    slots = Slots(14 * 8192)
    put, task = await sent(client, host, slots)
    assert put.slot is not None
    task.cancel()
    put.slot.release()
    host.answer(host.asked[-1], last=False)
    await asyncio.sleep(0.02)
    assert slots.take(10 * 8192).memory is None
    host.answer(host.asked[-1], last=True)
    async with asyncio.timeout(10):
        while slots.take(10 * 8192).memory is None:
            await asyncio.sleep(0.001)


async def test_memory_is_not_used_again_after_a_connection_that_was_lost_in_a_put(
    slow: tuple[SlowHost, HostClient],
) -> None:
    """The host may live on, and its disk be slow: it must not write what is put there later."""
    host, client = slow
    slots = Slots(MEMORY_BYTES)
    put, task = await sent(client, host, slots)
    assert host.transport is not None
    host.transport.abort()
    with pytest.raises(HostUnavailable):
        await task
    assert put.slot is not None
    put.slot.release()
    other = slots.take(10)
    assert other.memory is not None
    assert other.memory is not put.slot.memory


async def test_retired_memory_is_shared_until_its_last_put_is_answered(slow: tuple[SlowHost, HostClient]) -> None:
    host, client = slow
    slots = Slots(MEMORY_BYTES)
    first, task = await sent(client, host, slots)
    assert first.slot is not None
    assert first.slot.memory is not None
    first.slot.memory.retire()  # another host was lost
    request_id = host.asked[-1]
    await sent(client, host, slots)
    assert client._shares.has(first.slot.memory)
    host.answer(request_id, last=True)
    await task
    slots.take(1).lose()
    await sent(client, host, slots)
    assert not client._shares.has(first.slot.memory)
