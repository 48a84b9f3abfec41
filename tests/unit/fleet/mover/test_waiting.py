"""What each thing that is not whole waits for, and what an operator does not wait for."""

from __future__ import annotations

import pytest

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.settings import MoverSettings
from cyxcloud.meta import nodes, repairs
from cyxcloud.meta.rows import DOWN, LOST, UP
from fleet.mover.manual import repair_object
from fleet.mover.waiting import Kind, Waiting
from fleet.mover.worker import Mover
from tests.unit.fleet.mover.conftest import WIDTH, MoverRig

SETTINGS = MoverSettings(away=60.0, grace=600.0, breaker=3600.0, mib_per_second=1e6, rebalance=False)


@pytest.fixture
async def mover(rig: MoverRig) -> Mover:
    """One that has watched for a while."""
    made = rig.mover(SETTINGS)
    await rig.run(made)
    rig.clock.advance(1200)
    return made


async def seen(rig: MoverRig, mover: Mover) -> list[Waiting]:
    await mover.step(rig.clock.monotonic())
    return mover.waiting()


async def test_a_whole_store_waits_for_nothing(rig: MoverRig, mover: Mover) -> None:
    rig.put()
    assert await seen(rig, mover) == []


async def test_a_node_that_has_just_gone_is_named_with_when_it_counts(rig: MoverRig, mover: Mover) -> None:
    rig.put()
    rig.put()
    rig.set_state(3, DOWN)
    gone_ms = rig.store_clock.now_ms()
    (found,) = await seen(rig, mover)
    assert (found.kind, found.chunks, found.reachable, found.width) == (Kind.AWAY, 2, 13, 14)
    assert found.until_ms == gone_ms + 60_000
    assert "n3" in found.reason


async def test_the_grace_is_named_with_its_end(rig: MoverRig, mover: Mover) -> None:
    rig.put()
    rig.set_state(3, DOWN)
    gone_ms = rig.store_clock.now_ms()
    rig.clock.advance(61)
    (found,) = await seen(rig, mover)
    assert (found.kind, found.until_ms) == (Kind.GRACE, gone_ms + 660_000)


async def test_a_cohort_is_named_with_the_end_of_its_wait(rig: MoverRig, mover: Mover) -> None:
    rig.put()
    for number in range(1, 7):
        rig.set_state(number, DOWN)
    gone_ms = rig.store_clock.now_ms()
    rig.clock.advance(61)
    (found,) = await seen(rig, mover)
    assert (found.kind, found.until_ms) == (Kind.BREAKER, gone_ms + 3_600_000)


async def test_nobody_to_take_over_is_said(rig: MoverRig, mover: Mover) -> None:
    rig.put()
    for number in range(15, 21):
        rig.set_state(number, LOST)
    rig.set_state(3, LOST)
    rig.clock.advance(700)
    (found,) = await seen(rig, mover)
    assert found.kind is Kind.STUCK


async def test_what_is_in_line_says_why(rig: MoverRig) -> None:
    rig.put()
    slow = rig.mover(SETTINGS.model_copy(update={"mib_per_second": 0.001}))
    for _ in range(2):
        rig.put()
    rig.writer.call(lambda conn: nodes.set_leaving(conn, NodeNumber(3), leaving=True))
    for _ in range(2):
        await slow.step(rig.clock.monotonic())
    kinds = {each.kind: each.reason for each in slow.waiting()}
    assert kinds[Kind.IN_LINE] == "in line to leave n3"


async def test_listed_shards_are_counted_by_what_was_found(rig: MoverRig, mover: Mover) -> None:
    blob = rig.put()
    rig.hurt(blob, 1, 2)
    found = mover.waiting()
    assert [(each.kind, each.chunks, each.reason) for each in found] == [(Kind.LISTED, 2, "missing")]
    rig.set_state(2, DOWN)
    assert {each.reason for each in mover.waiting() if each.kind is Kind.LISTED} == {
        "missing",
        "missing, and n2 is away",
    }


# Repair now


async def test_a_node_that_is_given_up_is_made_up_for_at_once(rig: MoverRig, mover: Mover) -> None:
    blob = rig.put()
    rig.set_state(3, DOWN)
    await rig.run(mover)
    assert 3 in rig.nodes_of(blob)
    assert mover.give_up(NodeNumber(3))
    await rig.run(mover)
    assert rig.good(blob) == WIDTH


async def test_giving_up_ends_with_the_nodes_return(rig: MoverRig, mover: Mover) -> None:
    rig.set_state(3, DOWN)
    await rig.run(mover)
    assert mover.give_up(NodeNumber(3))
    rig.set_state(3, UP)
    await rig.run(mover)
    blob = rig.put()
    rig.set_state(3, DOWN)
    rig.clock.advance(30)
    await rig.run(mover)
    assert 3 in rig.nodes_of(blob)


async def test_a_node_that_can_be_read_is_not_given_up(rig: MoverRig, mover: Mover) -> None:
    await rig.run(mover)
    assert not mover.give_up(NodeNumber(3))


async def test_repair_of_an_object_that_is_not_there_says_so(rig: MoverRig) -> None:
    assert await repair_object(rig.reader, rig.writer, "nowhere", b"key", 1) is None
    assert repairs.count(rig.reader) == 0
