"""Audits nodes of other boxes: each some times a day, a random block of a random shard, read and proven now.

An answer that is not there in time is contained: the same block of the same shard is asked for again, hours later, and
only when that was in vain several times does it count; late is not lost. Before a failure counts the rows are looked at
again: a shard that was moved or deleted meanwhile was rightly not there. A failure files a repair, lowers the score and
keeps its evidence, and a change of standing cites it. Nodes that are down are not audited; that is liveness' business.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.core.settings import AuditSettings
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import cluster, contained, node_events, node_scores, nodes, repairs
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.contained import ContainedRow
from cyxcloud.meta.node_events import Detail
from cyxcloud.meta.node_scores import ScoreRow
from cyxcloud.meta.rows import DISQUALIFIED, READABLE, SUSPENDED, TRUSTED, VETTING, NodeRow, RepairRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.shardhost import ShardHost, VerifyAnswer
from cyxcloud.wire.status import HostRefused, HostUnavailable, WireError
from fleet.audits.choosing import Chooser, places
from fleet.audits.reputation import FIRST_ALPHA, Reputation
from fleet.audits.verdict import Challenge, Verdict, evidence, judge
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
REFRESH_SECONDS = 10.0
# The reason of a repair that an audit has found.
AUDITED = "audit"
AT_ONCE = 16
_DAY_SECONDS = 86400.0
_UNVETTED_TIMES = 4

Hosts = Callable[[], Mapping[NodeId, ShardHost]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`again`: the containment that this try belongs to."""

    node: NodeRow
    challenge: Challenge
    verdict: Verdict
    answer: VerifyAnswer | None
    seconds: float
    again: ContainedRow | None = None


