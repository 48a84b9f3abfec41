from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.rows import (
    DISQUALIFIED,
    DOWN,
    GONE,
    LOST,
    READ_ONLY,
    SUSPENDED,
    UP,
    VETTING,
    NodeRow,
    PlacementRow,
)
from fleet.mover.plan import Fleet, Plan, Terms, make_plan
from tests.unit.fleet.mover.nodes import HOUR_MS, node, placement

TERMS = Terms(away_ms=15 * 60_000, grace_ms=4 * HOUR_MS)
AWAY = TERMS.away_ms
NOW = 100 * HOUR_MS
FOURTEEN = placement(*range(1, 15))


def fleet_of(rows: Sequence[NodeRow], now_ms: int = NOW, started_ms: int = 0, held: set[int] | None = None) -> Fleet:
    waited_for = frozenset(NodeNumber(number) for number in held or ())
    return Fleet({row.number: row for row in rows}, now_ms, started_ms, TERMS, waited_for)


def sixteen(since: dict[int, int], state: str = DOWN) -> list[NodeRow]:
    """Sixteen nodes, of which these went so many milliseconds ago."""
    return [
        node(number, state, NOW - since[number]) if number in since else node(number, UP) for number in range(1, 17)
    ]


def plan(rows: Sequence[NodeRow], *lists: PlacementRow, held: set[int] | None = None, started_ms: int = 0) -> Plan:
    return make_plan(fleet_of(rows, held=held, started_ms=started_ms), lists or (FOURTEEN,), random.Random(1))


@pytest.mark.parametrize("state", [UP, READ_ONLY])
def test_nodes_that_can_be_read_are_left_alone(state: str) -> None:
    assert plan(sixteen(dict.fromkeys(range(1, 9), NOW), state)) == Plan()


@pytest.mark.parametrize(
    ("missing", "grace_ms"), [(1, 4 * HOUR_MS), (2, HOUR_MS), (3, 0), (4, 0)], ids=["one", "two", "three", "four"]
)
def test_the_grace_is_by_health(missing: int, grace_ms: int) -> None:
    for early in (1, 0):
        since = dict.fromkeys(range(1, missing + 1), AWAY + grace_ms - early)
        assert len(plan(sixteen(since)).moves) == (0 if early else 1)


def test_the_grace_of_two_runs_from_the_second() -> None:
    long, short = AWAY + HOUR_MS * 3, AWAY + HOUR_MS - 1
    assert not plan(sixteen({1: long, 2: short})).moves
    assert set(plan(sixteen({1: long, 2: short + 1})).moves[0].nodes) == set(range(3, 17))


def test_a_return_ends_the_grace_of_the_others() -> None:
    since = {1: AWAY, 2: AWAY, 3: AWAY}
    assert plan(sixteen(since)).moves
    del since[3]
    assert not plan(sixteen(since)).moves


def test_a_node_away_for_less_counts_as_there() -> None:
    assert not plan(sixteen({1: AWAY, 2: AWAY, 3: AWAY - 1})).moves


def test_a_lost_disk_counts_at_once_but_has_its_grace() -> None:
    assert not plan(sixteen({1: 1000}, LOST)).moves
    assert plan(sixteen({1: 1000, 2: 1000, 3: 1000}, LOST)).moves
    assert plan(sixteen({1: 4 * HOUR_MS}, LOST)).moves


def test_what_was_replaced_moves_at_once() -> None:
    moved = plan(sixteen({1: 0}, GONE)).moves[0]
    assert moved.nodes[1:] == FOURTEEN.nodes[1:]
    assert moved.nodes[0] in (15, 16)


def test_without_a_spare_shard_nothing_waits() -> None:
    """2+1: one missing leaves none to lose."""
    rows = [node(1, DOWN, NOW - AWAY), *(node(number) for number in range(2, 5))]
    assert plan(rows, placement(1, 2, 3, m=1)).moves


def test_a_node_that_was_down_before_the_coordinator_is_watched_first() -> None:
    rows = sixteen(dict.fromkeys((1, 2, 3), NOW))
    assert not plan(rows, started_ms=NOW - AWAY + 1).moves
    assert plan(rows, started_ms=NOW - AWAY).moves


def test_a_cohort_is_not_repaired_but_at_the_edge() -> None:
    rows = sixteen(dict.fromkeys((1, 2, 3), AWAY))
    assert plan(rows).moves
    assert not plan(rows, held={1, 2, 3}).moves
    lost = [replace(row, state=LOST) if row.number in (4, 5, 6) else row for row in rows]
    moved = plan(lost, held={1, 2, 3})
    assert set(moved.moves[0].nodes) > {15, 16}, "eleven are left when the cohort is counted as present"
    two_lost = [replace(row, state=LOST, since_ms=NOW) if row.number in (4, 5) else row for row in rows]
    assert not plan(two_lost, held={1, 2, 3}).moves


