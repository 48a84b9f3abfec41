from __future__ import annotations

import asyncio
import time

import pytest

from cyxcloud.core.clock import ManualClock
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.speeds import BUSY_AT, FADES_SECONDS, FAR_SECONDS, Speeds, swaps
from cyxcloud.wire.memory import MemoryHost
from tests.unit.shards.rig import MIB, Rig, limits, rig, some_bytes
from tests.unit.shards.test_reader import Counting

DATA = some_bytes(MIB)


def learnt(**seconds: float) -> Speeds:
    speeds = Speeds()
    for host, each in seconds.items():
        speeds.began(host)
        speeds.ended(host, each, 0.0)
    return speeds


def test_a_host_is_expected_to_take_what_it_took_and_that_fades() -> None:
    speeds = learnt(a=0.4)
    assert speeds.expected("a", 0.0) == 0.4
    assert speeds.expected("a", FADES_SECONDS) == pytest.approx(0.2)
    assert speeds.expected("never asked", 0.0) == 0.0


def test_a_host_of_another_region_counts_as_further_until_it_is_known() -> None:
    speeds = learnt(a=0.001)
    assert speeds.expected("b", 0.0, far=True) == FAR_SECONDS
    assert speeds.expected("a", 0.0, far=True) == pytest.approx(0.001)


def test_requests_on_their_way_make_a_host_slower() -> None:
    speeds = learnt(a=0.1)
    for _ in range(BUSY_AT):
        speeds.began("a")
    assert speeds.expected("a", 0.0) == pytest.approx(0.2)


def test_a_request_that_was_broken_off_makes_no_host_faster() -> None:
    speeds = learnt(a=0.4)
    speeds.began("a")
    speeds.ended("a", 0.01, 0.0, answered=False)
    assert speeds.expected("a", 0.0) == 0.4
    speeds.began("a")
    speeds.ended("a", 2.0, 0.0, answered=False)
    assert speeds.expected("a", 0.0) > 0.4


def test_slow_are_those_far_above_the_usual() -> None:
    usual = {f"h{at}": 0.1 for at in range(9)}
    assert learnt(**usual, z=2.0).slow(0.0) == {"z"}
    assert learnt(**usual, z=0.3).slow(0.0) == set()
    assert learnt(z=2.0).slow(0.0) == set()


def test_the_slowest_data_shards_are_swapped_for_the_fastest_others_where_that_gains() -> None:
    seconds = {0: 0.2, 1: 0.01, 2: 0.5, 3: 0.012, 4: 0.011, 5: 0.9}
    assert swaps([0, 1, 2, 3], [4, 5], seconds) == {2: 4}
    assert swaps([1, 3], [4, 5], seconds) == {}


def test_what_a_decode_would_cost_is_no_reason_to_swap() -> None:
    assert swaps([0, 1], [2], {0: 0.009, 1: 0.001, 2: 0.001}) == {}


async def warmed(plane: Rig, seconds: dict[int, float]) -> Counting:
    """A chunk whose hosts, by shard, have lately taken so long; what is asked from now on is counted."""
    hosts = plane.plane.hosts
    now = plane.plane.clock.monotonic()
    for index in range(14):
        host = plane.host_of(plane.placements[0].nodes[index])
        hosts.reads.ended(host, seconds.get(index, 0.001), now)
    return Counting(plane)


def asked(counting: Counting) -> set[int]:
    return {index for batch in counting.asked for index in batch.indexes}


async def test_a_whole_read_asks_parity_in_the_place_of_slow_data_nodes() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        ref, cipher = await plane.store(DATA)
        counting = await warmed(plane, {2: 0.3, 7: 0.5, 11: 0.4})
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert len(asked(counting)) == 10
        assert not asked(counting) & {2, 7, 11}


async def test_a_part_of_a_chunk_is_read_from_its_own_node_however_slow() -> None:
    with rig(hosts=14, nodes_each=1) as plane:
        ref, cipher = await plane.store(some_bytes(4 * MIB))
        counting = await warmed(plane, {0: 0.3})
        await plane.reader().read(ref, cipher, 0, 100)
        assert asked(counting) == {0}


async def test_parity_that_turns_out_bad_is_made_up_for_by_the_slow_data_node() -> None:
    """Failover inside one request: the swapped-in shards are gone, the data shards are asked after all."""
    with rig(hosts=14, nodes_each=1) as plane:
        ref, cipher = await plane.store(DATA)
        await warmed(plane, {2: 0.3})
        for index in range(10, 14):
            plane.host_of(ref.nodes[index]).available = index == 13
            plane.host_of(ref.nodes[index]).shards[ref.nodes[index]].clear()
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA


async def test_reads_learn_which_nodes_are_slow_and_go_round_them() -> None:
    with rig(hosts=14, nodes_each=1, limits=limits(first_hedge_seconds=1.0, late_seconds=2.0)) as plane:
        ref, cipher = await plane.store(DATA)
        slow = [plane.host_of(ref.nodes[index]) for index in (1, 4)]
        for host in slow:
            host.delay_seconds = 0.15
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        counting = Counting(plane)
        started = time.monotonic()
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert time.monotonic() - started < 0.14
        assert not asked(counting) & {1, 4}


async def test_p99_of_reads_with_four_of_fourteen_hung_is_within_three_times_the_usual() -> None:
    """R9 on hosts as far away as those of other boxes: each answers after 20 ms, then four never."""
    with rig(hosts=14, nodes_each=1, limits=limits(first_hedge_seconds=0.25, late_seconds=1.0)) as plane:
        ref, cipher = await plane.store(DATA)
        for host in plane.memory:
            host.delay_seconds = 0.02
        reader = plane.reader()

        async def p99(rounds: int) -> float:
            seconds = []
            for _ in range(rounds):
                started = time.monotonic()
                assert await reader.read(ref, cipher, 0, len(DATA)) == DATA
                seconds.append(time.monotonic() - started)
            return sorted(seconds)[rounds * 99 // 100]

        usual = await p99(60)
        for index in (0, 3, 8, 12):
            plane.host_of(ref.nodes[index]).delay_seconds = 60
        for _ in range(5):  # the first learn who is silent
            await asyncio.wait_for(reader.read(ref, cipher, 0, len(DATA)), 2)
        assert await p99(60) <= 3 * usual


async def test_spares_that_hang_as_well_are_hedged_in_turn() -> None:
    """Three data nodes and a parity node hang: the first read waits for two hedges, not for what counts as very late."""
    with rig(hosts=14, nodes_each=1, limits=limits(first_hedge_seconds=0.05, late_seconds=5.0)) as plane:
        ref, cipher = await plane.store(DATA)
        for index in (0, 3, 8, 10):
            plane.host_of(ref.nodes[index]).delay_seconds = 60
        started = time.monotonic()
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
        assert time.monotonic() - started < 2


def test_writes_leave_slow_nodes_to_others() -> None:
    clock = ManualClock()
    memory = [MemoryHost(1) for _ in range(6)]
    hosts = HostMap(clock, memory)
    for at, host in enumerate(memory):
        hosts.writes.ended(host, 3.0 if at == 0 else 0.05, clock.monotonic())
    assert hosts.slow == frozenset(memory[0].nodes)
