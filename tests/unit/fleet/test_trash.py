"""Trash that goes before its time: only where space runs out, the oldest first, and nothing that a read may need."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId, NodeNumber, PlacementId, SessionNumber
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, nodes, sessions, strays
from cyxcloud.meta import deletions as queue
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, ChunkRow, SegmentRow, SessionRow, StrayRow
from fleet.deletions import Deletions
from fleet.trash import SETTLE_MS, SKEW_MS, Trash, pressed, removed_before_ms
from tests.unit.fleet.conftest import Fleet

GRACE, SNAPSHOT = 86400.0, 600.0
GATEWAY = SessionNumber(7)
GIB = 1 << 30


@pytest.fixture
def worker(fleet: Fleet) -> Deletions:
    fleet.writer.call(partial(sessions.create, number=GATEWAY, role="gateway", now_ms=0))
    trash = Trash(fleet.store_clock, lambda: None, grace_seconds=GRACE, snapshot_seconds=SNAPSHOT)
    return Deletions(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, fleet.signer, trash=trash)


def fill(fleet: Fleet, free: int, number: int = 1) -> None:
    row = nodes.read_all(fleet.reader)[number - 1]
    now_ms = fleet.store_clock.now_ms()
    changed = replace(row, total_bytes=100 * GIB, free_bytes=free, seen_at_ms=now_ms)
    fleet.writer.call(lambda conn: nodes.upsert(conn, changed))


def beat(fleet: Fleet, reads_for_seconds: float = 0.0) -> None:
    since_ms = fleet.store_clock.now_ms() - int(reads_for_seconds * 1000)
    fleet.writer.call(lambda conn: sessions.beat(conn, GATEWAY, since_ms))


def remove(fleet: Fleet, number: int, size: int = GIB, *, known: bool = True) -> None:
    """The last reference goes now."""
    now_ms = fleet.store_clock.now_ms()
    gone = SegmentRow(BlobId(number), 0, size, b"", 0, 1, b"")

    def change(conn: Connection) -> None:
        row = BlobRow(BlobId(number), 1, size, 2, 1, 1, 1)
        blobs.insert_chunked(conn, row, [ChunkRow(0, b"r" * 32, PlacementId(1))])
        blobs.release(conn, [gone], now_ms + int(GRACE * 1000), removed_at_ms=now_ms if known else None)

    fleet.writer.call(change)


def queued(fleet: Fleet) -> int:
    return queue.totals(fleet.reader)[0]


async def test_trash_waits_while_there_is_room(fleet: Fleet, worker: Deletions) -> None:
    remove(fleet, 1)
    fleet.clock.advance(3600)
    beat(fleet)
    fill(fleet, free=11 * GIB)
    assert isinstance(await worker.step(0.0), Idle)
    assert queued(fleet) == 1


async def test_trash_goes_early_where_space_runs_out(fleet: Fleet, worker: Deletions) -> None:
    remove(fleet, 1)
    fleet.clock.advance(3600)
    beat(fleet)
    fill(fleet, free=9 * GIB)
    assert await worker.step(0.0) == Did(1, "deleting")
    assert queued(fleet) == 0


async def test_trash_that_a_running_read_may_need_stays(fleet: Fleet, worker: Deletions) -> None:
    fleet.clock.advance(3600)
    remove(fleet, 1)
    fleet.clock.advance(3600)
    fill(fleet, free=9 * GIB)
    beat(fleet, reads_for_seconds=3600 - SKEW_MS / 1000)
    assert isinstance(await worker.step(0.0), Idle)
    beat(fleet, reads_for_seconds=3600 - SKEW_MS / 1000 - 1)
    assert await worker.step(0.0) == Did(1, "deleting")


async def test_trash_stays_until_every_gateway_has_said_what_it_reads(fleet: Fleet, worker: Deletions) -> None:
    remove(fleet, 1)
    fleet.clock.advance(3600)
    beat(fleet)
    fleet.writer.call(partial(sessions.create, number=SessionNumber(8), role="gateway", now_ms=0))
    fill(fleet, free=9 * GIB)
    assert isinstance(await worker.step(0.0), Idle)
    fleet.writer.call(lambda conn: sessions.close(conn, SessionNumber(8), 1))
    assert await worker.step(0.0) == Did(1, "deleting")


async def test_trash_that_the_newest_snapshot_knows_stays(fleet: Fleet, worker: Deletions) -> None:
    remove(fleet, 1)
    fleet.clock.advance(SNAPSHOT)
    beat(fleet)
    fill(fleet, free=9 * GIB)
    assert isinstance(await worker.step(0.0), Idle)
    fleet.clock.advance(SKEW_MS / 1000 + 1)
    beat(fleet)
    assert await worker.step(0.0) == Did(1, "deleting")


async def test_trash_of_unknown_age_waits_until_it_is_due(fleet: Fleet, worker: Deletions) -> None:
    remove(fleet, 1, known=False)
    fleet.clock.advance(3600)
    beat(fleet)
    fill(fleet, free=9 * GIB)
    assert isinstance(await worker.step(0.0), Idle)


async def test_only_as_much_goes_early_as_is_lacking_and_the_oldest_first(fleet: Fleet, worker: Deletions) -> None:
    for number in (3, 1, 2):
        remove(fleet, number)
        fleet.clock.advance(10)
    fleet.clock.advance(3600)
    beat(fleet)
    fill(fleet, free=9 * GIB)
    assert await worker.step(0.0) == Did(1, "deleting")
    assert isinstance(await worker.step(0.0), Idle), "what was ordered has to show first"
    assert blobs.read(fleet.reader, BlobId(3)) is None
    fleet.clock.advance(SETTLE_MS / 1000 + 1)
    beat(fleet)
    fill(fleet, free=9 * GIB)
    assert await worker.step(0.0) == Did(1, "deleting")
    assert blobs.read(fleet.reader, BlobId(1)) is None


async def test_strays_of_a_node_that_lacks_room_go_early_too(fleet: Fleet, worker: Deletions) -> None:
    due_ms = fleet.store_clock.now_ms() + int(GRACE * 1000)
    rows = [StrayRow(NodeNumber(number), BlobId(5), 0, 0, due_ms) for number in (1, 2)]
    fleet.writer.call(lambda conn: strays.add(conn, rows))
    fleet.clock.advance(3600)
    beat(fleet)
    fill(fleet, free=9 * GIB)
    assert await worker.step(0.0) == Did(1, "deleting")
    assert strays.count(fleet.reader) == 1


def gateway(oldest_read_ms: int | None) -> SessionRow:
    return SessionRow(1, "gateway", 0, 0, None, oldest_read_ms)


@given(
    now=st.integers(SKEW_MS, 10 * SKEW_MS),
    began=st.lists(st.integers(0, 10 * SKEW_MS), max_size=4),
    snapshot=st.integers(0, 10 * SKEW_MS),
    removed=st.integers(0, 10 * SKEW_MS),
)
def test_removed_before_is_before_every_read_and_the_snapshot_by_two_beats(
    now: int, began: list[int], snapshot: int, removed: int
) -> None:
    may_go = removed < removed_before_ms(now, [gateway(each) for each in began], snapshot)
    assert may_go == all(removed + SKEW_MS < each for each in [now, snapshot, *began])


def test_pressed_are_nodes_that_lack_room_and_are_there(fleet: Fleet) -> None:
    rows = [
        replace(row, total_bytes=100, free_bytes=free, state=state)
        for row, free, state in zip(fleet.rows, (9, 10, 0, 0), ("up", "up", "read-only", "down"), strict=True)
    ]
    assert pressed(rows) == {1: 1, 3: 10}
