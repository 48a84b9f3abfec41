"""R16: 30 % of the nodes fall silent together. What they hold waits, but for what is about to be lost without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.settings import MoverSettings
from cyxcloud.meta import cluster, nodes, placements
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED, DOWN, LOST, UP, PlacementState
from fleet.mover.plan import Move, Plan
from fleet.mover.succession import LATE_AT_ONCE, paced
from fleet.mover.view import read_view
from tests.unit.fleet.mover.conftest import WIDTH, MoverRig
from tests.unit.fleet.mover.nodes import placement

SETTINGS = MoverSettings(away=60.0, grace=0.0, breaker=3600.0, mib_per_second=1e6)
SILENT = (1, 2, 3, 4, 5, 6)  # of twenty


def fall_silent(rig: MoverRig, *numbers: int) -> None:
    for number in numbers:
        rig.set_state(number, DOWN)


def disqualify(rig: MoverRig, number: int) -> None:
    row = replace(read_view(rig.reader).nodes[NodeNumber(number)], standing=DISQUALIFIED)

    def change(conn: Connection) -> None:
        nodes.upsert(conn, row)
        cluster.bump(conn, Epoch.TOPOLOGY)

    rig.writer.call(change)


async def test_nodes_that_fall_silent_together_are_not_repaired_for_an_hour(rig: MoverRig) -> None:
    mover = rig.mover(SETTINGS)
    blob = rig.put_on(*range(3, 17))
    rig.clock.advance(1200)
    await rig.run(mover)
    fall_silent(rig, *SILENT)
    for _ in range(10):
        rig.clock.advance(60)
        await rig.run(mover)
    assert rig.nodes_of(blob) == tuple(range(3, 17)), "nothing was repaired"
    assert mover.tally.alert.startswith("6 of 20 nodes went together")
    assert mover.tally.waiting_for == tuple(f"n{number}" for number in SILENT)
    rig.clock.advance(3600)
    await rig.run(mover)
    assert rig.good(blob) == WIDTH, "it goes on after its hour"
    assert mover.tally.alert == ""


async def test_nodes_that_return_within_the_hour_cost_nothing(rig: MoverRig) -> None:
    mover = rig.mover(SETTINGS)
    blob = rig.put_on(*range(3, 17))
    rig.clock.advance(1200)
    fall_silent(rig, *SILENT)
    rig.clock.advance(3000)
    await rig.run(mover)
    for number in SILENT:
        rig.set_state(number, UP)
    await rig.run(mover)
    rig.clock.advance(3600)
    await rig.run(mover)
    assert (rig.nodes_of(blob), mover.tally.bytes, mover.tally.alert) == (tuple(range(3, 17)), 0, "")


@pytest.mark.parametrize("rig", [15], indirect=True)
async def test_chunks_at_the_edge_without_them_are_repaired_throughout(rig: MoverRig) -> None:
    """Three of its nodes report their disks lost: eleven would be left if all the others came back."""
    mover = rig.mover(SETTINGS)
    edge, lost, safe = rig.put_on(*range(9, 23)), rig.put_on(9, 10, *range(13, 25)), rig.put_on(8, *range(13, 26))
    rig.clock.advance(1200)
    fall_silent(rig, *range(1, 10))
    for number in (10, 11, 12):
        rig.set_state(number, LOST)
    rig.clock.advance(120)
    await rig.run(mover)
    assert mover.tally.alert.startswith("9 of 30")
    assert rig.good(edge) == WIDTH
    assert rig.nodes_of(lost)[0] == 9
    assert rig.good(lost) == WIDTH - 1, "a lost disk is made up for in any case, the silent node is waited for"
    assert rig.nodes_of(safe) == (8, *range(13, 26))


async def test_disqualified_nodes_are_made_up_for_throughout(rig: MoverRig) -> None:
    mover = rig.mover(SETTINGS)
    blob = rig.put_on(*range(5, 19))
    rig.clock.advance(1200)
    fall_silent(rig, *SILENT)
    disqualify(rig, 12)
    rig.clock.advance(120)
    await rig.run(mover)
    assert 12 not in rig.nodes_of(blob)
    assert set(rig.nodes_of(blob)) > {5, 6}, "the silent ones are waited for"


def test_what_is_late_is_limited_and_what_is_most_at_risk_comes_first() -> None:
    moves = tuple(
        Move(placement(*range(1, 15), number=number), (), reachable=8 + number // 10, late=number % 10 != 0)
        for number in range(1, 31)
    )
    found = paced(Plan(moves), LATE_AT_ONCE - 3)
    assert [move.placement.id for move in found.moves if move.late] == [1, 2, 3, 4, 5]
    assert [move.placement.id for move in found.moves if not move.late] == [10, 20, 30]
    assert not any(move.late for move in paced(Plan(moves), -2).moves)


async def test_after_the_hour_a_few_placements_are_under_way_at_a_time(rig: MoverRig) -> None:
    mover = rig.mover(SETTINGS)
    blobs = [rig.put_on(*(1 + (at + each) % 20 for each in range(WIDTH))) for at in range(20)]
    rig.clock.advance(1200)
    await rig.run(mover)
    fall_silent(rig, 3, 7, 11, 15, 19)
    rig.clock.advance(3700)
    await mover.step(rig.clock.monotonic())
    begun = [row for row in placements.read_all(rig.reader) if row.state is PlacementState.REPLACED]
    assert len(begun) == LATE_AT_ONCE
    reachable = [sum(number not in {3, 7, 11, 15, 19} for number in row.nodes) for row in begun]
    assert max(reachable) <= 11, "the most at risk first"
    for _ in range(5):
        rig.clock.advance(2)
        await rig.run(mover)
    assert [rig.good(blob) for blob in blobs] == [WIDTH] * len(blobs)
