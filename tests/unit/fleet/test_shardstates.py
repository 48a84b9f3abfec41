"""What hosts say of shards, and what `meta check` makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from blake3 import blake3

from cyxcloud.core.ids import BlobId, PlacementId, ShardId
from cyxcloud.core.merkle import block_hashes
from cyxcloud.meta import blobs, placements, repairs
from cyxcloud.meta.check import Finding, Kind
from cyxcloud.meta.check_shards import live_chunks
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, ChunkRow, PlacementRow, PlacementState
from cyxcloud.shards.frames import CHUNK_BYTES
from cyxcloud.wire.memory import StoredShard
from cyxcloud.wire.status import Status
from fleet.shardcheck import ShardCheck
from fleet.shardstates import PlacedChunk, ShardState, ask, read
from tests.unit.fleet.conftest import Fleet

BLOB = BlobId(1 << 32 | 1)
PAYLOADS = [bytes([number]) * 1000 for number in range(3)]


def leaf(payload: bytes) -> bytes:
    return blake3(b"\x00" + b"".join(block_hashes(payload))).digest()


def stored(index: int) -> StoredShard:
    """One of three shards of a block each, with its proof."""
    leaves = [leaf(payload) for payload in PAYLOADS]
    pair = blake3(b"\x01" + leaves[0] + leaves[1]).digest()
    proofs = [leaves[1] + leaves[2], leaves[0] + leaves[2], pair]
    return StoredShard(PAYLOADS[index], b"".join(block_hashes(PAYLOADS[index])), proofs[index])


def root() -> bytes:
    leaves = [leaf(payload) for payload in PAYLOADS]
    return blake3(b"\x01" + blake3(b"\x01" + leaves[0] + leaves[1]).digest() + leaves[2]).digest()


@pytest.fixture
def chunk(fleet: Fleet) -> PlacedChunk:
    """Three shards on nodes 1 to 3, and the rows of their blob."""
    for index in range(3):
        fleet.host_of(index + 1).shards[fleet.rows[index].node_id][ShardId(BLOB, 0, index)] = stored(index)

    def add(conn: Connection) -> None:
        blobs.insert_chunked(conn, BlobRow(BLOB, 1, 2000, 2, 1, 1, 1), [ChunkRow(0, root(), PlacementId(1))])

    fleet.writer.call(add)
    return PlacedChunk(BLOB, 0, root(), tuple(row.node_id for row in fleet.rows[:3]))


def lose(fleet: Fleet, index: int) -> None:
    del fleet.host_of(index + 1).shards[fleet.rows[index].node_id][ShardId(BLOB, 0, index)]


async def findings(fleet: Fleet) -> tuple[ShardCheck, list[Finding]]:
    rows = {row.id: row for row in placements.read_all(fleet.reader)}
    work = ShardCheck(fleet.hosts, rows, {row.number: row.node_id for row in fleet.rows}, 5)
    return work, [each async for each in work.findings(live_chunks(fleet.reader))]


async def test_whole_chunks_are_ok_either_way(fleet: Fleet, chunk: PlacedChunk) -> None:
    assert await ask(fleet.hosts, chunk) == [ShardState.OK] * 3
    assert await read(fleet.hosts, chunk) == [ShardState.OK] * 3
    work, found = await findings(fleet)
    assert (found, work.chunks, work.counts) == ([], 1, {ShardState.OK: 3})


async def test_missing_and_unreachable_are_told_apart(fleet: Fleet, chunk: PlacedChunk) -> None:
    lose(fleet, 0)
    fleet.hosts[1].available = False
    wanted = [ShardState.MISSING, ShardState.OK, ShardState.UNREACHABLE]
    assert await ask(fleet.hosts, chunk) == wanted
    assert await read(fleet.hosts, chunk) == wanted


@pytest.mark.parametrize("what", ["payload", "hashes", "proof", "short"])
async def test_bytes_that_are_not_under_the_root_are_corrupt_when_read(
    fleet: Fleet, chunk: PlacedChunk, what: str
) -> None:
    bad = stored(1)
    if what == "short":
        bad = replace(bad, payload=bad.payload[:-1])
    else:
        content = getattr(bad, what)
        bad = replace(bad, **{what: bytes([content[0] ^ 1]) + content[1:]})
    fleet.host_of(2).shards[fleet.rows[1].node_id][ShardId(BLOB, 0, 1)] = bad
    assert await ask(fleet.hosts, chunk) == [ShardState.OK] * 3
    assert (await read(fleet.hosts, chunk))[1] is ShardState.CORRUPT


async def test_a_missing_shard_becomes_a_repair(fleet: Fleet, chunk: PlacedChunk) -> None:
    lose(fleet, 2)
    _, (found,) = await findings(fleet)
    assert found.kind is Kind.SHARD
    assert found.repair is not None
    assert fleet.writer.call(found.repair)
    (row,) = repairs.page(fleet.reader)
    assert (row.blob, row.chunk, row.shard_index, row.reason) == (BLOB, 0, 2, "missing")


async def test_a_shard_of_a_node_that_is_away_is_no_problem(fleet: Fleet, chunk: PlacedChunk) -> None:
    fleet.host_of(1).state[fleet.rows[0].node_id] = Status.DOWN
    work, found = await findings(fleet)
    assert found == []
    assert work.counts[ShardState.UNREACHABLE] == 1


async def test_a_chunk_that_lacks_too_many_is_lost(fleet: Fleet, chunk: PlacedChunk) -> None:
    lose(fleet, 0)
    lose(fleet, 1)
    _, (found,) = await findings(fleet)
    assert (found.kind, found.repair) == (Kind.CHUNK_LOST, None)


async def test_a_chunk_that_has_moved_or_gone_since_is_not_filed(fleet: Fleet, chunk: PlacedChunk) -> None:
    lose(fleet, 2)
    _, (found,) = await findings(fleet)
    assert found.repair is not None
    members = tuple(row.number for row in fleet.rows[1:4])

    def move(conn: Connection) -> None:
        placements.add(conn, [PlacementRow(PlacementId(2), 2, 1, members, PlacementState.OPEN, None)])
        assert blobs.move_chunk(conn, BLOB, 0, old=PlacementId(1), new=PlacementId(2))

    fleet.writer.call(move)
    assert not fleet.writer.call(found.repair)
    assert repairs.count(fleet.reader) == 0


def test_live_chunks_are_those_of_referenced_blobs_by_stride(fleet: Fleet) -> None:
    def add(conn: Connection) -> None:
        for number, refs in ((1, 1), (2, 1), (3, 1)):
            rows = [ChunkRow(n, bytes(32), PlacementId(1)) for n in range(1000)]
            blobs.insert_chunked(conn, BlobRow(BlobId(number), refs, 1000 * CHUNK_BYTES, 2, 1, 1, 1000), rows)
        conn.script("UPDATE blob SET refs = 0 WHERE id = 2")

    fleet.writer.call(add)
    assert [(each.blob, each.n) for each in live_chunks(fleet.reader)] == [(b, n) for b in (1, 3) for n in range(1000)]
    assert [each.n for each in live_chunks(fleet.reader, 700)] == [0, 700, 400]
