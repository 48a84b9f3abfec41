"""Placement pools: distinct nodes, disk caps, quorum, balance."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import NodeNumber
from fleet.placement.survive import survived
from fleet.pool import Candidate, Profile, TooFewNodes, make_pool

TEN_FOUR = Profile(10, 4)


def nodes(count: int, disks: int = 1, down: frozenset[int] = frozenset()) -> list[Candidate]:
    return [Candidate(NodeNumber(i), f"disk{i % disks}", i not in down) for i in range(count)]


def test_sixteen_nodes_on_one_disk_give_all_120_lists() -> None:
    pool = make_pool(nodes(16), TEN_FOUR, random.Random(1))
    assert len(pool) == 120
    assert len({frozenset(each) for each in pool}) == 120


@given(count=st.integers(14, 40), disks=st.integers(1, 6), seed=st.integers(0, 1000))
def test_a_list_never_names_a_node_twice(count: int, disks: int, seed: int) -> None:
    for each in make_pool(nodes(count, disks), TEN_FOUR, random.Random(seed)):
        assert len(each) == len(set(each)) == 14


def test_four_disks_hold_at_most_m_shards_each() -> None:
    members = nodes(20, 4)
    disk = {node.number: node.disk for node in members}
    pool = make_pool(members, TEN_FOUR, random.Random(1))
    assert all(max(Counter(disk[n] for n in each).values()) <= 4 for each in pool)
    assert survived([[disk[n] for n in each] for each in pool], 4) == 1


def test_down_nodes_are_left_out_while_enough_are_up() -> None:
    pool = make_pool(nodes(16, down=frozenset({3, 9})), TEN_FOUR, random.Random(1))
    assert pool
    assert not any({3, 9} & set(each) for each in pool)


def test_four_down_of_sixteen_still_reach_the_write_quorum() -> None:
    down = frozenset({0, 1, 2, 3})
    pool = make_pool(nodes(16, down=down), TEN_FOUR, random.Random(1))
    assert pool
    assert all(len(set(each) - down) == 12 for each in pool)


def test_five_down_of_sixteen_is_refused() -> None:
    with pytest.raises(TooFewNodes):
        make_pool(nodes(16, down=frozenset(range(5))), TEN_FOUR, random.Random(1))


def test_every_node_holds_data_and_parity_alike() -> None:
    pool = make_pool(nodes(16), TEN_FOUR, random.Random(7))
    data = Counter(n for each in pool for n in each[:10])
    assert min(data.values()) > 0.5 * max(data.values())


def test_one_disk_survives_no_disk() -> None:
    assert survived([["a"] * 14], 4) == 0
    assert survived([], 4) == 0
