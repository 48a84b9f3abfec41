"""What a host lends to those on its box: where shards lie, and descriptors that can only be read."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import zlib
from pathlib import Path

import pytest

from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.wire.client import HostClient, HostRefused, HostUnavailable, Status
from cyxcloud.wire.lending import ASK, REFUSED, borrow, lending_socket
from cyxcloud.wire.memory import MemoryHost
from tests.contract.test_shard_host import BIG, BLOB, SMALL, nodes_of, real_host
from tests.unit.nodefs.making import batch, pieces


def packs_of(folder: Path, client: HostClient, node: NodeId) -> Path:
    return folder / client.nodes[node].name / "data" / "packs"


@pytest.mark.parametrize("size", [6556, 419_533])
async def test_located_shards_are_read_without_the_host(tmp_path: Path, size: int) -> None:
    made = SMALL if size == 6556 else BIG
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        await client.put(batch(made, nodes, BLOB))
        lender = client.lender
        assert lender is not None
        answer = await lender.locate(BlobId(BLOB), 0, range(14), nodes, seconds=5)
        assert answer.statuses == [Status.OK] * 14
        assert (answer.shard_size, answer.hashes, answer.proofs) == (size, made.hashes, made.proofs)
        for index, extent in enumerate(answer.extents):
            fd = await lender.borrow(nodes[index], extent.pack, seconds=5)
            try:
                assert os.pread(fd, size, extent.offset) == made.payloads[index]
                header = os.pread(fd, extent.header_bytes, extent.offset - extent.header_bytes)
                assert zlib.crc32(header) == extent.header_crc
                assert not os.get_inheritable(fd)
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.pwrite(fd, b"x", extent.offset)
            finally:
                os.close(fd)


async def test_what_is_not_there_is_not_located(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        await client.put(batch(SMALL, nodes[:13], BLOB))
        await client.put(batch(pieces(99), nodes[:1], BLOB, 1))
        stranger = NodeId(b"s" * 32)
        answer = await client.locate(BlobId(BLOB), 0, [13, 0, 2], [nodes[13], stranger, nodes[2]], seconds=5)
        assert answer.statuses == [Status.NOT_FOUND, Status.DOWN, Status.OK]
        assert answer.hashes == [SMALL.hashes[2]]


async def test_only_packs_that_are_where_they_belong_are_lent(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        await client.put(batch(SMALL, nodes, BLOB))
        for node, pack in ((NodeId(b"s" * 32), 1), (nodes[0], 7)):
            with pytest.raises(HostRefused):
                await client.borrow(node, pack, seconds=5)
        (path,) = packs_of(tmp_path, client, nodes[0]).glob("*.pack")
        path.rename(path.with_suffix(".away"))
        with pytest.raises(HostRefused):
            await client.borrow(nodes[0], 1, seconds=5)
        shutil.copy(path.with_suffix(".away"), path)
        with pytest.raises(HostRefused):
            await client.borrow(nodes[0], 1, seconds=5)


async def test_the_desk_outlives_borrowers_that_leave_or_talk_nonsense(tmp_path: Path) -> None:
    async with real_host(tmp_path) as client:
        nodes = nodes_of(client)
        await client.put(batch(SMALL, nodes, BLOB))
        path = lending_socket(tmp_path / "sock")
        assert path.stat().st_mode & 0o777 == 0o600
        for said in (b"", b"short", b"\xff" * ASK.size):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(str(path))
                rude.send(said)
        os.close(await client.borrow(nodes[0], 1, seconds=5))


async def test_nobody_there_and_nobody_who_answers(tmp_path: Path) -> None:
    with pytest.raises(HostUnavailable):
        await borrow(tmp_path / "nothing", NodeId(bytes(32)), 1, 1)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(lending_socket(tmp_path / "deaf")))
        deaf.listen(1)
        with pytest.raises(HostUnavailable, match="no answer in time"):
            await borrow(tmp_path / "deaf", NodeId(bytes(32)), 1, 0.01)


@pytest.mark.parametrize("answer", [REFUSED, b"\x01", b""])
async def test_an_answer_without_a_descriptor_is_a_refusal(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as host:
        host.bind(str(lending_socket(tmp_path / "sock")))
        host.listen(1)

        def serve() -> None:
            connection, _ = host.accept()
            with connection:
                connection.recv(ASK.size)
                connection.send(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(HostRefused):
            await borrow(tmp_path / "sock", NodeId(bytes(32)), 1, 5)
        thread.join()


async def test_memory_lends_nothing_and_neither_does_who_is_gone(tmp_path: Path) -> None:
    assert MemoryHost(1).lender is None
    async with real_host(tmp_path) as client:
        await client.close()
        assert client.lender is None
