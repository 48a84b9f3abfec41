"""A process's idea of the store's time when wall clocks are set."""

from __future__ import annotations

from cyxcloud.core.clock import ManualClock
from cyxcloud.objects.store import MAX_AHEAD_MS, StoreClock

HOUR_MS = 3_600_000


def run(clock: ManualClock, ours: StoreClock, coordinator_ms: int, seconds: int = 12) -> int:
    """Poll each second a coordinator that writes every five; gives its time at the end."""
    written = coordinator_ms
    for second in range(1, seconds + 1):
        clock.advance(1)
        if second % 5 == 0:
            written = coordinator_ms + second * 1000
        ours.follow(written)
    return coordinator_ms + seconds * 1000


def test_store_clock_of_a_process_started_with_a_wall_clock_set_forward_is_put_right() -> None:
    clock = ManualClock()
    store_ms = clock.now_ms()
    clock.wall_ms += 25 * HOUR_MS
    ours = StoreClock(clock, store_ms)
    assert abs(run(clock, ours, store_ms) - ours.now_ms()) < MAX_AHEAD_MS


def test_store_clock_of_a_process_started_with_a_wall_clock_set_back_is_not_behind() -> None:
    clock = ManualClock()
    store_ms = clock.now_ms()
    clock.wall_ms -= 25 * HOUR_MS
    assert StoreClock(clock, store_ms).now_ms() == store_ms


def test_store_clock_does_not_follow_the_wall_clock_while_it_runs() -> None:
    clock = ManualClock()
    ours = StoreClock(clock)
    before = ours.now_ms()
    clock.wall_ms += 25 * HOUR_MS
    assert ours.now_ms() == before
    clock.wall_ms -= 50 * HOUR_MS
    assert ours.now_ms() == before


def test_store_clock_never_goes_back_for_an_old_reading() -> None:
    """While the coordinator is away its last reading grows old; so it does while this process is stopped."""
    clock = ManualClock()
    ours = StoreClock(clock)
    run(clock, ours, clock.now_ms())
    first = ours.now_ms()
    for _ in range(600):
        clock.advance(1)
        ours.follow(first)
    assert ours.now_ms() >= first + 600_000
    clock.advance(3600)
    before = ours.now_ms()
    ours.follow(first + 1000)
    assert ours.now_ms() == before
