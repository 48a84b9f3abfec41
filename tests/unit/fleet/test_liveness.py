"""What silence means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.settings import FleetSettings
from fleet.liveness import Limits, Liveness, liveness

LIMITS = Limits.of(FleetSettings())
ORDER = [Liveness.ONLINE, Liveness.WARNING, Liveness.OFFLINE]
times = st.integers(0, 10**13)


@pytest.mark.parametrize(
    ("silent_ms", "expected"),
    [
        (0, Liveness.ONLINE),
        (59_999, Liveness.ONLINE),
        (60_000, Liveness.WARNING),
        (299_999, Liveness.WARNING),
        (300_000, Liveness.OFFLINE),
        (10**10, Liveness.OFFLINE),
    ],
)
def test_liveness_by_silence(silent_ms: int, expected: Liveness) -> None:
    assert liveness(5_000, 5_000 + silent_ms, LIMITS) is expected


@given(times, times, times)
def test_silence_never_makes_a_node_better(last: int, first: int, second: int) -> None:
    before, after = sorted((first, second))
    assert ORDER.index(liveness(last, before, LIMITS)) <= ORDER.index(liveness(last, after, LIMITS))


@given(times, times)
def test_heartbeat_brings_a_node_back_at_once(since: int, now: int) -> None:
    assert liveness(now, now, LIMITS, listening_since_ms=min(since, now)) is Liveness.ONLINE


@given(st.none() | times, times, st.integers(0, LIMITS.offline_after_ms - 1))
def test_nobody_is_offline_before_the_coordinator_listened_for_that_long(
    last: int | None, since: int, up_for: int
) -> None:
    assert liveness(last, since + up_for, LIMITS, listening_since_ms=since) is not Liveness.OFFLINE


@given(times, times, st.integers(0, 10**9))
def test_liveness_depends_on_the_difference_alone(last: int, silent: int, shift: int) -> None:
    assert liveness(last, last + silent, LIMITS) is liveness(last + shift, last + shift + silent, LIMITS)
