"""Heartbeats as they come in: whose they are, old ones played again, clocks that differ, and what is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.version import SOFTWARE
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import denials, heartbeats, nodes
from cyxcloud.wire.heartbeat import Outcome, decode_heartbeat, sign_heartbeat
from cyxcloud.wire.status import WireError
from fleet import heartbeats as module
from fleet.heartbeats import FLUSH_SECONDS, NotTheNode
from tests.unit.fleet.conftest import Fleet
from tests.unit.fleet.remote import Remote, make_remote

MINUTE_MS = 60_000


@pytest.fixture
def remote(fleet: Fleet) -> Remote:
    return make_remote(fleet)


def test_heartbeat_is_kept_with_when_it_came(remote: Remote) -> None:
    box = remote.boxes[0]
    answer = remote.send(box)
    beat = remote.heartbeats.last_of(box.number)
    assert beat is not None
    assert (beat.heartbeat.sequence, beat.heard_ms, beat.at_ms) == (1, 0, remote.fleet.store_clock.now_ms())
    assert (answer.outcome, answer.interval_ms, answer.wanted_version) == (Outcome.TAKEN, 30_000, SOFTWARE)
    assert (answer.server_time_ms, answer.least_version) == (remote.fleet.clock.now_ms(), "0.1")


@pytest.mark.parametrize("earlier", [0, 1])
def test_heartbeat_played_again_is_refused(remote: Remote, earlier: int) -> None:
    box = remote.boxes[0]
    remote.send(box)
    remote.send(box)
    answer = remote.heartbeats.take(box.identity.node_id, box.sent[earlier])
    assert (answer.outcome, answer.last_sequence) == (Outcome.REPLAYED, 2)


async def test_heartbeat_played_again_after_a_restart_is_refused(remote: Remote) -> None:
    box = remote.boxes[0]
    remote.send(box)
    await remote.heartbeats.step(0.0)
    remote.start_coordinator()
    assert remote.heartbeats.take(box.identity.node_id, box.sent[0]).outcome is Outcome.REPLAYED
    assert remote.send(box).outcome is Outcome.TAKEN


def test_heartbeat_of_another_than_the_certificate_says_is_refused(remote: Remote) -> None:
    one, other = remote.boxes
    now_ms = remote.fleet.clock.now_ms()
    with pytest.raises(NotTheNode):
        remote.heartbeats.take(other.identity.node_id, one.beat(now_ms))
    forged = decode_heartbeat(one.beat(now_ms)[:-66])
    with pytest.raises(NotTheNode, match="not signed"):
        remote.heartbeats.take(
            one.identity.node_id, sign_heartbeat(replace(other.identity, node_id=one.identity.node_id), forged)
        )
    named = replace(decode_heartbeat(other.beat(now_ms)[:-66]), node_id=one.identity.node_id)
    with pytest.raises(NotTheNode, match="another than it reports for"):
        remote.heartbeats.take(other.identity.node_id, sign_heartbeat(other.identity, named))
    with pytest.raises(WireError):
        remote.heartbeats.take(one.identity.node_id, b"nonsense")
    assert remote.heartbeats.last_of(one.number) is None


def test_heartbeat_of_an_unknown_local_gone_or_disqualified_node_is_refused(remote: Remote) -> None:
    stranger = NodeIdentity.generate()
    beat = replace(decode_heartbeat(remote.boxes[0].beat(0)[:-66]), node_id=stranger.node_id)
    with pytest.raises(NotTheNode):
        remote.heartbeats.take(stranger.node_id, sign_heartbeat(stranger, beat))
    local = next(iter(remote.fleet.hosts[0].identities.values()))
    with pytest.raises(NotTheNode):
        remote.heartbeats.take(local.node_id, sign_heartbeat(local, replace(beat, node_id=local.node_id)))
    remote.change(remote.boxes[0], standing="disqualified")
    remote.change(remote.boxes[1], state="gone")
    remote.start_coordinator()
    for box in remote.boxes:
        with pytest.raises(NotTheNode):
            remote.send(box)


def test_node_that_joins_is_known_within_a_second(fleet: Fleet) -> None:
    remote = make_remote(fleet, count=1)
    remote.send(remote.boxes[0])
    late = make_remote(fleet, count=2).boxes[1]
    fleet.clock.advance(1.0)
    assert remote.heartbeats.take(late.identity.node_id, late.beat(fleet.clock.now_ms())).outcome is Outcome.TAKEN


def test_strangers_that_come_again_and_again_make_no_rows_be_read(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "read_all", _fails)
    stranger = NodeIdentity.generate()
    beat = replace(decode_heartbeat(remote.boxes[0].beat(0)[:-66]), node_id=stranger.node_id)
    for _ in range(5):
        remote.fleet.clock.advance(2.0)
        with pytest.raises(NotTheNode):
            remote.heartbeats.take(stranger.node_id, sign_heartbeat(stranger, beat))


async def test_disqualified_node_is_forgotten_with_the_next_step(remote: Remote) -> None:
    box = remote.boxes[0]
    remote.send(box)
    await remote.heartbeats.step(0.0)
    remote.change(box, standing="disqualified")
    await remote.heartbeats.step(5.0)
    with pytest.raises(NotTheNode):
        remote.send(box)
    assert remote.heartbeats.last_of(box.number) is None


async def test_denied_key_reports_no_more_from_the_next_step_on(remote: Remote) -> None:
    box = remote.boxes[0]
    remote.send(box)
    before = remote.send(box).denied_epoch
    remote.fleet.writer.call(lambda conn: denials.add(conn, box.identity.node_id, 0, "stolen"))
    await remote.heartbeats.step(0.0)
    with pytest.raises(NotTheNode, match="denied"):
        remote.send(box)
    assert remote.send(remote.boxes[1]).denied_epoch > before
    remote.start_coordinator()
    with pytest.raises(NotTheNode, match="denied"):
        remote.send(box)


@pytest.mark.parametrize("skew_ms", [1000, -1000, 5 * MINUTE_MS, -5 * MINUTE_MS])
def test_clock_that_differs_a_little_is_taken(remote: Remote, skew_ms: int) -> None:
    box = remote.boxes[0]
    assert remote.send(box, timestamp_ms=remote.fleet.clock.now_ms() + skew_ms).outcome is Outcome.TAKEN


@pytest.mark.parametrize("skew_ms", [15 * MINUTE_MS, -15 * MINUTE_MS])
def test_clock_that_differs_much_is_refused_told_and_taken_when_right(remote: Remote, skew_ms: int) -> None:
    box = remote.boxes[0]
    now_ms = remote.fleet.clock.now_ms()
    answer = remote.send(box, timestamp_ms=now_ms + skew_ms)
    assert (answer.outcome, answer.server_time_ms) == (Outcome.SKEWED, now_ms)
    word = "ahead of" if skew_ms > 0 else "behind"
    assert remote.heartbeats.refusal_of(box.number) == f"its clock is 15 min {word} the fleet's"
    assert remote.heartbeats.last_of(box.number) is None
    assert remote.send(box).outcome is Outcome.TAKEN
    assert remote.heartbeats.refusal_of(box.number) == ""


def test_clock_of_a_node_that_jumps_back_loses_no_heartbeat(remote: Remote) -> None:
    box = remote.boxes[0]
    now_ms = remote.fleet.clock.now_ms()
    assert remote.send(box, timestamp_ms=now_ms + 4 * MINUTE_MS).outcome is Outcome.TAKEN
    assert remote.send(box, timestamp_ms=now_ms - 4 * MINUTE_MS).outcome is Outcome.TAKEN


@pytest.mark.parametrize("jump_ms", [15 * MINUTE_MS, -15 * MINUTE_MS])
def test_clock_of_the_coordinator_that_jumps_does_not_refuse_a_whole_fleet(fleet: Fleet, jump_ms: int) -> None:
    remote = make_remote(fleet, count=5)
    real_ms = fleet.clock.now_ms()
    fleet.clock.wall_ms += jump_ms
    for turn in range(2):
        for box in remote.boxes:
            fleet.clock.elapsed += 1.0
            answer = remote.send(box, timestamp_ms=real_ms + turn)
        assert answer.outcome is Outcome.TAKEN
    assert all(remote.heartbeats.last_of(box.number) for box in remote.boxes)


def test_one_wrong_clock_among_many_is_the_nodes_own_fault(fleet: Fleet) -> None:
    remote = make_remote(fleet, count=5)
    for box in remote.boxes:
        remote.send(box)
    fleet.clock.advance(5.0)
    late = fleet.clock.now_ms() - 15 * MINUTE_MS
    assert remote.send(remote.boxes[0], timestamp_ms=late).outcome is Outcome.SKEWED


async def test_flush_writes_what_came_in_once(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    for box in remote.boxes:
        for _ in range(3):
            remote.send(box)
    assert heartbeats.read_all(remote.fleet.reader) == []
    assert await remote.heartbeats.step(5.0) == Idle(5.0 + FLUSH_SECONDS)
    rows = heartbeats.read_all(remote.fleet.reader)
    assert [(row.node, row.sequence) for row in rows] == [(5, 3), (6, 3)]
    assert decode_heartbeat(rows[0].body).sequence == 3
    node = remote.row(remote.boxes[0])
    assert (node.total_bytes, node.used_bytes, node.free_bytes, node.shard_count) == (1000, 400, 600, 7)
    assert node.seen_at_ms == remote.fleet.store_clock.now_ms()
    monkeypatch.setattr(nodes, "set_seen", _fails)
    await remote.heartbeats.step(10.0)


async def test_flush_is_bounded(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 1)
    for box in remote.boxes:
        remote.send(box)
    assert await remote.heartbeats.step(0.0) == Did(1)
    assert len(heartbeats.read_all(remote.fleet.reader)) == 1
    await remote.heartbeats.step(0.0)
    assert len(heartbeats.read_all(remote.fleet.reader)) == 2


async def test_flush_that_fails_is_made_up_for(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.send(remote.boxes[0])
    with monkeypatch.context() as broken:
        broken.setattr(nodes, "set_seen", _fails)
        with pytest.raises(OSError, match="disk"):
            await remote.heartbeats.step(0.0)
    assert heartbeats.read_all(remote.fleet.reader) == []
    await remote.heartbeats.step(1.0)
    assert len(heartbeats.read_all(remote.fleet.reader)) == 1


def _fails(*_: object, **__: object) -> None:
    raise OSError("disk")


async def test_heartbeat_written_down_is_never_replaced_by_an_older_one(remote: Remote) -> None:
    box = remote.boxes[0]
    remote.send(box)
    remote.send(box)
    await remote.heartbeats.step(0.0)
    (row,) = heartbeats.read_all(remote.fleet.reader)
    remote.fleet.writer.call(lambda conn: heartbeats.save(conn, [replace(row, sequence=1)]))
    assert heartbeats.read_all(remote.fleet.reader) == [row]
