from __future__ import annotations

from functools import partial

import pytest

from cyxcloud.core.ids import SessionNumber
from cyxcloud.meta import sessions
from cyxcloud.meta.errors import SessionClosed
from fleet.sessions import LAPSE_SECONDS, WATCH_SECONDS, SessionWatch
from tests.unit.fleet.conftest import Fleet

LIVING, DEAD = SessionNumber(11), SessionNumber(22)


@pytest.fixture
def watch(fleet: Fleet) -> SessionWatch:
    for number in (LIVING, DEAD):
        fleet.writer.call(partial(sessions.create, number=number, role="gateway", now_ms=0))
    return SessionWatch(fleet.reader, fleet.writer, fleet.store_clock)


def open_ones(fleet: Fleet) -> set[int]:
    return {row.number for row in sessions.open_ones(fleet.reader)}


async def test_a_beat_that_stands_still_for_long_is_the_end(fleet: Fleet, watch: SessionWatch) -> None:
    now = 0.0
    while now < LAPSE_SECONDS:
        assert open_ones(fleet) == {LIVING, DEAD}
        await watch.step(now)
        fleet.writer.call(lambda conn: sessions.beat(conn, LIVING))
        now += WATCH_SECONDS
    await watch.step(now)
    assert open_ones(fleet) == {LIVING}
    with pytest.raises(SessionClosed):
        fleet.writer.bound_to(DEAD).call(lambda _conn: None)
    fleet.writer.bound_to(LIVING).call(lambda _conn: None)


async def test_a_jump_of_the_wall_clock_closes_nothing(fleet: Fleet, watch: SessionWatch) -> None:
    await watch.step(0.0)
    fleet.clock.wall_ms += 10 * 365 * 24 * 3_600_000
    await watch.step(WATCH_SECONDS)
    assert open_ones(fleet) == {LIVING, DEAD}


async def test_a_coordinator_that_just_started_has_seen_nothing_stand_still(fleet: Fleet, watch: SessionWatch) -> None:
    await watch.step(0.0)
    again = SessionWatch(fleet.reader, fleet.writer, fleet.store_clock)
    await again.step(LAPSE_SECONDS * 2)
    assert open_ones(fleet) == {LIVING, DEAD}


async def test_a_beat_at_the_last_moment_counts(fleet: Fleet, watch: SessionWatch) -> None:
    await watch.step(0.0)
    fleet.writer.call(lambda conn: sessions.beat(conn, DEAD))
    await watch.step(LAPSE_SECONDS)
    assert DEAD in open_ones(fleet)


async def test_whose_process_died_is_closed_at_once(fleet: Fleet, watch: SessionWatch) -> None:
    assert await watch.close(DEAD)
    assert open_ones(fleet) == {LIVING}
    assert not await watch.close(DEAD)
