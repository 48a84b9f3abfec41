"""Each class of damage to what a node holds is found by one pass of scrub, told of, and set right as far as that goes."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.wire.status import Status
from nodefs.bulk import WINDOW_BYTES, BulkReader
from nodefs.record import DELETED, HEAD_BYTES, STATE, STATE_AT, decode_header
from nodefs.scrub import Scrubber
from tests.cluster.packs import with_header
from tests.unit.nodefs.making import OneNode, Pieces, pieces

SMALL = pieces(6556)
BIG = pieces(200_000, 3)
OTHER = pieces(6556, seed=5)
BLOB = 7 << 32 | 1
FIRST = 4096
RECORD = 8192


def shard(index: int = 0, blob: int = BLOB) -> ShardId:
    return ShardId(BlobId(blob), 0, index)


@pytest.fixture
def node(tmp_path: Path) -> OneNode:
    made = OneNode(tmp_path / "n1")
    assert made.put(SMALL, BLOB, count=3) == [Status.OK] * 3
    assert made.put(SMALL, BLOB + 1, count=3) == [Status.OK] * 3
    made.store.checkpoint()
    return made


def read_at(node: OneNode, offset: int, size: int) -> bytes:
    with node.pack.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def write_at(node: OneNode, offset: int, data: bytes) -> None:
    with node.pack.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(node: OneNode, offset: int) -> None:
    write_at(node, offset, bytes([read_at(node, offset, 1)[0] ^ 0x10]))


def stands(node: OneNode, made: Pieces = SMALL) -> list[bool]:
    return [node.read(blob, index=index) == made.payloads[index] for blob in (BLOB, BLOB + 1) for index in range(3)]


ALL_BUT_SECOND = [True, False, True, True, True, True]
HEADER = HEAD_BYTES + 32 + len(SMALL.proofs[1])
FIELDS = {
    "magic": 0,
    "state word": STATE_AT,
    "crc": 12,
    "version": 17,
    "index": 18,
    "reserved": 19,
    "header bytes": 23,
    "blob": 31,
    "chunk": 35,
    "total": 37,
    "proof bytes": 39,
    "shard size": 43,
    "reserved again": 47,
    "stored at": 55,
    "incarnation": 60,
    "block hash": HEAD_BYTES,
    "proof": HEADER - 1,
    "first byte": HEADER,
    "some byte": HEADER + 3000,
    "last byte": HEADER + 6555,
}


@pytest.mark.parametrize("at", FIELDS.values(), ids=FIELDS)
def test_flipped_bit_anywhere_in_a_record_is_found_told_and_repairable(node: OneNode, at: int) -> None:
    flip(node, FIRST + RECORD + at)
    node.scrub()
    assert node.found() == [shard(1)]
    assert stands(node) == ALL_BUT_SECOND
    assert node.store.live_count == 5
    assert node.put(Pieces(SMALL.payloads, SMALL.hashes, SMALL.proofs), BLOB, count=2) == [Status.OK] * 2
    node.reopen()
    assert stands(node) == [True] * 6
    assert node.scrub() == 0
    assert node.found() == [shard(1)]


@pytest.mark.parametrize("start", [0, 4096], ids=["header's", "payload's"])
def test_zeroed_page_is_found(node: OneNode, start: int) -> None:
    write_at(node, FIRST + RECORD + start, bytes(4096))
    node.scrub()
    assert node.found() == [shard(1)]
    assert stands(node) == ALL_BUT_SECOND


@pytest.mark.parametrize("left", [0, 100, 4096, 5000], ids=["whole record gone", "in header", "page", "in payload"])
def test_pack_cut_under_the_running_node_is_found(node: OneNode, left: int) -> None:
    os.truncate(node.pack, FIRST + 4 * RECORD + left)
    node.scrub()
    assert sorted(node.found(), key=str) == [shard(1, BLOB + 1), shard(2, BLOB + 1)]
    assert stands(node) == [True] * 4 + [False] * 2
    assert node.put(SMALL, BLOB + 1, count=3) == [Status.OK] * 3
    node.reopen()
    assert stands(node) == [True] * 6


def test_pack_cut_while_the_host_is_stopped_is_told_of_at_its_start(node: OneNode) -> None:
    os.truncate(node.pack, FIRST + 4 * RECORD)
    node.reopen()
    assert sorted(node.found(), key=str) == [shard(1, BLOB + 1), shard(2, BLOB + 1)]
    assert stands(node) == [True] * 4 + [False] * 2


def test_pack_gone_while_the_host_is_stopped_is_told_of_at_its_start(node: OneNode) -> None:
    node.pack.unlink()
    node.reopen()
    assert len(node.found()) == 6
    node.reopen()
    assert len(node.found()) == 6


def test_bytes_behind_a_packs_end_are_cut(node: OneNode) -> None:
    size = node.pack.stat().st_size
    write_at(node, size, read_at(node, FIRST, RECORD) + b"tail")
    assert node.scrub() == 0
    assert node.pack.stat().st_size == size
    assert stands(node) == [True] * 6


def test_records_in_each_others_place_are_put_right_in_the_index(node: OneNode) -> None:
    first, second = read_at(node, FIRST, RECORD), read_at(node, FIRST + RECORD, RECORD)
    write_at(node, FIRST, second + first)
    assert node.read(BLOB) is Status.CORRUPT
    for _ in range(2):
        node.scrub()
    assert stands(node) == [True] * 6
    assert node.store.live_count == 6
    node.store.folder.index.unlink()
    node.reopen()
    assert stands(node) == [True] * 6


def test_payloads_in_each_others_place_are_found(node: OneNode) -> None:
    at = [FIRST + HEADER, FIRST + RECORD + HEADER]
    first, second = (read_at(node, each, 6556) for each in at)
    write_at(node, at[0], second)
    write_at(node, at[1], first)
    assert node.scrub() == 2
    assert set(node.found()) == {shard(0), shard(1)}


def test_another_shards_record_where_the_index_says_loses_the_row_and_is_not_marked(node: OneNode) -> None:
    """A reader met it first: only the row of what is not there goes, the stranger stays as it is."""
    write_at(node, FIRST + RECORD, read_at(node, FIRST + 4 * RECORD, RECORD))
    assert node.read(BLOB, index=1) is Status.CORRUPT
    assert node.mend() == 1
    assert node.found() == [shard(1)]
    assert decode_header(read_at(node, FIRST + RECORD, RECORD)).state == 0
    assert node.store.holes == []
    node.scrub()
    assert stands(node) == ALL_BUT_SECOND
    assert decode_header(read_at(node, FIRST + RECORD, RECORD)).state == DELETED


STALE: dict[str, Callable[[OneNode, bytes], bytes]] = {
    "another incarnation": lambda _, record: with_header(
        record, replace(decode_header(record), incarnation=b"incarnation-old!")
    ),
    "older time": lambda _, record: with_header(record, replace(decode_header(record), stored_at_ms=5)),
    "other content": lambda node, record: with_header(
        record[:HEADER] + OTHER.payloads[1] + record[HEADER + 6556 :],
        replace(decode_header(record), block_hashes=OTHER.hashes[1]),
    ),
}


@pytest.mark.parametrize("stale", STALE.values(), ids=STALE)
def test_whole_record_of_another_time_is_found(node: OneNode, stale: Callable[[OneNode, bytes], bytes]) -> None:
    write_at(node, FIRST + RECORD, stale(node, read_at(node, FIRST + RECORD, RECORD)))
    assert node.read(BLOB, index=1) is Status.CORRUPT
    node.store.suspects.clear()
    assert node.scrub() == 1
    assert node.found() == [shard(1)]
    assert stands(node) == ALL_BUT_SECOND


def test_header_that_lies_about_its_length_hides_nothing(node: OneNode) -> None:
    """Records behind it would be stepped over: the rows that were not met are looked at one by one."""
    record = read_at(node, FIRST + RECORD, RECORD)
    long = replace(decode_header(record), shard_size=60_000, stored_at_ms=5)
    write_at(node, FIRST + RECORD, with_header(record, long)[:RECORD])
    flip(node, FIRST + 2 * RECORD + HEADER)
    node.scrub()
    node.scrub()
    assert shard(1) in node.found()
    assert shard(2) in node.found()
    assert stands(node) == [True, False, False, True, True, True]


def rows(node: OneNode) -> sqlite3.Connection:
    node.store.checkpoint()
    node.store.index._clean.clear()
    return sqlite3.connect(node.store.folder.index, isolation_level=None)


def test_lost_index_row_is_made_again_from_the_pack(node: OneNode) -> None:
    with rows(node) as db:
        db.execute("DELETE FROM shard WHERE blob = ? AND piece = 1", (BLOB,))
    assert node.read(BLOB, index=1) is Status.NOT_FOUND
    assert node.scrub() == 0
    assert stands(node) == [True] * 6
    assert node.found() == []


def test_index_row_that_points_elsewhere_is_put_right(node: OneNode) -> None:
    with rows(node) as db:
        db.execute("UPDATE shard SET location = (SELECT location FROM shard WHERE piece = 2) WHERE piece = 1")
    node.scrub()
    node.scrub()
    assert stands(node) == [True] * 6


def test_index_row_that_points_at_nothing_goes_and_is_told(node: OneNode) -> None:
    gone = shard(1, BLOB + 9)
    with rows(node) as db:
        db.execute("INSERT INTO shard SELECT ?, 1, location FROM shard WHERE blob = ? AND piece = 2", (BLOB + 9, BLOB))
        db.execute("INSERT OR REPLACE INTO session VALUES (7, 100)")
    node.store.states[1].live_count += 1
    node.store.index._highest[7] = 100
    node.scrub()
    assert node.found() == [gone]
    assert stands(node) == [True] * 6


def test_damaged_first_page_of_a_pack_is_made_again(node: OneNode) -> None:
    flip(node, 20)
    node.scrub()
    node.reopen()
    assert stands(node) == [True] * 6
    assert node.findings.foreign == []


def test_marked_deleted_by_damage_is_found(node: OneNode) -> None:
    write_at(node, FIRST + RECORD + STATE_AT, STATE.pack(DELETED))
    node.scrub()
    assert node.found() == [shard(1)]


def test_deleted_and_punched_records_are_no_damage(node: OneNode) -> None:
    from nodefs.upkeep import punch_some

    node.put(BIG, BLOB + 2)
    node.delete(shard(0, BLOB + 2), shard(1))
    assert punch_some(node.store) == 2
    assert node.scrub() == 0
    assert node.found() == []


class BadSectors(SystemDisk):
    """Reads that touch the given bytes fail, as a worn disk's do."""

    def __init__(self) -> None:
        self.bad = range(0)

    def _touch(self, offset: int, size: int) -> None:
        if offset < self.bad.stop and offset + size > self.bad.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._touch(offset, size)
        return super().pread(fd, size, offset)

    def preadv(self, fd: int, buffers: Sequence[memoryview], offset: int, flags: int = 0) -> int:
        self._touch(offset, sum(len(buffer) for buffer in buffers))
        return super().preadv(fd, buffers, offset, flags)