def test_chunks_on_their_way_with_few_shards_do_not_wait_for_a_grace() -> None:
    """Their own placement lacks three, the successor's new node has just gone too."""
    fleet = fleet_of(sixteen({1: AWAY}))
    assert not make_plan(fleet, [FOURTEEN], random.Random(1)).moves
    assert not make_plan(fleet, [FOURTEEN], random.Random(1), {FOURTEEN.id: 13}).moves
    assert make_plan(fleet, [FOURTEEN], random.Random(1), {FOURTEEN.id: 11}).moves[0].reachable == 11


def test_the_fewest_reachable_come_first() -> None:
    rows = sixteen({1: 0, 2: 0}, GONE)
    lists = [placement(2, *range(3, 16), number=1), placement(*range(1, 15), number=2)]
    assert [move.placement.id for move in plan(rows, *lists).moves] == [2, 1]


def test_with_nobody_to_stand_in_nothing_moves() -> None:
    rows = sixteen({1: 0, 15: 0, 16: 0}, GONE)
    assert plan(rows) == Plan(stuck=(FOURTEEN.id,))


def test_what_can_be_moved_is_though_not_all_can() -> None:
    found = plan(sixteen({1: 0, 2: 0, 16: 0}, GONE))
    assert len(set(found.moves[0].nodes) & {1, 2}) == 1
    assert found.stuck == (FOURTEEN.id,)


def test_the_node_that_took_the_name_takes_the_place() -> None:
    rows = [node(1, GONE, name="a~1"), *(node(number) for number in range(2, 17)), node(17, name="a")]
    assert plan(rows).moves[0].nodes == (17, *FOURTEEN.nodes[1:])


def test_a_replacement_that_is_not_up_yet_is_waited_for() -> None:
    rows = [node(1, GONE, name="a~1"), *(node(number) for number in range(2, 17))]
    assert plan([*rows, node(17, DOWN, NOW - AWAY + 1, name="a")]) == Plan()
    assert plan([*rows, node(17, DOWN, NOW - AWAY, name="a")]).moves
    assert plan([*rows, node(17, LOST, NOW, name="a")]).moves


def test_at_most_m_on_a_disk_while_there_are_disks() -> None:
    rows = [node(number, disk="abc"[number % 3], state=GONE if number == 2 else UP) for number in range(1, 25)]
    shards = placement(1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12)
    moved = plan(rows, shards).moves[0]
    assert Counter(rows[number - 1].disk for number in moved.nodes) == {"a": 4, "b": 4, "c": 4}


numbers = st.integers(1, 24)


@given(
    states=st.lists(st.sampled_from([UP, UP, UP, READ_ONLY, DOWN, LOST, GONE]), min_size=24, max_size=24),
    disks=st.lists(st.sampled_from("abcd"), min_size=24, max_size=24),
    lists=st.lists(st.permutations(range(1, 25)), min_size=1, max_size=6),
    seed=st.integers(),
)
def test_every_plan_is_sound(states: list[str], disks: list[str], lists: list[list[int]], seed: int) -> None:
    rows = [
        node(number, state, NOW - 10 * HOUR_MS, disk)
        for number, (state, disk) in enumerate(zip(states, disks, strict=True), start=1)
    ]
    fleet = fleet_of(rows)
    given_lists = [placement(*each[:12], number=at) for at, each in enumerate(lists, start=1)]
    found = make_plan(fleet, given_lists, random.Random(seed))
    assert found == make_plan(fleet, given_lists, random.Random(seed))
    assert [move.reachable for move in found.moves] == sorted(move.reachable for move in found.moves)
    for move in found.moves:
        assert len(set(move.nodes)) == len(move.placement.nodes), "two shards of a chunk on one node"
        for before, after in zip(move.placement.nodes, move.nodes, strict=True):
            if before != after:
                assert fleet.rows[before].state in (DOWN, LOST, GONE)
                assert fleet.rows[after].state == UP
        assert_even(fleet, move.placement, move.nodes)


def assert_even(fleet: Fleet, before: PlacementRow, nodes: Sequence[NodeNumber]) -> None:
    """No disk holds more than m while a node of a disk with fewer could have been taken instead."""
    counts = Counter(fleet.rows[number].disk for number in nodes)
    for was, now in zip(before.nodes, nodes, strict=True):
        disk = fleet.rows[now].disk
        if was != now and counts[disk] > before.m:
            better = [
                row.number
                for row in fleet.rows.values()
                if row.state == UP
                and row.number not in {*nodes, *before.nodes}
                and counts[row.disk] + 1 < counts[disk]
                and counts[row.disk] < before.m
            ]
            assert not better


