"""An appeal runs the evidence again: what does not prove what the node was accused of is taken back.

The score is computed anew from the audits that stand; nothing but the kept events and the pure rules is used, so that
the node's operator can do the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import cluster, node_events, node_scores, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.node_events import Detail
from cyxcloud.meta.rows import DISQUALIFIED, GONE, SUSPENDED, TRUSTED
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
        stands = event.evidence is None or judge_again(event.evidence, row.public_key) is Verdict.FAILED
        upheld, dropped = upheld + stands, dropped + (not stands)
    after = Reputation(known.alpha, known.beta)
    standing = row.standing
    if dropped:
        after = _again(known.audits, upheld)
        standing = DISQUALIFIED if after.is_disqualifying else SUSPENDED if after.is_suspending else TRUSTED
        node_scores.save(conn, replace(known, alpha=after.alpha, beta=after.beta, failed=upheld))
        nodes.set_standing(conn, number, standing)
        cluster.bump(conn, Epoch.TOPOLOGY)
    detail: Detail = {"upheld": upheld, "dropped": dropped, "score": after.score, "standing": standing}
    node_events.record(conn, number, at_ms, "appeal", detail)
    return Appeal(upheld, dropped, after.score, standing)


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
