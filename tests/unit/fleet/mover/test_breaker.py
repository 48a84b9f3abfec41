from __future__ import annotations

import pytest

from cyxcloud.meta.rows import DOWN, GONE, LOST, NodeRow
from fleet.mover.breaker import WINDOW_MS, Cohort, cohort
from tests.unit.fleet.mover.nodes import HOUR_MS, node

NOW = 10 * HOUR_MS


def look(rows: list[NodeRow], now_ms: int = NOW, started_ms: int = 0) -> Cohort:
    return cohort(rows, now_ms, started_ms=started_ms, m=4, hold_ms=HOUR_MS)


def fleet(down: int, state: str = DOWN, since_ms: int = NOW - 1000, of: int = 16) -> list[NodeRow]:
    return [node(number, state if number <= down else "up", since_ms) for number in range(1, of + 1)]


def test_as_many_as_m_are_no_cohort() -> None:
    assert look(fleet(4)) == Cohort()


def test_more_than_m_within_five_minutes_are_waited_for() -> None:
    found = look(fleet(5))
    assert found == Cohort(frozenset({1, 2, 3, 4, 5}), NOW - 1000 + HOUR_MS)  # type: ignore[arg-type]


def test_a_cohort_is_let_go_after_its_hour() -> None:
    assert look(fleet(5), now_ms=NOW - 1001 + HOUR_MS).nodes
    assert look(fleet(5), now_ms=NOW - 1000 + HOUR_MS) == Cohort()


def test_a_tenth_of_many_nodes_is_the_limit() -> None:
    assert look(fleet(10, of=100)) == Cohort()
    assert len(look(fleet(11, of=100)).nodes) == 11


def test_nodes_that_go_one_by_one_are_no_cohort() -> None:
    rows = [node(number, DOWN, NOW - number * (WINDOW_MS // 4 + 1)) for number in range(1, 9)]
    assert look([*rows, *(node(number) for number in range(9, 17))]) == Cohort()
    close = [node(number, DOWN, NOW - number * WINDOW_MS // 4) for number in range(1, 6)]
    assert len(look([*close, *(node(number) for number in range(6, 17))]).nodes) == 5


@pytest.mark.parametrize("state", [LOST, GONE])
def test_lost_disks_and_replaced_nodes_are_exempt(state: str) -> None:
    assert look(fleet(8, state)) == Cohort()


def test_what_was_down_when_the_coordinator_started_went_together() -> None:
    rows = [node(number, DOWN if number < 6 else "up", number * HOUR_MS) for number in range(16)]
    assert look(rows) == Cohort()
    assert look(rows, started_ms=NOW - 1000).nodes == {0, 1, 2, 3, 4, 5}
