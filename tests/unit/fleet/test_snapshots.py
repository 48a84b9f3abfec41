"""When snapshots are taken, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from cyxcloud.core.clock import ManualClock, SystemClock
from cyxcloud.core.worker import Did, Idle, Runner
from cyxcloud.meta import sessions
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.objects.store import Store
from fleet.snapshot_taking import STATE_NAME, NotFrozen, SnapshotTaker
from fleet.snapshots import Snapshots, last_snapshot, routes
from fleet.storeclock import CoordinatorClock
from tests.unit.fleet.snapshot_rig import CLUSTER, MASTER, Rig, rig

INTERVAL = 600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().now_ms())


@pytest.fixture
def store(template: Path, tmp_path: Path, clock: ManualClock) -> Iterator[Rig]:
    with rig(template, tmp_path, clock=clock) as made:
        yield made


def worker(store: Rig, clock: ManualClock, of: ClusterRow = CLUSTER, tries: Sequence[int] = ()) -> Snapshots:
    """`tries`: how often a checkpoint is tried, where not as often as usual."""

    def taker(opened: Store) -> SnapshotTaker:
        made = SnapshotTaker(opened, store.writer, store.hosts, of, MASTER, store.gate)
        return replace(made, freeze_tries=tries[0]) if tries else made

    return Snapshots(
        store=store.snapshot_store,
        taker=taker,
        cluster=of,
        interval_seconds=INTERVAL,
        clock=CoordinatorClock(clock, store.database.reader(), store.writer),
        monotonic=clock,
        state_path=store.path.with_name(STATE_NAME),
    )


def made_now(clock: ManualClock) -> ClusterRow:
    return replace(CLUSTER, created_at_ms=clock.now_ms())


async def test_step_before_the_first_interval_takes_none(store: Rig, clock: ManualClock) -> None:
    snapshots = worker(store, clock, made_now(clock))
    done = await snapshots.step(100.0)
    assert isinstance(done, Idle)
    assert 100.0 < done.until <= 130.0, "the write session is beaten while nothing is done"
    clock.advance(INTERVAL + 1)
    assert isinstance(await snapshots.step(700.0), Did)
    assert isinstance(await snapshots.step(701.0), Idle)
    clock.advance(INTERVAL + 1)
    assert isinstance(await snapshots.step(1400.0), Did)
    assert snapshots.last is not None
    assert (snapshots.last.sequence, snapshots.last.full) == (2, False)


async def test_step_after_a_start_keeps_the_interval(store: Rig, clock: ManualClock) -> None:
    await worker(store, clock).step(0.0)
    assert isinstance(await worker(store, clock).step(1.0), Idle)
    clock.advance(INTERVAL + 1)
    assert isinstance(await worker(store, clock).step(2.0), Did)


async def test_step_of_a_restored_store_takes_one_at_once(store: Rig, clock: ManualClock) -> None:
    """What its nodes point to has no rows in its database. Fails where the interval is waited for."""
    await worker(store, clock).step(0.0)
    restored = replace(CLUSTER, incarnation=b"j" * 16, restored_at_ms=clock.now_ms(), created_at_ms=clock.now_ms())
    snapshots = worker(store, clock, restored)
    assert isinstance(await snapshots.step(1.0), Did)
    assert snapshots.last is not None
    assert snapshots.last.full
    assert isinstance(await worker(store, clock, restored).step(2.0), Idle)


async def test_step_after_its_session_was_closed_opens_another(store: Rig, clock: ManualClock) -> None:
    snapshots = worker(store, clock)
    await snapshots.step(0.0)
    (first,) = sessions.open_ones(store.database.reader())
    assert first.role == "snapshot"
    store.writer.call(lambda conn: sessions.close(conn, first.number, 1))  # type: ignore[arg-type]
    snapshots.ask()
    with pytest.raises(Exception, match=str(first.number)):
        await snapshots.step(1.0)
    snapshots.ask()
    assert isinstance(await snapshots.step(2.0), Did)


async def test_routes_take_one_and_tell_how_it_ended(store: Rig, clock: ManualClock) -> None:
    tries: list[int] = []
    snapshots = worker(store, clock, made_now(clock), tries)
    app = web.Application()
    app.add_routes(routes(snapshots, Runner([snapshots], SystemClock())))
    async with TestClient(TestServer(app)) as client:
        number = (await (await client.post("/snapshot")).json())["number"]
        told = await (await client.get("/snapshot")).json()
        assert (told["asked"], told["answered"], told["last"]) == (number, number - 1, None)
        tries.append(0)
        with pytest.raises(NotFrozen):
            await snapshots.step(0.0)
        told = await (await client.get("/snapshot")).json()
        assert told["answered"] == number
        assert "NotFrozen" in told["error"]
        tries.clear()
        number = (await (await client.post("/snapshot")).json())["number"]
        await snapshots.step(1.0)
        told = await (await client.get("/snapshot")).json()
        assert (told["answered"], told["error"], told["last"]["sequence"]) == (number, "", 2)


async def test_last_snapshot_of_a_damaged_state_file_is_none(store: Rig) -> None:
    path = store.path.with_name(STATE_NAME)
    assert last_snapshot(path) is None
    taken = await store.take()
    assert last_snapshot(path) == taken.summary
    path.write_bytes(b"CYXSNMF")
    assert last_snapshot(path) is None