@pytest.mark.parametrize("at", [0, 4096], ids=["header", "payload"])
def test_unreadable_sector_costs_only_the_record_on_it(tmp_path: Path, at: int) -> None:
    disk = BadSectors()
    node = OneNode(tmp_path / "n1", disk)
    node.put(SMALL, BLOB, count=3)
    node.put(SMALL, BLOB + 1, count=3)
    disk.bad = range(FIRST + RECORD + at, FIRST + RECORD + at + 512)
    node.scrub()
    assert node.found() == [shard(1)]
    assert not node.store.fault
    assert stands(node) == ALL_BUT_SECOND
    assert node.put(SMALL, BLOB, count=3) == [Status.OK] * 3
    assert stands(node) == [True] * 6


def test_pass_goes_over_many_windows_and_packs(tmp_path: Path) -> None:
    node = OneNode(tmp_path / "n1")
    big = pieces(1_000_000, 1)
    node.store._max_pack_bytes = WINDOW_BYTES + 4_000_000
    for number in range(24):
        assert node.put(big, BLOB + number) == [Status.OK]
    assert len(node.store.packs) > 1
    scrubber, reader = Scrubber(node.store, 1.0, node.clock), BulkReader(node.disk)
    scrubber.begin_pass()
    sizes = []
    while scrubber.progress().running:
        sizes.append(scrubber.slice(reader))
    assert max(sizes) <= WINDOW_BYTES
    assert sum(sizes) == sum(pack.end - FIRST for pack in node.store.packs.values())
    assert (node.store.suspects, node.store.strays, node.store.odd_packs) == (set(), set(), set())
    with max(node.store.folder.packs.iterdir()).open("r+b") as file:
        file.seek(FIRST + 1_500_000)
        file.write(b"decayed")
    assert node.scrub() == 1


