"""Reputation: how soon a node that lost something is found out, and that an honest one never is (R17, the model)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.audits.reputation import FIRST_ALPHA, ONE, Reputation


def audits_until_disqualified(lost: float, seed: int, limit: int) -> int | None:
    rng, score = random.Random(seed), Reputation()
    for number in range(1, limit + 1):
        score = score.after(passed=rng.random() >= lost)
        if score.is_disqualifying:
            return number
    return None


def median(lost: float, limit: int) -> float:
    found = sorted(audits_until_disqualified(lost, seed, limit) or limit for seed in range(31))
    return found[15]


@pytest.mark.parametrize(
    ("lost", "least", "most"), [(1.0, 40, 42), (0.5, 70, 100), (0.2, 180, 270), (0.1, 400, 620), (0.05, 1200, 2000)]
)
def test_median_audits_until_disqualification_are_the_models(lost: float, least: int, most: int) -> None:
    assert least <= median(lost, 4 * most) <= most


def test_node_that_lost_two_percent_is_never_disqualified_in_twenty_thousand_audits() -> None:
    assert [audits_until_disqualified(0.02, seed, 20_000) for seed in range(10)] == [None] * 10


def test_suspension_comes_before_disqualification() -> None:
    score, suspended_at, number = Reputation(), 0, 0
    while not score.is_disqualifying:
        number += 1
        score = score.after(passed=False)
        suspended_at = suspended_at or (number if score.is_suspending else 0)
    assert 0 < suspended_at < number


@given(st.lists(st.booleans(), max_size=300))
def test_score_stays_within_bounds_and_is_integral(outcomes: list[bool]) -> None:
    score = Reputation()
    for passed in outcomes:
        score = score.after(passed=passed)
        assert 0 <= score.score <= ONE
        assert score.alpha + score.beta <= FIRST_ALPHA + ONE