class Auditor:
    name = "audits"

    def __init__(  # noqa: PLR0917 - what it works with
        self,
        hosts: Hosts,
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        settings: AuditSettings,
        rng: random.Random | None = None,
    ) -> None:
        self._hosts, self._reader, self._writer, self._clock, self._settings = hosts, reader, writer, clock, settings
        self._random = rng or random.SystemRandom()
        self._chooser = Chooser(reader, self._random)
        self._due: dict[NodeNumber, float] = {}
        self._topology = -1
        self._refresh_at = 0.0
        self._rows: list[NodeRow] = []

    async def step(self, now: float) -> Did | Idle:
        self._look(now)
        work = self._chosen(now)
        if not work:
            return Idle(now + LOOK_SECONDS)
        outcomes = await asyncio.gather(*(self._ask(*each) for each in work))
        at_ms = self._clock.now_ms()
        await self._writer.submit(lambda conn: self._settle(conn, outcomes, at_ms))
        return Did(len(outcomes), "auditing")

    # What is to be asked

    def _look(self, now: float) -> None:
        topology = cluster.epochs(self._reader).topology
        if topology != self._topology:
            self._topology = topology
            rows = nodes.read_all(self._reader)
            self._rows = [row for row in rows if row.is_remote and row.standing != DISQUALIFIED]
            self._refresh_at = now
        if self._rows and now >= self._refresh_at:  # writes fill placements without moving the epoch
            self._refresh_at = now + REFRESH_SECONDS
            self._chooser.refresh()
        alive = {row.number for row in self._rows}
        self._due = {number: at for number, at in self._due.items() if number in alive}
        for row in self._rows:
            self._due.setdefault(row.number, now + self._pause(row) * self._random.random())

    def _pause(self, row: NodeRow) -> float:
        """About so long between two audits of a node; a random one, so that they cannot be waited for."""
        a_day = self._settings.per_day * (_UNVETTED_TIMES if row.standing == VETTING else 1)
        return self._random.uniform(0.5, 1.5) * _DAY_SECONDS / a_day

    def _chosen(self, now: float) -> list[tuple[NodeRow, Challenge, ContainedRow | None]]:
        by_number = {row.number: row for row in self._rows if row.state in READABLE}
        work: list[tuple[NodeRow, Challenge, ContainedRow | None]] = []
        for again in contained.due(self._reader, self._clock.now_ms(), AT_ONCE):
            row = by_number.get(again.node)
            if row is None:
                continue
            challenge = self._chooser.challenge(again.blob, again.chunk, again.shard_index, again.block)
            if challenge is not None:
                work.append((row, challenge, again))
        for number, at in sorted(self._due.items(), key=lambda each: each[1]):
            if at > now or len(work) >= AT_ONCE:
                break
            row = by_number.get(number)
            self._due[number] = now + (self._pause(row) if row is not None else LOOK_SECONDS)
            challenge = None if row is None else self._chooser.next_of(number)
            if row is not None and challenge is not None:
                work.append((row, challenge, None))
        return work

    # Asking

    async def _ask(self, row: NodeRow, challenge: Challenge, again: ContainedRow | None) -> Outcome:
        loop = asyncio.get_running_loop()
        began = loop.time()
        host = self._hosts().get(row.node_id)
        answer: VerifyAnswer | None = None
        if host is not None and row.public_key is not None:
            try:
                async with asyncio.timeout(self._settings.answer_within):
                    answer = await host.verify(
                        row.node_id, challenge.shard, challenge.block, challenge.nonce, with_block=True
                    )
            except (HostUnavailable, HostRefused, WireError, TimeoutError):
                answer = None
        verdict = Verdict.LATE
        if answer is not None and row.public_key is not None:
            verdict = judge(challenge, answer, row.public_key)
        return Outcome(row, challenge, verdict, answer, loop.time() - began, again)

    # What it means

    def _settle(self, conn: Connection, outcomes: list[Outcome], at_ms: int) -> None:
        for outcome in outcomes:
            challenge = outcome.challenge
            where = places(conn, challenge)
            index = challenge.shard.index
            is_there = len(where) > index and where[index] == outcome.node.number
            # A shard that is known to be missing (a write went on without a straggler) is nobody's fault.
            listed = repairs.reason_of(conn, challenge.shard.blob, challenge.shard.chunk, index)
            is_there = is_there and listed in {None, AUDITED}
            if outcome.again is not None and (not is_there or outcome.verdict is not Verdict.LATE):
                contained.remove(conn, outcome.again)
            if not is_there:
                continue
            if outcome.verdict is Verdict.LATE and not self._gives_up(outcome.again):
                self._contain(conn, outcome, at_ms)
            else:
                self._count(conn, outcome, at_ms)

    def _gives_up(self, again: ContainedRow | None) -> bool:
        return again is not None and again.tries >= self._settings.tries

    def _contain(self, conn: Connection, outcome: Outcome, at_ms: int) -> None:
        due_ms = at_ms + int(self._settings.again_after * 1000)
        shard, again = outcome.challenge.shard, outcome.again
        if again is not None:
            contained.save(conn, replace(again, due_at_ms=due_ms, tries=again.tries + 1))
            return
        row = ContainedRow(
            outcome.node.number, shard.blob, shard.chunk, shard.index, outcome.challenge.block, at_ms, due_ms, 1
        )
        contained.save(conn, row)
        known = _score(conn, outcome.node.number)
        node_scores.save(conn, replace(known, late=known.late + 1))
        node_events.record(conn, row.node, at_ms, "audit_late", {"shard": _named(outcome), "asked_again": due_ms})

    def _count(self, conn: Connection, outcome: Outcome, at_ms: int) -> None:
        number = outcome.node.number
        if outcome.again is not None:
            contained.remove(conn, outcome.again)
        known, passed = _score(conn, number), outcome.verdict is Verdict.PASSED
        after = Reputation(known.alpha, known.beta).after(passed=passed)
        event = None if passed else self._accuse(conn, outcome, at_ms, known, after)
        row = replace(
            known,
            alpha=after.alpha,
            beta=after.beta,
            audits=known.audits + 1,
            failed=known.failed + (not passed),
        )
        standing = self._standing(conn, row, after, at_ms)
        if standing == TRUSTED and known.vetted_at_ms is None and outcome.node.standing == VETTING:
            row = replace(row, vetted_at_ms=at_ms)
        node_scores.save(conn, row)
        self._stand(conn, number, standing, at_ms, after, event)

    def _accuse(self, conn: Connection, outcome: Outcome, at_ms: int, known: ScoreRow, after: Reputation) -> int:
        shard = outcome.challenge.shard
        repairs.add(conn, [RepairRow(shard.blob, shard.chunk, shard.index, AUDITED, at_ms)])
        answer = outcome.answer
        kept = evidence(outcome.challenge, answer) if answer is not None and outcome.verdict is Verdict.FAILED else None
        score = Reputation(known.alpha, known.beta).score
        detail: Detail = {
            "shard": _named(outcome),
            "verdict": str(outcome.verdict),
            "before": score,
            "after": after.score,
        }
        log.warning("audit failed", node=outcome.node.name, **detail)
        return node_events.record(conn, outcome.node.number, at_ms, "audit_failed", detail, kept)

    def _standing(self, conn: Connection, row: ScoreRow, after: Reputation, at_ms: int) -> str | None:
        """What it should be now; None where that is unknown, since the node is gone."""
        node = next((each for each in nodes.read_all(conn) if each.number == row.node), None)
        if node is None or node.standing == DISQUALIFIED:
            return None
        if after.is_disqualifying:
            return DISQUALIFIED
        if after.is_suspending:
            return SUSPENDED
        vetted = row.audits >= self._settings.vetting_audits and (
            at_ms - node.joined_at_ms >= self._settings.vetting_time * 1000
        )
        return TRUSTED if node.standing == VETTING and vetted else node.standing

    @staticmethod
    def _stand(  # noqa: PLR0917 - what an event says
        conn: Connection, number: NodeNumber, standing: str | None, at_ms: int, after: Reputation, event: int | None
    ) -> None:
        node = next((each for each in nodes.read_all(conn) if each.number == number), None)
        if node is None or standing is None or node.standing == standing:
            return
        nodes.set_standing(conn, number, standing)
        cluster.bump(conn, Epoch.TOPOLOGY)
        detail: Detail = {"standing": standing, "was": node.standing, "score": after.score, "because_of": event}
        node_events.record(conn, number, at_ms, "standing", detail)
        log.warning("node's standing changed", node=node.name, standing=standing, score=after.score)


def _score(conn: Connection, number: NodeNumber) -> ScoreRow:
    return node_scores.read(conn, number) or ScoreRow(number, FIRST_ALPHA, 0)


def _named(outcome: Outcome) -> str:
    shard = outcome.challenge.shard
    return f"{shard.blob:x}/{shard.chunk}/{shard.index}#{outcome.challenge.block}"