def test_pass_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    node = OneNode(tmp_path / "n1")
    big = pieces(1_000_000, 1)
    for number in range(12):
        node.put(big, BLOB + number)
    scrubber, reader = Scrubber(node.store, 1.0, node.clock), BulkReader(node.disk)
    scrubber.begin_pass()
    first = scrubber.slice(reader)
    before = scrubber.progress()
    assert before.running
    node.reopen()
    scrubber = Scrubber(node.store, 1.0, node.clock)
    assert scrubber.progress() == before
    assert scrubber.slice(reader) == node.store.packs[1].end - FIRST - first
    scrubber.slice(reader)
    assert scrubber.progress().finished_at_ms == node.clock.now_ms()


def test_everything_falls_due_within_the_interval_and_not_before(tmp_path: Path) -> None:
    node = OneNode(tmp_path / "n1")
    node.put(pieces(1_000_000, 1), BLOB)
    scrubber, reader = Scrubber(node.store, 1000.0, node.clock), BulkReader(node.disk)
    assert not scrubber.is_due()
    node.clock.advance(10)
    assert not scrubber.is_due()
    node.clock.advance(90)
    assert scrubber.is_due()
    scrubber.slice(reader)
    assert not scrubber.is_due()


def test_start_in_the_middle_of_a_slice_is_a_pass_of_its_own(tmp_path: Path) -> None:
    node = OneNode(tmp_path / "n1")
    node.put(pieces(1_000_000, 1), BLOB)
    scrubber = Scrubber(node.store, 1.0, node.clock)

    class Asking(BulkReader):
        def read(self, *args: object) -> memoryview:
            scrubber.begin_pass()
            return super().read(*args)  # type: ignore[arg-type]

    scrubber.slice(Asking(node.disk))
    assert scrubber.progress().running
    assert scrubber.progress().done_bytes == 0
