"""Appeals: evidence that proves nothing is taken back, and with it only what audits took."""

from __future__ import annotations

import pytest

from cyxcloud.meta import denials, node_events, node_scores, nodes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.node_scores import ScoreRow
from cyxcloud.meta.rows import DISQUALIFIED, SUSPENDED, TRUSTED, VETTING
from fleet.audits.appeal import Appeal, appeal
from fleet.audits.reputation import FIRST_ALPHA, ONE
from tests.unit.fleet.conftest import Fleet
from tests.unit.fleet.remote import Box, Remote, make_remote


@pytest.fixture
def remote(fleet: Fleet) -> Remote:
    return make_remote(fleet)


def accuse(remote: Remote, box: Box, standing: str, *, by_audits: bool = True, vetted_at_ms: int | None = 5) -> None:
    """Of something that its evidence does not prove."""

    def change(conn: Connection) -> None:
        node_scores.save(conn, ScoreRow(box.number, FIRST_ALPHA - 60 * ONE, 60 * ONE, 1000, 1, 0, vetted_at_ms))
        node_events.record(conn, box.number, 7, "audit_failed", {}, b"no evidence")
        nodes.set_standing(conn, box.number, standing)
        if by_audits:
            node_events.record(conn, box.number, 8, "standing", {"standing": standing})

    remote.fleet.writer.call(change)


def appealed(remote: Remote, box: Box) -> Appeal:
    return remote.fleet.writer.call(lambda conn: appeal(conn, box.number, 9))


@pytest.mark.parametrize("standing", [SUSPENDED, DISQUALIFIED])
def test_appeal_reinstates_whom_no_evidence_accuses(remote: Remote, standing: str) -> None:
    accuse(remote, remote.boxes[0], standing)
    assert appealed(remote, remote.boxes[0]) == Appeal(0, 1, ONE, TRUSTED)


def test_appeal_vets_nobody(remote: Remote) -> None:
    accuse(remote, remote.boxes[0], SUSPENDED, vetted_at_ms=None)
    assert appealed(remote, remote.boxes[0]).standing == VETTING
    accuse(remote, remote.boxes[1], VETTING, by_audits=False, vetted_at_ms=None)
    assert appealed(remote, remote.boxes[1]).standing == VETTING


def test_appeal_does_not_end_what_an_operator_decided(remote: Remote) -> None:
    accuse(remote, remote.boxes[0], SUSPENDED, by_audits=False)
    assert appealed(remote, remote.boxes[0]).standing == SUSPENDED


def test_appeal_does_not_trust_a_denied_key(remote: Remote) -> None:
    box = remote.boxes[0]
    accuse(remote, box, DISQUALIFIED)
    row = next(row for row in nodes.read_all(remote.fleet.reader) if row.number == box.number)
    remote.fleet.writer.call(lambda conn: denials.add(conn, row.node_id, 6, "stolen"))
    assert appealed(remote, box).standing == DISQUALIFIED
