"""The mover over real chunks and real rows: what it makes whole, and what it leaves alone."""

from __future__ import annotations

import pytest

from cyxcloud.core.ids import PlacementId, ShardId
from cyxcloud.meta import placements, repairs, sessions, strays
from cyxcloud.meta.errors import SessionClosed
from cyxcloud.meta.rows import LOST, UP, PlacementState, RepairRow
from tests.unit.fleet.mover.conftest import AT_ONCE, M, MoverRig

WHOLE = 14


async def test_listed_shards_are_made_good_where_they_lie(rig: MoverRig) -> None:
    blob = rig.put()
    rig.hurt(blob, 0, 5, 11, 13)
    await rig.run(rig.mover())
    assert (rig.good(blob), repairs.count(rig.reader)) == (WHOLE, 0)
    assert rig.nodes_of(blob) == rig.members(1)


async def test_a_corrupt_shard_is_written_anew_once_its_node_has_set_it_aside(rig: MoverRig) -> None:
    blob = rig.put()
    rig.hurt(blob, 3, corrupt=True)
    mover = rig.mover()
    await rig.run(mover)
    rig.clock.advance(5)
    await rig.run(mover)
    assert (rig.good(blob), repairs.count(rig.reader)) == (WHOLE, 0)


async def test_a_listed_shard_that_is_there_is_only_struck_off(rig: MoverRig) -> None:
    blob = rig.put()
    rig.hurt(blob, listed=True)
    rig.writer.call(lambda conn: repairs.add(conn, [RepairRow(blob, 0, 4, "unreachable", 1)]))
    mover = rig.mover()
    await rig.run(mover)
    assert (mover.tally.bytes, repairs.count(rig.reader)) == (0, 0), "nothing was read or coded for it"


async def test_a_chunk_of_a_lost_node_moves_whole(rig: MoverRig) -> None:
    blobs = [rig.put() for _ in range(5)]
    mover = rig.mover()
    rig.lose(2)
    await rig.run(mover)
    for blob in blobs:
        assert rig.good(blob) == WHOLE
        assert 2 not in rig.nodes_of(blob)
    old = placements.read(rig.reader, PlacementId(1))
    assert old is not None
    assert old.state is PlacementState.REPLACED
    assert old.successor is not None


async def test_placements_without_chunks_get_no_successor(rig: MoverRig) -> None:
    rig.lose(2)
    before = placements.read_all(rig.reader)
    await rig.run(rig.mover())
    assert placements.read_all(rig.reader) == before


async def test_a_write_that_commits_late_into_a_replaced_placement_is_followed(rig: MoverRig) -> None:
    rig.put()
    mover = rig.mover()
    rig.lose(2)
    await rig.run(mover)
    late = rig.put()
    await rig.run(mover)
    assert rig.good(late) == WHOLE


