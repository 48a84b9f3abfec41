from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.core.merkle import Buffer
from cyxcloud.wire.orders import decode_order, decode_receipt, order_hash, receipt_signed_by
from cyxcloud.wire.status import NodeState, Status
from nodefs.commit import DeleteJob
from nodefs.folder import adopt
from nodefs.shelf import MOST_READ_ERRORS
from nodefs.store import READ_NOWAIT, ShardRead, WouldBlock
from nodefs.upkeep import punch_some
from tests.unit.nodefs.making import OneNode, batch, pieces, signed_order

SMALL = pieces(6556)
BIG = pieces(200_000, 3)
BLOB = 7 << 32 | 1


@pytest.fixture
def node(tmp_path: Path) -> OneNode:
    return OneNode(tmp_path / "n1")


def shard(index: int = 0, blob: int = BLOB, chunk: int = 0) -> ShardId:
    return ShardId(BlobId(blob), chunk, index)


class FaultyDisk(SystemDisk):
    """Fails what is asked for, once it is armed."""

    def __init__(self) -> None:
        self.error: dict[str, int] = {}

    def _maybe(self, name: str) -> None:
        if name in self.error:
            raise OSError(self.error[name], os.strerror(self.error[name]))

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        self._maybe("pwritev")
        return super().pwritev(fd, buffers, offset)

    def fdatasync(self, fd: int) -> None:
        self._maybe("fdatasync")
        super().fdatasync(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._maybe("pread")
        return super().pread(fd, size, offset)


def test_put_then_read_gives_the_same_bytes_hashes_and_proof(node: OneNode) -> None:
    assert node.put(SMALL, BLOB, count=14) == [Status.OK] * 14
    for index in range(14):
        found = node.store.read(BLOB, 0, index, 0, 0)
        assert isinstance(found, ShardRead)
        assert bytes(found.payload) == SMALL.payloads[index]
        assert (found.block_hashes, found.proof) == (SMALL.hashes[index], SMALL.proofs[index])
    assert node.store.info().shard_count == 14
    assert node.store.info().used_bytes == 14 * 8192


def test_read_of_blocks_gives_only_these(node: OneNode) -> None:
    node.put(BIG, BLOB)
    for first, count, start, end in ((1, 1, 65536, 131072), (2, 0, 131072, 200_000), (3, 1, 196608, 200_000)):
        found = node.store.read(BLOB, 0, 0, first, count)
        assert isinstance(found, ShardRead)
        assert bytes(found.payload) == BIG.payloads[0][start:end]
    found = node.store.read(BLOB, 0, 0, 9, 1, READ_NOWAIT)
    assert isinstance(found, ShardRead)
    assert len(found.payload) == 0


def test_put_again_is_ok_with_the_same_content_and_a_conflict_with_other(node: OneNode) -> None:
    assert node.put(SMALL, BLOB) == [Status.OK]
    assert node.put(SMALL, BLOB) == [Status.OK]
    assert node.put(pieces(6556, seed=2), BLOB) == [Status.CONFLICT]
    node.store.checkpoint()
    assert node.put(pieces(6556, seed=2), BLOB) == [Status.CONFLICT]
    assert node.read(BLOB) == SMALL.payloads[0]
    assert node.store.live_count == 1


def test_same_shard_twice_in_one_round(node: OneNode) -> None:
    from nodefs.commit import PutJob
    from nodefs.store import PutItem

    other = pieces(6556, seed=2)
    jobs = [
        PutJob([(node.store, PutItem(batch(made, [node.store.node_id], BLOB), 0))], 0, lambda _: None)
        for made in (SMALL, SMALL, other)
    ]
    node.round(jobs)
    assert [job.items[0][1].status for job in jobs] == [Status.OK, Status.OK, Status.CONFLICT]
    assert node.store.live_count == 1


def test_verify_refuses_a_payload_that_is_not_its_hashes(node: OneNode) -> None:
    lying = pieces(6556)
    lying.payloads[0] = bytes(6556)
    assert node.put(lying, BLOB, count=2, verify=True) == [Status.CORRUPT, Status.OK]
    assert node.read(BLOB) is Status.NOT_FOUND


def test_delete_leaves_nothing_and_gives_a_signed_receipt(node: OneNode) -> None:
    node.put(SMALL, BLOB, count=2)
    job = node.delete(shard(0), shard(9))
    assert job.answer is not None
    assert job.answer.statuses == [Status.OK, Status.NOT_FOUND]
    receipt = decode_receipt(job.answer.receipt)
    assert receipt.order_hash == order_hash(job.order)
    assert receipt.statuses == (Status.OK, Status.NOT_FOUND)
    public = node.store.folder.identity.public_key
    assert receipt_signed_by(public, job.answer.receipt, job.answer.signature)
    assert not receipt_signed_by(public, job.answer.receipt + b" ", job.answer.signature)
    assert node.read(BLOB) is Status.NOT_FOUND
    assert node.read(BLOB, index=1) == SMALL.payloads[1]
    assert (node.store.live_count, node.store.live_bytes) == (1, 8192)


def test_order_that_comes_again_gets_its_receipt_and_takes_nothing_put_since(node: OneNode) -> None:
    node.put(SMALL, BLOB, count=2)
    job = node.delete(shard(0), shard(9))
    node.put(SMALL, BLOB)
    assert node.carry_out(job.order, job.signature).answer == job.answer
    assert node.read(BLOB) == SMALL.payloads[0]


def test_order_of_a_sequence_that_was_reached_is_refused(node: OneNode) -> None:
    node.put(SMALL, BLOB, count=2)
    first = node.delete(shard(0))
    node.delete(shard(1))
    node.put(SMALL, BLOB, count=2)
    other = signed_order(node.store.node_id, [shard(0)], node.clock.now_ms(), sequence=2)
    for order, signature in ((first.order, first.signature), other):
        job = node.carry_out(order, signature)
        assert (job.answer, job.status) == (None, Status.DENIED)
        assert "after 2 was carried out" in job.refused
    assert [node.read(BLOB, index=index) for index in (0, 1)] == SMALL.payloads[:2]


def test_order_twice_in_one_round_is_carried_out_once(node: OneNode) -> None:
    node.put(SMALL, BLOB)
    signed = signed_order(node.store.node_id, [shard(0)], node.clock.now_ms(), sequence=5)
    older = signed_order(node.store.node_id, [shard(0)], node.clock.now_ms(), sequence=4)
    jobs = [
        DeleteJob(node.store, decode_order(order), order, by, lambda _: None) for order, by in (signed, signed, older)
    ]
    node.round(jobs)
    assert jobs[0].answer is not None
    assert jobs[0].answer.statuses == [Status.OK]
    assert jobs[1].answer == jobs[0].answer
    assert jobs[2].status is Status.DENIED


def test_sequences_of_another_incarnation_are_counted_anew(node: OneNode) -> None:
    node.put(SMALL, BLOB)
    node.sequence = 100
    node.delete(shard(0))
    adopt(node.path, b"incarnation-two!")
    node.reopen()
    order, signature = signed_order(
        node.store.node_id, [shard(0)], node.clock.now_ms(), sequence=1, incarnation=b"incarnation-two!"
    )
    assert node.carry_out(order, signature).statuses == [Status.NOT_FOUND]


def test_deleted_bytes_are_given_back(node: OneNode) -> None:
    node.put(BIG, BLOB)
    node.delete(shard())
    before = node.pack.stat().st_blocks
    assert punch_some(node.store) == 1
    assert node.pack.stat().st_blocks < before
    node.put(SMALL, BLOB + 1)
    node.reopen()
    assert node.read(BLOB + 1) == SMALL.payloads[0]


def test_packs_roll(tmp_path: Path) -> None:
    node = OneNode(tmp_path / "n1")
    node.store._max_pack_bytes = 64 * 1024
    for number in range(5):
        assert node.put(SMALL, BLOB + number, count=3) == [Status.OK] * 3
    assert len(node.store.packs) == 3
    node.reopen()
    assert all(node.read(BLOB + number, index=2) == SMALL.payloads[2] for number in range(5))


def test_full_node_refuses_writes_and_still_deletes(node: OneNode) -> None:
    node.put(SMALL, BLOB)
    node.space.room_bytes = 10_000
    node.clock.elapsed -= 1  # so that the round does not ask the filesystem
    assert node.put(SMALL, BLOB + 1, count=2) == [Status.OK, Status.FULL]
    node.store.measure()
    assert node.store.info().state is NodeState.READ_ONLY
    assert node.delete(shard()).statuses == [Status.OK]


def test_node_says_by_itself_that_it_is_full_and_that_it_has_room_again(node: OneNode) -> None:
    told: list[NodeState] = []
    node.store.on_change = lambda store: told.append(store.info().state)
    for room in (10_000, 10_000, 1 << 30, 1 << 30):
        node.space.room_bytes = room
        node.store.measure()
    assert told == [NodeState.READ_ONLY, NodeState.UP]


def test_capacity_is_kept(tmp_path: Path) -> None:
    node = OneNode(tmp_path / "n1", capacity_bytes=3 * 8192)
    assert node.put(SMALL, BLOB, count=4) == [Status.OK] * 3 + [Status.FULL]
    assert node.put(SMALL, BLOB + 1) == [Status.FULL]


def test_enospc_is_full_and_leaves_the_node_up(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = OneNode(tmp_path / "n1", disk)
    node.put(SMALL, BLOB)
    disk.error["pwritev"] = errno.ENOSPC
    assert node.put(SMALL, BLOB + 1) == [Status.FULL]
    assert not node.store.down_reason
    assert node.read(BLOB + 1) is Status.NOT_FOUND
    disk.error.clear()
    node.clock.advance(1)
    assert node.put(SMALL, BLOB + 1) == [Status.OK]


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
def test_failed_write_or_sync_is_never_acknowledged_and_takes_the_node_down(tmp_path: Path, call: str) -> None:
    disk = FaultyDisk()
    node = OneNode(tmp_path / "n1", disk)
    node.put(SMALL, BLOB)
    disk.error[call] = errno.EIO
    assert node.put(SMALL, BLOB + 1) == [Status.IO_ERROR]
    assert node.store.info().state is NodeState.DOWN
    assert node.read(BLOB) is Status.DOWN
    disk.error.clear()
    assert node.put(SMALL, BLOB + 2) == [Status.DOWN]
    node.reopen()
    assert node.read(BLOB) == SMALL.payloads[0]


def test_unreadable_record_is_set_aside_and_many_take_the_node_down(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = OneNode(tmp_path / "n1", disk)
    node.put(SMALL, BLOB, count=2)
    disk.error["pread"] = errno.EIO
    assert node.read(BLOB) is Status.IO_ERROR
    assert node.store.info().state is NodeState.UP
    node.mend()
    disk.error.clear()
    assert node.read(BLOB) is Status.NOT_FOUND
    assert node.read(BLOB, index=1) == SMALL.payloads[1]
    assert node.store.findings.page(0, 10) == ([shard()], 1)
    disk.error["pread"] = errno.EIO
    assert [node.read(BLOB, index=1) for _ in range(MOST_READ_ERRORS)][-2:] == [Status.IO_ERROR, Status.DOWN]


def test_filesystem_that_turned_read_only_is_read_on_and_written_only_after_it_was_opened_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = OneNode(tmp_path / "n1", disk)
    node.put(SMALL, BLOB)
    disk.error["fdatasync"] = errno.EROFS
    assert node.put(SMALL, BLOB + 1) == [Status.IO_ERROR]
    assert node.store.info().state is NodeState.READ_ONLY
    assert "Read-only" in node.store.info().reason
    assert node.read(BLOB) == SMALL.payloads[0]
    disk.error.clear()
    assert node.put(SMALL, BLOB + 2) == [Status.DOWN]
    assert node.delete(shard()).answer is None
    node.reopen()
    assert node.put(SMALL, BLOB + 2) == [Status.OK]


def test_order_that_finds_no_room_is_refused_and_leaves_the_node_up(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = OneNode(tmp_path / "n1", disk)
    node.put(SMALL, BLOB)
    disk.error["pwritev"] = errno.ENOSPC
    job = node.delete(shard())
    assert job.answer is None
    assert "order log" in job.refused
    assert node.read(BLOB) == SMALL.payloads[0]
    disk.error.clear()
    assert node.delete(shard()).statuses == [Status.OK]


def test_filesystem_without_reads_that_do_not_wait_is_read_in_a_thread(tmp_path: Path) -> None:
    class Tmpfs(SystemDisk):
        def preadv(self, fd: int, buffers: Sequence[memoryview], offset: int, flags: int = 0) -> int:
            if flags:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            return super().preadv(fd, buffers, offset, flags)

    node = OneNode(tmp_path / "n1", Tmpfs())
    node.put(SMALL, BLOB)
    with pytest.raises(WouldBlock):
        node.store.read(BLOB, 0, 0, 0, 0, READ_NOWAIT)
    assert not node.store.down_reason
    assert node.read(BLOB) == SMALL.payloads[0]


def test_packs_removed_under_the_node_are_noticed_before_the_answer(node: OneNode) -> None:
    node.put(SMALL, BLOB)
    shutil.rmtree(node.path)
    assert node.put(SMALL, BLOB + 1) == [Status.IO_ERROR]
    assert "removed" in node.store.down_reason


def flip(node: OneNode, offset: int) -> None:
    with node.pack.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def test_damaged_header_is_corrupt_then_quarantined_then_put_again(node: OneNode) -> None:
    node.put(SMALL, BLOB)
    flip(node, 4096 + 80)
    assert node.read(BLOB) is Status.CORRUPT
    assert node.put(SMALL, BLOB) == [Status.CORRUPT]
    assert node.mend() == 1
    assert node.read(BLOB) is Status.NOT_FOUND
    assert len(list(node.store.folder.quarantine.iterdir())) == 1
    assert node.put(SMALL, BLOB) == [Status.OK]
    node.reopen()
    assert node.read(BLOB) == SMALL.payloads[0]
    assert node.store.live_count == 1


def test_check_reads_payload_against_hashes(node: OneNode) -> None:
    node.put(SMALL, BLOB)
    assert node.store.check(BLOB, 0, 0)[0] is Status.OK
    flip(node, 4096 + 1000)
    assert node.store.check(BLOB, 0, 0)[0] is Status.CORRUPT
    assert node.store.check(BLOB, 0, 5) == (Status.NOT_FOUND, None)
