from __future__ import annotations

from cyxcloud.core.ids import NodeNumber
from fleet.mover.bounds import Bounds, Use
from fleet.mover.pace import BURST_SECONDS

RATE, OF_EACH = 1000.0, 100.0
ONE, TWO, THREE = (NodeNumber(each) for each in (1, 2, 3))


def test_a_node_at_its_bound_is_left_alone_and_others_are_not() -> None:
    bounds = Bounds(RATE, OF_EACH, 0.0)
    bounds.take(Use(10, {ONE: 50.0}, {TWO: 5.0}))
    assert not bounds.allows(Use(10, {ONE: 1.0}, {}), 0.0)
    assert bounds.allows(Use(10, {TWO: 1.0}, {ONE: 1.0}), 0.0), "in and out are bounded each by itself"
    assert bounds.allows(Use(10, {THREE: 1.0}, {}), 0.0)
    assert bounds.has_room(0.0)


def test_what_comes_out_of_a_node_is_bounded() -> None:
    bounds = Bounds(RATE, OF_EACH, 0.0)
    bounds.take(Use(10, {}, {TWO: 50.0}))
    assert not bounds.allows(Use(10, {ONE: 1.0}, {TWO: 1.0}), 0.0)


def test_ready_at_is_when_the_first_of_those_held_back_may_go() -> None:
    bounds = Bounds(RATE, OF_EACH, 0.0)
    burst = OF_EACH * BURST_SECONDS
    bounds.take(Use(1, {ONE: burst + 100.0, TWO: burst + 300.0}, {}))
    slow, fast = Use(1, {TWO: 1.0}, {}), Use(1, {ONE: 1.0}, {})
    assert bounds.ready_at([slow, fast]) == 1.0
    assert bounds.ready_at([slow]) == 3.0
    assert not bounds.allows(fast, 0.9)
    assert bounds.allows(fast, 1.1)


def test_the_whole_is_bounded_whatever_the_nodes() -> None:
    bounds = Bounds(RATE, 1e9, 0.0)
    bounds.take(Use(1060, {ONE: 1.0}, {}))
    assert not bounds.has_room(0.9)
    assert bounds.has_room(1.1)


def test_over_time_a_node_gets_its_rate() -> None:
    bounds, done, now = Bounds(1e9, OF_EACH, 0.0), 0.0, 0.0
    while now < 60.0:
        now += 0.01
        if bounds.allows(Use(1, {ONE: 7.0}, {}), now):
            bounds.take(Use(1, {ONE: 7.0}, {}))
            done += 7.0
    assert 0.95 * 60 * OF_EACH < done < 1.05 * 60 * OF_EACH
