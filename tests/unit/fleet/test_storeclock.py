from __future__ import annotations

from cyxcloud.core.worker import Idle
from cyxcloud.meta import cluster
from fleet.storeclock import MAX_DRIFT_MS, TICK_SECONDS, CoordinatorClock
from tests.unit.fleet.conftest import Fleet


async def test_a_tick_writes_the_time_down(fleet: Fleet) -> None:
    wall_ms = fleet.clock.now_ms()
    assert await fleet.store_clock.step(7.0) == Idle(7.0 + TICK_SECONDS)
    assert cluster.clock(fleet.reader) == (wall_ms, wall_ms)


async def test_time_goes_by_the_monotonic_clock(fleet: Fleet) -> None:
    start_ms = fleet.store_clock.now_ms()
    fleet.clock.advance(12.5)
    assert fleet.store_clock.now_ms() == start_ms + 12_500


async def test_a_wall_clock_that_is_set_is_not_followed(fleet: Fleet) -> None:
    start_ms = fleet.store_clock.now_ms()
    for jump_ms in (MAX_DRIFT_MS + 1, -3 * MAX_DRIFT_MS, 365 * 24 * 3_600_000):
        fleet.clock.wall_ms += jump_ms
        await fleet.store_clock.step(0.0)
        assert fleet.store_clock.now_ms() == start_ms


async def test_a_small_drift_is_followed_forward_only(fleet: Fleet) -> None:
    start_ms = fleet.store_clock.now_ms()
    fleet.clock.wall_ms += 2_000
    await fleet.store_clock.step(0.0)
    assert fleet.store_clock.now_ms() == start_ms + 2_000
    fleet.clock.wall_ms -= 5_000
    await fleet.store_clock.step(0.0)
    assert fleet.store_clock.now_ms() == start_ms + 2_000


async def test_a_restart_never_goes_back(fleet: Fleet) -> None:
    fleet.clock.advance(100)
    await fleet.store_clock.step(0.0)
    kept_ms = fleet.store_clock.now_ms()
    fleet.clock.wall_ms -= 50_000
    fleet.clock.elapsed = 0.0
    assert CoordinatorClock(fleet.clock, fleet.reader, fleet.writer).now_ms() == kept_ms
    fleet.clock.wall_ms = kept_ms + 9_000
    assert CoordinatorClock(fleet.clock, fleet.reader, fleet.writer).now_ms() == kept_ms + 9_000
