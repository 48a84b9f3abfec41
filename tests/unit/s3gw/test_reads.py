from __future__ import annotations

from cyxcloud.core.clock import ManualClock
from s3gw.reads import RunningReads


def test_since_is_when_the_oldest_running_read_began() -> None:
    clock = ManualClock()
    reads = RunningReads(clock)
    assert reads.since_ms(1_000_000) == 1_000_000
    first = reads.begin()
    clock.advance(10)
    second = reads.begin()
    clock.advance(5)
    assert reads.since_ms(1_000_000) == 985_000
    reads.end(first)
    assert reads.since_ms(1_000_000) == 995_000
    reads.end(second)
    assert reads.since_ms(1_000_000) == 1_000_000


def test_since_goes_by_the_monotonic_clock() -> None:
    """The store's time may be put right, and the wall clock set, while a read runs."""
    clock = ManualClock()
    reads = RunningReads(clock)
    reads.begin()
    clock.advance(10)
    clock.wall_ms += 25 * 3_600_000
    assert reads.since_ms(1_000_000) == 990_000
