"""An appeal runs the evidence again: what does not prove what the node was accused of is taken back.

The score is computed anew from the audits that stand; nothing but the kept events and the pure rules is used, so that
the node's operator can do the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import cluster, denials, node_events, node_scores, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.node_events import Detail
from cyxcloud.meta.rows import DISQUALIFIED, GONE, SUSPENDED, TRUSTED, VETTING, NodeRow
from fleet.audits.reputation import FIRST_ALPHA, Reputation
from fleet.audits.verdict import Verdict, judge_again

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Appeal:
    """`standing` None where there is no such node."""

    upheld: int
    dropped: int
    score: int
    standing: str | None


def appeal(conn: Connection, number: NodeNumber, at_ms: int) -> Appeal:
    """In a transaction."""
    row = next((row for row in nodes.read_all(conn) if row.number == number and row.state != GONE), None)
    known = node_scores.read(conn, number)
    if row is None or known is None or row.public_key is None:
        return Appeal(0, 0, Reputation().score, None if row is None else row.standing)
    upheld = dropped = 0
    for event in _accusations(conn, number):
        # One without evidence is of an answer that never came, which nobody can judge again.
        stands = event.evidence is None or _is_proven(event.evidence, row.public_key)
        upheld, dropped = upheld + stands, dropped + (not stands)
    after = Reputation(known.alpha, known.beta)
    standing = row.standing
    if dropped:
        after = _again(known.audits, upheld)
        standing = _standing(conn, row, after, is_vetted=known.vetted_at_ms is not None)
        node_scores.save(conn, replace(known, alpha=after.alpha, beta=after.beta, failed=upheld))
        nodes.set_standing(conn, number, standing)
        cluster.bump(conn, Epoch.TOPOLOGY)
    detail: Detail = {"upheld": upheld, "dropped": dropped, "score": after.score, "standing": standing}
    node_events.record(conn, number, at_ms, "appeal", detail)
    return Appeal(upheld, dropped, after.score, standing)


def _is_proven(kept: bytes, public_key: bytes) -> bool:
    try:
        return judge_again(kept, public_key) is Verdict.FAILED
    except ValueError:
        return False


def _standing(conn: Connection, row: NodeRow, after: Reputation, *, is_vetted: bool) -> str:
    """Only what audits took is given back: neither what an operator decided, nor a denied key, nor a vetting that never
    was."""
    was_taken = row.standing in {SUSPENDED, DISQUALIFIED} and _last_standing(conn, row.number) == row.standing
    if not was_taken or after.is_disqualifying or row.node_id in denials.read_all(conn):
        return row.standing
    if after.is_suspending:
        return SUSPENDED
    return TRUSTED if is_vetted else VETTING


def _last_standing(conn: Connection, number: NodeNumber) -> object:
    """What audits made of it last."""
    before: int | None = None
    while page := node_events.page(conn, number, _PAGE, before):
        for event in page:
            if event.kind == "standing":
                return event.detail["standing"]
        before = page[-1].seq
    return None


def _accusations(conn: Connection, number: NodeNumber) -> list[node_events.NodeEvent]:
    found: list[node_events.NodeEvent] = []
    before: int | None = None
    while page := node_events.page(conn, number, _PAGE, before):
        found += [event for event in page if event.kind == "audit_failed"]
        before = page[-1].seq
    return found


def _again(audits: int, failed: int) -> Reputation:
    """The failures last, which is the harshest order: an appeal never does better than the truth."""
    score = Reputation(FIRST_ALPHA, 0)
    for _ in range(failed):
        score = score.after(passed=False)
    return score if audits >= failed else Reputation()
