"""What lists may share: every rule holds where it can, and is raised by no more than needed where it cannot."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from fleet.placement.candidate import Candidate
from fleet.placement.rules import RULES, Rule, caps_for, domain, least_caps, relaxed, wished
from fleet.pool import choose_pool, make_pool

TEN_FOUR, TWO_ONE, FOUR_TWO = Profile(10, 4), Profile(2, 1), Profile(4, 2)


def remote(number: int, **shared: object) -> Candidate:
    apart = Candidate(NodeNumber(number), f"d{number}", available=True, host=f"h{number}", subnet=f"s{number}")
    return replace(replace(apart, operator=f"o{number}", zone=f"z{number % 4}"), **shared)  # type: ignore[arg-type]


def most(each: Sequence[NodeNumber], nodes: Sequence[Candidate], rule: Rule) -> int:
    by_number = {node.number: node for node in nodes}
    names = [domain(by_number[number], rule) for number in each]
    return max(Counter(name for name in names if name).values(), default=0)


def rules_broken(lists: Sequence[Sequence[NodeNumber]], nodes: Sequence[Candidate], profile: Profile) -> set[Rule]:
    caps = wished(profile)
    return {rule for rule in RULES for each in lists if most(each, nodes, rule) > caps[rule]}


def test_with_nodes_enough_every_rule_holds_in_every_list() -> None:
    nodes = [remote(i, operator=f"o{i // 2}", subnet=f"s{i // 2}") for i in range(60)]
    pool = make_pool(nodes, TEN_FOUR, random.Random(1))
    assert len(pool) == 343
    assert rules_broken(pool, nodes, TEN_FOUR) == set()


@pytest.mark.parametrize(
    ("shared", "rule", "cap"),
    [
        ([{"subnet": f"s{i % 13}"} for i in range(40)], Rule.SUBNET, 2),
        ([{"operator": f"o{i % 7}"} for i in range(40)], Rule.OPERATOR, 2),
        ([{"zone": f"z{i % 3}"} for i in range(40)], Rule.ZONE, 5),
        ([{"host": f"h{i % 2}"} for i in range(40)], Rule.HOST, 7),
        ([{"disk": "d"} for i in range(40)], Rule.DISK, 14),
        ([{"vetting": i > 10} for i in range(40)], Rule.VETTING, 3),
    ],
)
def test_a_rule_that_the_nodes_cannot_keep_is_raised_alone_and_as_little_as_can_be(
    shared: list[dict[str, object]], rule: Rule, cap: int
) -> None:
    nodes = [remote(i, **each) for i, each in enumerate(shared)]
    caps = caps_for(nodes, TEN_FOUR, random.Random(1))
    assert (relaxed(caps, TEN_FOUR), caps[rule]) == ((rule,), cap)
    assert all(most(each, nodes, rule) <= cap for each in make_pool(nodes, TEN_FOUR, random.Random(2)))


def test_of_two_rules_that_cannot_both_hold_the_first_in_order_is_raised() -> None:
    """Three operators in three subnets, and each operator's nodes are in the subnets of the two others' as well; but
    the pairs are such that no three nodes differ in both."""
    pairs = [("s1", "a"), ("s1", "b"), ("s1", "c"), ("s2", "a"), ("s3", "a")]
    nodes = [remote(i, subnet=subnet, operator=operator) for i, (subnet, operator) in enumerate(pairs)]
    assert relaxed(least_caps(nodes, TWO_ONE), TWO_ONE) == ()
    caps = caps_for(nodes, TWO_ONE, random.Random(1))
    assert relaxed(caps, TWO_ONE) == (Rule.SUBNET,)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_any_small_fleet_gets_lists_under_its_caps_and_those_are_no_higher_than_needed(
    data: st.DataObject, seed: int
) -> None:
    names = st.sampled_from(["", "a", "b", "c", "d"])
    count = data.draw(st.integers(6, 12))
    nodes = [
        remote(
            i,
            subnet=data.draw(names),
            operator=data.draw(names),
            zone=data.draw(names),
            vetting=data.draw(st.booleans()),
        )
        for i in range(count)
    ]
    caps = caps_for(nodes, FOUR_TWO, random.Random(seed))
    pool = make_pool(nodes, FOUR_TWO, random.Random(seed))
    assert pool
    for each in pool:
        assert len(set(each)) == FOUR_TWO.n
        assert all(most(each, nodes, rule) <= caps[rule] for rule in RULES)
    if not relaxed(caps, FOUR_TWO):
        return
    everything = [[node.number for node in each] for each in combinations(nodes, FOUR_TWO.n)]
    assert all(rules_broken([each], nodes, FOUR_TWO) for each in everything), "a list without any breach exists"


def test_vetting_nodes_hold_a_twentieth_of_the_pool_at_most_and_one_shard_of_a_list() -> None:
    nodes = [remote(i, vetting=i >= 60) for i in range(100)]
    pool = make_pool(nodes, TEN_FOUR, random.Random(1))
    young = {node.number for node in nodes if node.vetting}
    held = [len(young & set(each)) for each in pool]
    assert max(held) == 1
    assert 0.03 < sum(held) / (len(pool) * TEN_FOUR.n) <= 0.05


def test_a_node_of_half_weight_is_in_half_as_many_lists() -> None:
    nodes = [remote(i, weight=0.5 if i % 4 == 0 else 1.0, zone="") for i in range(100)]
    pool = make_pool(nodes, TEN_FOUR, random.Random(1))
    parts = Counter(number for each in pool for number in each)
    light = sum(parts[NodeNumber(i)] for i in range(0, 100, 4)) / 25
    heavy = sum(parts[NodeNumber(i)] for i in range(100) if i % 4) / 75
    assert 0.45 < light / heavy < 0.55


def numbered(pool: Sequence[tuple[NodeNumber, ...]], first: int = 1) -> dict[PlacementId, tuple[NodeNumber, ...]]:
    return {PlacementId(at): each for at, each in enumerate(pool, start=first)}


def test_choose_closes_lists_of_a_node_that_has_become_light_and_opens_the_same_again() -> None:
    nodes = [remote(i) for i in range(100)]
    existing = numbered(make_pool(nodes, TEN_FOUR, random.Random(1)))
    lighter = [replace(node, weight=0.25) if node.number == 7 else node for node in nodes]
    before = sum(7 in each for each in existing.values())
    chosen = choose_pool(existing, lighter, TEN_FOUR, random.Random(2))
    after = sum(7 in existing[each] for each in chosen.kept)
    assert chosen.fresh == []
    assert 0.1 < after / before < 0.4
    assert choose_pool(existing, nodes, TEN_FOUR, random.Random(3)).kept == existing.keys()


def test_choose_closes_lists_that_break_a_rule_now() -> None:
    nodes = [remote(i) for i in range(60)]
    existing = numbered(make_pool(nodes, TEN_FOUR, random.Random(1)))
    together = [replace(node, operator="one") if node.number < 2 else node for node in nodes]
    chosen = choose_pool(existing, together, TEN_FOUR, random.Random(2))
    assert {0, 1} <= set().union(*(existing[each] for each in chosen.kept))
    assert not any({0, 1} <= set(existing[each]) for each in chosen.kept)


def test_choose_leaves_out_what_exceeds_the_share_of_vetting_nodes() -> None:
    nodes = [remote(i) for i in range(60)]
    existing = numbered(make_pool(nodes, TEN_FOUR, random.Random(1)))
    younger = [replace(node, vetting=node.number < 6) for node in nodes]
    chosen = choose_pool(existing, younger, TEN_FOUR, random.Random(2))
    held = sum(number < 6 for each in chosen.kept for number in existing[each])
    assert 0 < held <= 0.05 * TEN_FOUR.n * len(chosen.kept)


def test_nodes_that_join_a_large_fleet_get_their_part_without_a_whole_new_pool() -> None:
    nodes = [remote(i) for i in range(400)]
    existing = numbered(make_pool(nodes, TEN_FOUR, random.Random(1)))
    joined = [*nodes, *(remote(i) for i in range(400, 410))]
    chosen = choose_pool(existing, joined, TEN_FOUR, random.Random(2))
    assert chosen.kept == existing.keys()
    assert len(chosen.fresh) < 150
    parts = Counter(number for each in chosen.fresh for number in each)
    assert all(parts[NodeNumber(i)] >= 80 for i in range(400, 410))
    assert rules_broken(chosen.fresh, joined, TEN_FOUR) == set()
    settled = existing | numbered(chosen.fresh, len(existing) + 1)
    assert choose_pool(settled, joined, TEN_FOUR, random.Random(3)).fresh == []
