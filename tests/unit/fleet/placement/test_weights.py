from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.placement.candidate import pool_candidates
from fleet.placement.weights import is_full, usual_free_bytes, weight
from tests.unit.fleet.placement.test_candidate import LOCAL, REMOTE

GIB = 1 << 30
HALF_FULL = replace(REMOTE, total_bytes=100 * GIB, used_bytes=50 * GIB, free_bytes=50 * GIB)


@pytest.mark.parametrize(("free", "expected"), [(100, 1.0), (50, 1.0), (25, 0.5), (26, 0.625), (0, 0.125)])
def test_weight_is_by_free_space_against_the_usual_in_eighths(free: int, expected: float) -> None:
    assert weight(replace(HALF_FULL, free_bytes=free * GIB), 50 * GIB, 1.0) == expected


@pytest.mark.parametrize(("reputation", "expected"), [(1.0, 1.0), (0.98, 0.5), (0.96, 0.125), (0.5, 0.125)])
def test_weight_falls_with_reputation(reputation: float, expected: float) -> None:
    assert weight(HALF_FULL, 50 * GIB, reputation) == expected


def test_a_node_that_has_not_told_its_space_weighs_as_others_and_is_not_full() -> None:
    silent = replace(REMOTE, total_bytes=100 * GIB)
    assert weight(silent, 50 * GIB, 1.0) == 1.0
    assert not is_full(silent)


def test_a_node_above_the_fill_limit_takes_nothing() -> None:
    full = replace(HALF_FULL, used_bytes=96 * GIB, free_bytes=4 * GIB)
    assert not pool_candidates([full])[0].available
    assert pool_candidates([HALF_FULL])[0].available


def test_the_usual_space_is_the_median_of_remote_nodes() -> None:
    rows = [replace(HALF_FULL, free_bytes=each * GIB) for each in (1, 50, 900)]
    assert usual_free_bytes([*rows, replace(LOCAL, total_bytes=1, free_bytes=1), REMOTE]) == 50 * GIB


def test_reputation_reaches_the_candidate() -> None:
    [found] = pool_candidates([HALF_FULL], {HALF_FULL.number: 0.98})
    assert found.weight == 0.5
