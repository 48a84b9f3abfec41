from __future__ import annotations

import random
from collections import Counter

import pytest

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.ids import NodeId, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.placement import NoPlacement, Placement, PlacementPool, write_quorum
from cyxcloud.wire.memory import MemoryHost


def pool_of(hosts: HostMap, nodes: list[NodeId], count: int) -> tuple[PlacementPool, list[Placement]]:
    placements = [Placement(PlacementId(at), 2, 2, tuple((nodes[at:] + nodes[:at])[:4])) for at in range(count)]
    return PlacementPool(hosts, placements, random.Random(3)), placements


@pytest.mark.parametrize(("k", "m", "quorum"), [(10, 4, 12), (8, 4, 10), (4, 4, 6), (2, 1, 3), (1, 1, 2)])
def test_write_quorum(k: int, m: int, quorum: int) -> None:
    assert write_quorum(k, m) == quorum


def test_a_placement_has_each_node_once() -> None:
    with pytest.raises(AssertionError):
        Placement(PlacementId(1), 1, 1, (NodeId(b"a" * 32), NodeId(b"a" * 32)))


def test_picks_spread_over_the_pool() -> None:
    host = MemoryHost(8)
    pool, placements = pool_of(HostMap(ManualClock(), [host]), list(host.nodes), 8)
    seen = Counter(pool.pick().id for _ in range(800))
    assert seen.keys() == {placement.id for placement in placements}
    assert max(seen.values()) < 200


def test_the_less_loaded_of_two_is_taken() -> None:
    host = MemoryHost(8)
    nodes = list(host.nodes)
    hosts = HostMap(ManualClock(), [host])
    loaded, idle = Placement(PlacementId(1), 2, 2, tuple(nodes[:4])), Placement(PlacementId(2), 2, 2, tuple(nodes[4:]))
    pool = PlacementPool(hosts, [loaded, idle], random.Random(3))
    pool.began(loaded)
    assert {pool.pick().id for _ in range(20)} == {idle.id}
    pool.began(idle)
    pool.began(idle)
    assert {pool.pick().id for _ in range(20)} == {loaded.id}
    pool.ended(loaded)
    pool.ended(idle)
    pool.ended(idle)
    assert pool._load == {}


def test_a_whole_placement_is_preferred_to_one_with_a_node_gone() -> None:
    host = MemoryHost(8)
    nodes = list(host.nodes)
    hosts = HostMap(ManualClock(), [host])
    pool, _ = pool_of(hosts, nodes, 8)
    hosts.avoid_node(nodes[0])
    assert all(nodes[0] not in pool.pick().nodes for _ in range(100))


def test_a_placement_below_the_quorum_is_never_picked() -> None:
    host = MemoryHost(4)
    nodes = list(host.nodes)
    hosts = HostMap(ManualClock(), [host])
    pool, _ = pool_of(hosts, nodes, 1)
    hosts.avoid_node(nodes[0])
    assert pool.pick().id == 0
    hosts.avoid_node(nodes[1])
    with pytest.raises(NoPlacement):
        pool.pick()


def test_the_one_tried_before_is_taken_only_where_it_is_the_last() -> None:
    host = MemoryHost(8)
    pool, placements = pool_of(HostMap(ManualClock(), [host]), list(host.nodes), 2)
    assert all(pool.pick(exclude=placements[0]) is placements[1] for _ in range(20))
    pool.replace([placements[0]])
    assert pool.pick(exclude=placements[0]) is placements[0]


def test_an_empty_pool_has_none() -> None:
    with pytest.raises(NoPlacement):
        PlacementPool(HostMap(ManualClock())).pick()


def test_one_is_picked_of_the_profile_that_is_asked_for() -> None:
    host = MemoryHost(8)
    nodes = list(host.nodes)
    wide = [Placement(PlacementId(at), 4, 2, tuple((nodes[at:] + nodes[:at])[:6])) for at in range(4)]
    narrow = [Placement(PlacementId(at + 9), 2, 1, tuple((nodes[at:] + nodes[:at])[:3])) for at in range(4)]
    pool = PlacementPool(HostMap(ManualClock(), [host]), (), random.Random(3))
    pool.replace([*narrow, *wide], Profile(4, 2))
    assert {pool.pick().profile for _ in range(40)} == {Profile(4, 2)}
    assert {pool.pick(profile=Profile(2, 1)).profile for _ in range(40)} == {Profile(2, 1)}
    assert pool.pick(wide[0], Profile(4, 2)).profile == Profile(4, 2)
    with pytest.raises(NoPlacement, match=r"10\+6"):
        pool.pick(profile=Profile(10, 6))


def test_a_placement_without_slow_nodes_is_taken_even_where_it_is_more_loaded() -> None:
    memory = [MemoryHost(4), MemoryHost(4), MemoryHost(4)]
    clock = ManualClock()
    hosts = HostMap(clock, memory)
    slow, quick = (Placement(PlacementId(at), 2, 2, tuple(memory[at].nodes)) for at in (1, 2))
    for host, seconds in zip(memory, (0.01, 9.0, 0.01), strict=True):
        hosts.writes.ended(host, seconds, clock.monotonic())
    pool = PlacementPool(hosts, [slow, quick], random.Random(3))
    pool.began(quick)
    assert {pool.pick().id for _ in range(20)} == {quick.id}