async def test_successors_of_successors_are_followed(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover()
    rig.lose(2)
    await rig.run(mover)
    late = rig.put()
    rig.lose(3)
    await rig.run(mover)
    assert (rig.good(blob), rig.good(late)) == (WHOLE, WHOLE)


async def test_nothing_moves_while_a_node_may_return(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover(AT_ONCE.model_copy(update={"grace": 100.0}))
    rig.lose(2)
    await rig.run(mover)
    rig.set_state(2, UP)
    rig.clock.advance(500)
    await rig.run(mover)
    assert rig.nodes_of(blob) == rig.members(1)
    assert rig.good(blob) == WHOLE


async def test_a_listed_shard_on_a_node_that_is_away_waits_for_it(rig: MoverRig) -> None:
    """It may be missing there: "not written". Neither struck off nor tried all the time."""
    blob = rig.put()
    rig.hurt(blob, 1)
    mover = rig.mover(AT_ONCE.model_copy(update={"grace": 1000.0}))
    rig.lose(2)
    await rig.run(mover, steps=1)
    assert repairs.count(rig.reader) == 1
    rig.set_state(2, UP)
    await rig.run(mover)
    assert (rig.good(blob), repairs.count(rig.reader)) == (WHOLE, 0)


async def test_five_gone_stay_listed_and_recover_when_one_returns(rig: MoverRig) -> None:
    """R6."""
    blob = rig.put()
    kept = rig.shards(1)[ShardId(blob, 0, 0)]
    rig.hurt(blob, *range(M + 1))
    mover = rig.mover()
    await rig.run(mover)
    assert (rig.good(blob), repairs.count(rig.reader), mover.tally.failing) == (9, 5, 1)
    await rig.run(mover, steps=1)
    rig.shards(1)[ShardId(blob, 0, 0)] = kept
    rig.clock.advance(120)
    await rig.run(mover)
    assert (rig.good(blob), repairs.count(rig.reader), mover.tally.failing) == (WHOLE, 0, 0)


async def test_five_nodes_away_are_made_up_for_when_one_returns(rig: MoverRig) -> None:
    blob = rig.put()
    for number in (1, 2, 3, 4, 5):
        rig.set_state(number, LOST)
    mover = rig.mover()
    await rig.run(mover)
    assert rig.good(blob) == 9
    rig.set_state(5, UP)
    await rig.run(mover)
    assert rig.good(blob) == WHOLE


async def test_damage_found_while_reading_for_another_is_mended_too(rig: MoverRig) -> None:
    blob = rig.put()
    rig.hurt(blob, 0)
    rig.hurt(blob, 4, listed=False)
    await rig.run(rig.mover())
    assert (rig.good(blob), repairs.count(rig.reader)) == (WHOLE, 0)


async def test_nothing_is_over_replicated_after_the_grace(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover()
    rig.lose(2)
    await rig.run(mover)
    rig.set_state(2, UP)
    assert rig.copies(blob) == WHOLE + 1
    assert strays.count(rig.reader) == 1
    await rig.clean()
    assert (rig.copies(blob), rig.good(blob), strays.count(rig.reader)) == (WHOLE, WHOLE, 0)


async def test_a_node_that_is_gone_for_good_leaves_no_strays(rig: MoverRig) -> None:
    rig.put()
    rig.retire(2)
    await rig.run(rig.mover())
    assert strays.count(rig.reader) == 0


async def test_many_nodes_that_go_together_are_waited_for(rig: MoverRig) -> None:
    """R16, in small: nothing of theirs moves within the hour; a chunk at the edge does all the same."""
    blob, edge = rig.put(), rig.put(placement=7)
    mover = rig.mover()
    rig.lose(1, 2, 3, 4, 5)
    rig.hurt(edge, *range(3))
    await rig.run(mover)
    assert rig.nodes_of(blob) == rig.members(1)
    assert rig.good(edge) == WHOLE
    assert mover.tally.waiting_for == ("n1", "n2", "n3", "n4", "n5")
    rig.clock.advance(AT_ONCE.breaker)
    rig.set_state(1, UP)
    await rig.run(mover)
    assert rig.good(blob) == WHOLE


async def test_deleted_chunks_are_not_moved(rig: MoverRig) -> None:
    blob = rig.put()
    rig.delete(blob)
    mover = rig.mover()
    rig.lose(2)
    await rig.run(mover)
    assert mover.tally.done == 0
    await rig.clean()
    assert rig.copies(blob) <= 1, "but for what lies on the node that is away"


async def test_the_rate_is_kept(rig: MoverRig) -> None:
    for _ in range(40):
        rig.put()
    mover = rig.mover(AT_ONCE.model_copy(update={"mib_per_second": 0.1}))
    rig.lose(2)
    for _ in range(10):
        await mover.step(rig.clock.monotonic())
    assert mover.tally.done <= 2
    rig.clock.advance(1.0)
    for _ in range(10):
        await mover.step(rig.clock.monotonic())
    assert mover.tally.done <= 6


async def test_a_closed_session_cannot_commit_and_another_is_opened(rig: MoverRig) -> None:
    first = rig.put()
    mover = rig.mover()
    rig.hurt(first, 1)
    await rig.run(mover)
    (session,) = sessions.open_ones(rig.reader)
    assert session.role == "mover"
    rig.writer.call(lambda conn: sessions.close(conn, session.number, 1))  # type: ignore[arg-type]
    second = rig.put()
    rig.hurt(second, 1)
    with pytest.raises(SessionClosed):
        await rig.run(mover)
    assert repairs.count(rig.reader) == 1
    await rig.run(mover)
    assert (rig.good(second), repairs.count(rig.reader)) == (WHOLE, 0)
