from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.meta.rows import DISQUALIFIED, DOWN, GONE, LOST, NodeRow
from fleet.mover.breaker import START_MS, WINDOW_MS, Cohort, cohort
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
    assert not look(fleet(5), now_ms=NOW - 1000 + HOUR_MS).nodes


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


def zoned(down: int, *, in_zone: int, of: int = 100) -> list[NodeRow]:
    """So many of zone b went, all others are up."""
    return [
        replace(node(number, DOWN if number <= down else "up", NOW - 1000), zone="b" if number <= in_zone else "a")
        for number in range(1, of + 1)
    ]


def test_more_than_a_tenth_of_a_zone_are_waited_for() -> None:
    """Five of a zone's twenty, though ten of a hundred may go without notice."""
    assert look(zoned(4, in_zone=20)) == Cohort()
    found = look(zoned(5, in_zone=20))
    assert found.nodes == {1, 2, 3, 4, 5}
    assert found.zones == ("b",)
    assert look(zoned(5, in_zone=60)) == Cohort()
    assert look(zoned(7, in_zone=60)).nodes == {1, 2, 3, 4, 5, 6, 7}


def test_a_cohort_of_all_zones_names_none() -> None:
    rows = [replace(row, zone="ab"[row.number % 2]) for row in fleet(5)]
    assert look(rows).zones == ()


def test_what_went_in_the_coordinators_first_ten_minutes_went_together() -> None:
    rows = [node(number, DOWN if number < 6 else "up", NOW - number * 100_000) for number in range(16)]
    assert look(rows) == Cohort()
    found = look(rows, started_ms=NOW - START_MS)
    assert found.nodes == {0, 1, 2, 3, 4, 5}
    assert found.until_ms == NOW - START_MS + HOUR_MS


def test_a_disqualified_node_is_never_waited_for() -> None:
    rows = [replace(row, standing=DISQUALIFIED) if row.number == 1 else row for row in fleet(5)]
    assert look(rows) == Cohort()
    assert look([*fleet(6)[1:], replace(fleet(1)[0], standing=DISQUALIFIED)]).nodes == {2, 3, 4, 5, 6}


def test_a_cohort_that_did_not_come_back_is_late() -> None:
    found = look(fleet(5), now_ms=NOW - 1000 + HOUR_MS)
    assert not found.nodes
    assert found.late == {1, 2, 3, 4, 5}
    assert look(fleet(4), now_ms=NOW + HOUR_MS).late == frozenset()


def test_nodes_that_joined_and_never_came_neither_make_a_cohort_nor_hide_a_loss() -> None:
    absent = [replace(row, public_key=b"k" * 32, joined_at_ms=row.since_ms) for row in fleet(5)]
    assert look(absent) == Cohort()
    seen_once = [replace(row, joined_at_ms=row.since_ms - 1) for row in absent]
    assert len(look(seen_once).nodes) == 5
