from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cyxcloud.core.ids import NodeNumber
from fleet.mover.rebalance import DAY_SECONDS, TOLERANCE, Allowance, Stock, Stored, levels, plan_rebalance
from fleet.placement.candidate import Candidate
from tests.unit.fleet.mover.nodes import placement

MIB = 1 << 20
EVERYTHING = 1e18
Stocks = dict[NodeNumber, Stock]


def candidate(number: int, *, disk: str = "", operator: str = "", zone: str = "") -> Candidate:
    return Candidate(NodeNumber(number), disk or f"d{number}", available=True, operator=operator, zone=zone)


def stocks_of(stored: Sequence[Stored], candidates: Sequence[Candidate], capacity: int = 1000 * MIB) -> Stocks:
    load: Counter[NodeNumber] = Counter()
    for each in stored:
        for number in each.placement.nodes:
            load[number] += each.shard_bytes
    return {each.number: Stock(each, capacity, load[each.number], readable=True) for each in candidates}


def random_store(count: int, nodes: int, seed: int) -> list[Stored]:
    rng = random.Random(seed)
    return [
        Stored(placement(*rng.sample(range(1, nodes + 1), 14), number=number), rng.randrange(MIB // 2, 2 * MIB))
        for number in range(1, count + 1)
    ]


def carried_out(stored: Sequence[Stored], moved: dict[int, tuple[NodeNumber, ...]]) -> list[Stored]:
    return [
        replace(each, placement=replace(each.placement, nodes=moved.get(each.placement.id, each.placement.nodes)))
        for each in stored
    ]


def rebalanced(
    stored: list[Stored], candidates: Sequence[Candidate], room: float = EVERYTHING
) -> tuple[list[Stored], int, int]:
    """The store when nothing is left to do, the bytes that moved and the steps it took."""
    size, steps, begun = 0, 0, False
    while True:
        stocks = stocks_of(stored, candidates)
        moves = plan_rebalance(stocks, stored, room, least_bytes=0, begun=begun)
        if not moves:
            return stored, size, steps
        before = levels(stocks.values())
        by_id = {each.placement.id: each for each in stored}
        for move in moves:
            swapped = sum(was != now for was, now in zip(move.placement.nodes, move.nodes, strict=True))
            size += swapped * by_id[move.placement.id].shard_bytes
        stored = carried_out(stored, {move.placement.id: move.nodes for move in moves})
        after = levels(stocks_of(stored, candidates).values())
        for number, over in before.surplus.items():
            assert min(0.0, over) - 1 <= after.surplus[number] <= max(0.0, over) + 1, "nobody crosses the mean"
        steps, begun = steps + 1, True
        assert steps < 1000


def even(stored: Sequence[Stored], candidates: Sequence[Candidate], tolerance: float = TOLERANCE) -> bool:
    return not levels(stocks_of(stored, candidates).values()).uneven(tolerance, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_new_nodes_fill_up_and_then_nothing_moves(seed: int) -> None:
    stored, candidates = random_store(400, 16, seed), [candidate(number) for number in range(1, 21)]
    least = sum(-over for over in levels(stocks_of(stored, candidates).values()).surplus.values() if over < 0)
    after, size, steps = rebalanced(stored, candidates)
    assert even(after, candidates, TOLERANCE / 2)
    assert size <= 1.05 * least, "hardly more than what the new nodes are to hold"
    assert steps > 1, "bounded steps"
    assert not plan_rebalance(stocks_of(after, candidates), after, EVERYTHING, least_bytes=0, begun=False)
    assert all(len(set(each.placement.nodes)) == 14 for each in after)


def test_writes_that_unbalance_a_little_start_nothing() -> None:
    candidates = [candidate(number) for number in range(1, 21)]
    after, _, _ = rebalanced(random_store(400, 16, 1), candidates)
    rng = random.Random(2)
    for _ in range(50):
        written = [replace(each, shard_bytes=int(each.shard_bytes * rng.uniform(0.7, 1.3))) for each in after]
        assert not plan_rebalance(stocks_of(written, candidates), written, EVERYTHING, least_bytes=0, begun=False)


def test_it_begins_at_the_tolerance_and_goes_on_to_half_of_it() -> None:
    candidates = [candidate(number) for number in range(1, 16)]
    many = [Stored(placement(*(1 + (at + each) % 15 for each in range(14)), number=at + 1), MIB) for at in range(150)]
    heavy = [Stored(placement(*range(1, 15), number=1000 + at), MIB // 4) for at in range(8 * 4)]
    stored = [*many, *heavy]
    found = levels(stocks_of(stored, candidates).values())
    assert not found.uneven(TOLERANCE, 0)
    assert found.uneven(TOLERANCE / 2, 0)
    stocks = stocks_of(stored, candidates)
    assert not plan_rebalance(stocks, stored, EVERYTHING, least_bytes=0, begun=False)
    assert plan_rebalance(stocks, stored, EVERYTHING, least_bytes=0, begun=True)


def test_a_step_moves_no_more_than_it_may() -> None:
    stored, candidates = random_store(400, 16, 1), [candidate(number) for number in range(1, 21)]
    assert not plan_rebalance(stocks_of(stored, candidates), stored, 0.0, least_bytes=0, begun=False)
    moves = plan_rebalance(stocks_of(stored, candidates), stored, 10 * MIB, least_bytes=0, begun=False)
    assert 0 < len(moves) <= 10 // 2 + 1


def test_what_is_less_than_the_least_is_left_alone() -> None:
    stored, candidates = random_store(20, 16, 1), [candidate(number) for number in range(1, 21)]
    assert plan_rebalance(stocks_of(stored, candidates), stored, EVERYTHING, least_bytes=0, begun=False)
    assert not plan_rebalance(stocks_of(stored, candidates), stored, EVERYTHING, least_bytes=100 * MIB, begun=False)


def test_a_bigger_node_takes_more() -> None:
    candidates = [candidate(number) for number in range(1, 42)]
    stored = random_store(300, 40, 4)
    while True:
        stocks = stocks_of(stored, candidates)
        stocks[NodeNumber(41)] = replace(stocks[NodeNumber(41)], capacity_bytes=2000 * MIB)
        moves = plan_rebalance(stocks, stored, EVERYTHING, least_bytes=0, begun=True)
        if not moves:
            break
        stored = carried_out(stored, {move.placement.id: move.nodes for move in moves})
    loads = {number: stock.load_bytes for number, stock in stocks.items()}
    assert loads[NodeNumber(41)] / loads[NodeNumber(1)] == pytest.approx(2, rel=0.15)


def test_domains_hold_no_more_of_a_chunk_than_before() -> None:
    """Two new nodes of one operator never stand in one placement; a third shares its disk with node 1."""
    old = [candidate(number, operator=f"o{number}", zone="ab"[number % 2]) for number in range(1, 17)]
    new = [candidate(number, operator="new", zone="c") for number in (17, 18)]
    shared = [candidate(19, disk="d1", operator="o19", zone="c")]
    after, size, _ = rebalanced(random_store(400, 16, 1), [*old, *new, *shared])
    assert size > 0
    for each in after:
        assert len({17, 18} & set(each.placement.nodes)) < 2
        assert len({1, 19} & set(each.placement.nodes)) < 2


@pytest.mark.parametrize("change", [{"available": False}, {"vetting": True}], ids=["unavailable", "vetting"])
def test_a_node_that_may_not_take_stays_empty(change: dict[str, bool]) -> None:
    candidates = [candidate(number) for number in range(1, 17)]
    candidates.append(replace(candidate(17), **change))  # type: ignore[arg-type]
    after, _, _ = rebalanced(random_store(100, 16, 1), candidates)
    assert not any(17 in each.placement.nodes for each in after)


def test_what_cannot_be_read_whole_is_left_to_repair() -> None:
    stored, candidates = random_store(100, 16, 1), [candidate(number) for number in range(1, 21)]
    stocks = stocks_of(stored, candidates)
    stocks[NodeNumber(3)] = replace(stocks[NodeNumber(3)], readable=False)
    moves = plan_rebalance(stocks, stored, EVERYTHING, least_bytes=0, begun=False)
    assert moves
    assert not any(3 in move.placement.nodes for move in moves)


def test_the_allowance_is_an_hours_at_the_start_and_grows_to_no_more() -> None:
    allowance = Allowance(0.0)
    assert allowance.room_bytes(0.0, DAY_SECONDS) == 3600
    allowance.take(5000, DAY_SECONDS)
    assert allowance.room_bytes(1000.0, DAY_SECONDS) == -400
    assert allowance.room_bytes(2000.0, DAY_SECONDS) == 600
    assert allowance.room_bytes(1e6, DAY_SECONDS) == 3600
