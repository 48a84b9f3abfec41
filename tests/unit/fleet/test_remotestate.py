"""Nodes on other boxes: silence, return, what their hosts say, and who is kept out of the pool."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import node_events, nodes, placements
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NodeRow, PlacementState
from cyxcloud.wire.heartbeat import Serving
from cyxcloud.wire.status import NodeState, Status
from fleet import remotenodes, remotestate
from fleet.liveness import Limits
from fleet.policy import VersionPolicy
from fleet.remotestate import Seen, Told, seen
from tests.unit.fleet.conftest import Fleet
from tests.unit.fleet.remote import Box, Remote, make_remote


@pytest.fixture
def remote(fleet: Fleet) -> Remote:
    return make_remote(fleet)


async def report(remote: Remote, seconds: float, *boxes: Box) -> None:
    """Time passes; these boxes report every ten seconds, and the coordinator looks."""
    for _ in range(int(seconds / 10)):
        remote.fleet.clock.advance(10.0)
        for box in boxes:
            remote.send(box)
        await remote.look()


async def up(remote: Remote) -> None:
    for box in remote.boxes:
        remote.send(box)
    await remote.look()
    assert [remote.told(box) for box in remote.boxes] == [("up", "")] * len(remote.boxes)


def in_pool(remote: Remote, box: Box) -> bool:
    rows = placements.read_all(remote.fleet.reader)
    return any(box.number in row.nodes for row in rows if row.state is PlacementState.OPEN)


async def test_node_that_joined_is_up_with_its_first_heartbeat(remote: Remote) -> None:
    await remote.look()
    assert remote.told(remote.boxes[0]) == ("down", "has just joined")
    await up(remote)
    assert in_pool(remote, remote.boxes[0])


async def test_silent_node_takes_no_writes_then_is_down_and_comes_back(remote: Remote) -> None:
    silent, other = remote.boxes
    await up(remote)
    await report(remote, 50, other)
    assert remote.told(silent) == ("up", "")
    await report(remote, 10, other)
    assert remote.told(silent) == ("read-only", remotestate.LATE)
    assert not in_pool(remote, silent)
    assert in_pool(remote, other)
    await report(remote, 230, other)
    assert remote.told(silent) == ("read-only", remotestate.LATE)
    await report(remote, 10, other)
    assert remote.told(silent) == ("down", remotestate.SILENT)
    remote.send(silent)
    await remote.look()
    assert remote.told(silent) == ("up", "")
    assert in_pool(remote, silent)


async def test_history_has_each_change_of_a_nodes_state_and_its_reason(remote: Remote) -> None:
    box, other = remote.boxes
    await up(remote)
    await report(remote, 60, other)
    remote.send(box)
    await remote.look()
    told = [(each.kind, each.detail) for each in node_events.page(remote.fleet.reader, box.number)]
    assert told == [
        ("state", {"state": "up", "reason": ""}),
        ("state", {"state": "read-only", "reason": remotestate.LATE}),
        ("state", {"state": "up", "reason": ""}),
    ]


async def test_node_that_is_stopped_in_order_is_down_at_once_until_it_reports_again(remote: Remote) -> None:
    box = remote.boxes[0]
    await up(remote)
    remote.send(box, state=Serving.STOPPING)
    await remote.look()
    assert remote.told(box) == ("down", remotestate.STOPPED)
    await remote.heartbeats.step(0.0)
    remote.start_coordinator()
    await remote.look()
    assert remote.told(box) == ("down", remotestate.STOPPED)
    remote.send(box)
    await remote.look()
    assert remote.told(box) == ("up", "")


async def test_restart_of_the_coordinator_makes_no_node_offline(remote: Remote) -> None:
    """It was away for an hour: nobody could report, so nobody was silent."""
    quiet, other = remote.boxes
    await up(remote)
    await remote.heartbeats.step(0.0)
    remote.fleet.clock.advance(3600.0)
    remote.start_coordinator()
    await remote.look()
    assert remote.told(quiet) == remote.told(other) == ("up", "")
    await report(remote, 290, other)
    assert remote.told(quiet) == ("read-only", remotestate.LATE)
    await report(remote, 10, other)
    assert (remote.told(quiet), remote.told(other)) == (("down", remotestate.SILENT), ("up", ""))


async def test_restart_of_the_coordinator_brings_no_node_back_that_was_down(remote: Remote) -> None:
    down, other = remote.boxes
    await up(remote)
    await report(remote, 300, other)
    await remote.heartbeats.step(0.0)
    remote.start_coordinator()
    await report(remote, 30, other)
    assert remote.told(down) == ("down", remotestate.SILENT)
    assert not in_pool(remote, down)


async def test_node_that_reports_but_cannot_be_reached_takes_no_writes_then_is_down(remote: Remote) -> None:
    box = remote.boxes[0]
    await up(remote)
    box.host.available = False
    await report(remote, 20, *remote.boxes)
    assert remote.told(box) == ("read-only", remotestate.UNREACHABLE)
    await report(remote, 290, *remote.boxes)
    assert remote.told(box) == ("down", remotestate.UNREACHABLE)
    box.host.available = True
    await report(remote, 10, *remote.boxes)
    assert remote.told(box) == ("up", "")


async def test_looking_again_at_what_has_not_changed_decides_nothing_anew(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await up(remote)
    await remote.look()
    monkeypatch.setattr(remotenodes, "seen", None)
    for _ in range(20):
        remote.fleet.clock.advance(1.0)
        await remote.look()


async def test_silence_is_seen_on_time_by_who_looks_each_second(fleet: Fleet) -> None:
    remote = make_remote(fleet, settings=FleetSettings(offline_after=15.0))
    await up(remote)
    told = []
    for _ in range(16):
        fleet.clock.advance(1.0)
        await remote.look()
        told.append(remote.told(remote.boxes[0])[0])
    assert told == ["up"] * 2 + ["read-only"] * 12 + ["down"] * 2


async def test_rows_are_read_when_they_changed_and_not_each_second(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await up(remote)
    await remote.look()
    reads: list[float] = []
    real = nodes.read_all

    def counted(conn: Connection) -> list[NodeRow]:
        reads.append(remote.fleet.clock.monotonic())
        return real(conn)

    monkeypatch.setattr(nodes, "read_all", counted)
    for _ in range(20):
        remote.fleet.clock.advance(1.0)
        await remote.look()
    assert reads == []
    remote.change(remote.boxes[0], zone="z9")
    reads.clear()
    await remote.look()
    assert len(reads) == 1


async def test_connection_that_breaks_for_a_moment_changes_nothing(remote: Remote) -> None:
    box = remote.boxes[0]
    await up(remote)
    for _ in range(3):
        box.host.available = False
        await remote.look()
        remote.fleet.clock.advance(0.9)
        await remote.look()
        assert remote.told(box) == ("up", "")
        box.host.available = True
        await remote.look()
    box.host.available = False
    await remote.look()
    remote.fleet.clock.advance(1.0)
    await remote.look()
    assert remote.told(box) == ("read-only", remotestate.UNREACHABLE)


async def test_what_the_host_says_of_its_node_counts(remote: Remote) -> None:
    box = remote.boxes[0]
    await up(remote)
    box.host.state[box.identity.node_id] = Status.IO_ERROR
    await report(remote, 10, *remote.boxes)
    assert remote.told(box) == ("down", "IO_ERROR")
    assert not in_pool(remote, box)


async def test_full_node_is_read_only_by_what_its_host_says(remote: Remote) -> None:
    box = remote.boxes[0]
    await up(remote)
    told = Told(
        beat=remote.heartbeats.last_of(box.number),
        refusal="",
        info=replace(box.host.nodes[box.identity.node_id], state=NodeState.READ_ONLY, reason="full"),
        unreachable_ms=0,
        listening_since_ms=0,
        now_ms=0,
        store_ms=0,
    )
    assert seen(remote.row(box), told, Limits(), VersionPolicy()) == Seen("read-only", "full")


async def test_clock_refusal_is_the_reason_shown_at_once_and_when_it_goes_offline(remote: Remote) -> None:
    box, other = remote.boxes
    await up(remote)
    wrong = remote.fleet.clock.now_ms() - 900_000
    remote.send(box, timestamp_ms=wrong)
    await remote.look()
    assert remote.told(box) == ("read-only", "its clock is 15 min behind the fleet's")
    await report(remote, 300, other)
    assert remote.told(box) == ("down", "its clock is 15 min behind the fleet's")


@pytest.mark.parametrize("standing", ["suspended", "disqualified"])
async def test_node_that_loses_its_standing_is_out_of_the_pool_with_the_next_step(
    remote: Remote, standing: str
) -> None:
    box = remote.boxes[0]
    await up(remote)
    remote.change(box, standing=standing)
    await remote.look()
    assert not in_pool(remote, box)
    assert in_pool(remote, remote.boxes[1])


async def test_node_suspended_while_no_coordinator_ran_is_out_of_the_pool(remote: Remote) -> None:
    box = remote.boxes[0]
    await up(remote)
    remote.change(box, standing="suspended")
    remote.start_coordinator()
    await remote.look()
    assert not in_pool(remote, box)


async def test_node_of_old_software_is_warned_before_it_takes_no_writes(fleet: Fleet) -> None:
    # The clock of the tests stands at 15 January 2027.
    remote = make_remote(fleet, settings=FleetSettings(least_version="0.2", least_version_from="2027-01-16"))
    await up(remote)
    answer = remote.send(remote.boxes[0])
    assert (answer.least_version, answer.least_version_from_ms) == ("0.2", 1_800_057_600_000)
    await report(remote, 86_400, *remote.boxes)
    assert remote.told(remote.boxes[0]) == ("read-only", "runs version 0.1.0, at least 0.2 is wanted")
    remote.send(remote.boxes[0], version="0.2.0")
    await remote.look()
    assert remote.told(remote.boxes[0]) == ("up", "")


async def test_node_that_speaks_no_protocol_of_ours_takes_no_writes(remote: Remote) -> None:
    await up(remote)
    remote.send(remote.boxes[0], protocol_min=7, protocol_max=9)
    await remote.look()
    assert remote.told(remote.boxes[0]) == ("read-only", "speaks protocol 7 to 9, the fleet 1")