def test_a_leaving_node_is_emptied_at_once_and_takes_nothing() -> None:
    rows = [replace(row, leaving=row.number in (3, 15)) for row in sixteen({})]
    moved = plan(rows).moves[0]
    assert moved.nodes == tuple(NodeNumber(16 if number == 3 else number) for number in range(1, 15))
    assert moved.reachable == 14


def test_a_leaving_node_stays_where_no_other_can_take_over() -> None:
    rows = [replace(row, leaving=row.number > 13) for row in sixteen({})]
    assert plan(rows) == Plan(stuck=(FOURTEEN.id,))


def large(placements: int) -> tuple[list[NodeRow], list[PlacementRow]]:
    """Two hundred nodes, each its own disk: the first was lost, and the last has just joined and holds nothing."""
    rows = [replace(node(number, DOWN if number == 1 else UP), disk=f"d{number}") for number in range(1, 201)]
    rng = random.Random(5)
    return rows, [placement(1, *rng.sample(range(2, 200), 13), number=number) for number in range(1, placements + 1)]


def test_successors_of_a_lost_node_in_a_large_fleet_are_spread_over_it() -> None:
    rows, lists = large(80)
    found = make_plan(fleet_of(rows), lists, random.Random(1))
    taken = Counter(next(iter(set(move.nodes) - set(move.placement.nodes))) for move in found.moves)
    assert sum(taken.values()) == 80
    assert taken[NodeNumber(200)] < 40
    assert len(taken) > 30


def test_a_plan_for_some_placements_counts_the_load_of_all() -> None:
    rows, lists = large(1)
    load = dict.fromkeys((row.number for row in rows), 10) | {NodeNumber(number): 0 for number in range(100, 200)}
    for seed in range(20):
        move = make_plan(fleet_of(rows), lists, random.Random(seed), load=load).moves[0]
        assert load[next(iter(set(move.nodes) - set(move.placement.nodes)))] == 0


def test_what_a_disqualified_node_holds_is_made_anew_at_once() -> None:
    """Readable or not, and though it is waited for with others."""
    for state in (UP, DOWN):
        rows = [replace(row, standing=DISQUALIFIED, state=state) if row.number == 3 else row for row in sixteen({})]
        assert plan(rows, held={3}).moves[0].nodes[2] in {15, 16}


@pytest.mark.parametrize("standing", [SUSPENDED, DISQUALIFIED])
def test_a_node_that_is_not_trusted_takes_nothing(standing: str) -> None:
    rows = [replace(row, standing=standing) if row.number == 15 else row for row in sixteen({1: 0}, GONE)]
    assert plan(rows).moves[0].nodes[0] == 16


def test_a_node_that_is_not_proven_takes_what_no_other_can() -> None:
    rows = [replace(row, standing=VETTING) if row.number == 15 else row for row in sixteen({1: 0}, GONE)]
    assert {plan(rows).moves[0].nodes[0] for _ in range(5)} == {16}
    both = [replace(row, standing=VETTING) if row.number > 14 else row for row in sixteen({1: 0}, GONE)]
    assert plan(both).moves


def test_a_move_is_late_only_where_all_that_is_missing_was_waited_for() -> None:
    rows = sixteen(dict.fromkeys((1, 2, 3), AWAY))
    fleet = replace(fleet_of(rows), late=frozenset({NodeNumber(1), NodeNumber(2), NodeNumber(3)}))
    assert make_plan(fleet, [FOURTEEN], random.Random(1)).moves[0].late
    fleet = replace(fleet, late=frozenset({NodeNumber(1), NodeNumber(2)}))
    assert not make_plan(fleet, [FOURTEEN], random.Random(1)).moves[0].late


def remote(number: int, state: str = UP, *, operator: str = "", zone: str = "", net: int | None = None) -> NodeRow:
    """On a box of its own."""
    row = node(number, state, disk=f"d{number}")
    subnet = number if net is None else net
    return replace(
        row,
        host=f"h{number}",
        operator=operator or f"o{number}",
        zone=zone,
        address=f"10.0.{subnet}.{number}:7000",
        public_key=b"k" * 32,
    )


def test_the_heir_shares_no_operator_subnet_or_full_zone_with_those_that_stay() -> None:
    staying = [remote(1, GONE), *(remote(number, zone="ab"[number % 2]) for number in range(2, 10))]
    staying += [remote(number, zone="c") for number in range(10, 14)] + [remote(14, zone="d")]
    wrong = [remote(15, operator="o5"), remote(16, net=6), remote(17, zone="c")]
    rows = [*staying, *wrong, remote(18, zone="d")]
    for seed in range(10):
        assert make_plan(fleet_of(rows), [FOURTEEN], random.Random(seed)).moves[0].nodes[0] == 18
    assert make_plan(fleet_of(rows[:-1]), [FOURTEEN], random.Random(1)).moves, "better than one shard less"
