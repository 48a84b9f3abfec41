"""Makes successors: the plan is made and carried out in one transaction, over the rows as they are in it.

A placement gets its successor once; chunks follow one by one. Killed at any moment, the next step finds the same
placements with or without their successor.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta import cluster, nodes, placements
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED, READABLE, PlacementRow, PlacementState
from fleet.mover.breaker import Cohort
from fleet.mover.plan import Fleet, Plan, Terms, make_plan
from fleet.mover.view import View, read_view

# One transaction of so many is a few ten milliseconds.
MOST_AT_ONCE = 200
# Nodes that went together and did not come back in time may still do: so many of their placements are under way at a
# time, the most at risk, and what has not begun when they return never does.
LATE_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan depends on beside the rows. `started_ms`: since when nodes are watched; `urgent`: nodes that an
    operator does not wait for."""

    now_ms: int
    started_ms: int
    terms: Terms
    waited: Cohort
    urgent: frozenset[NodeNumber] = frozenset()

    def fleet(self, view: View) -> Fleet:
        waited = self.waited
        return Fleet(view.nodes, self.now_ms, self.started_ms, self.terms, waited.nodes, waited.late, self.urgent)


def look(conn: Connection, situation: Situation, rng: random.Random) -> Plan:
    """The plan for the placements that hold chunks, or are about to; empty at once where all nodes can be read and are
    to stay."""
    rows = nodes.read_all(conn)
    if all(row.state in READABLE and not row.leaving and row.standing != DISQUALIFIED for row in rows):
        return Plan()
    view = read_view(conn)
    targets: dict[PlacementId, PlacementRow] = {}
    arriving: dict[PlacementId, int] = {}
    under_way = 0
    for placement in placements.in_use(conn):
        target = view.target(placement)
        targets[target.id] = target
        if target.id != placement:
            under_way += not view.rests(placement)
            arriving[target.id] = min(arriving.get(target.id, len(target.nodes)), view.reachable(placement))
    return paced(make_plan(situation.fleet(view), list(targets.values()), rng, arriving), LATE_AT_ONCE - under_way)


def paced(plan: Plan, room: int) -> Plan:
    """With no more late moves than there is room for."""
    late = [move for move in plan.moves if move.late]
    put_off = {move.placement.id for move in late[max(0, room) :]}
    return replace(plan, moves=tuple(move for move in plan.moves if move.placement.id not in put_off))


def succeed(conn: Connection, plan: Plan) -> int:
    """Gives how many placements now have a successor."""
    first = placements.next_id(conn)
    moves = plan.moves[:MOST_AT_ONCE]
    for number, move in enumerate(moves, start=first):
        old = move.placement
        made = PlacementRow(PlacementId(number), old.k, old.m, move.nodes, PlacementState.CLOSED, None)
        placements.add(conn, [made])
        done = placements.succeed(conn, old.id, made.id)
        assert done, "planned in this transaction, so it had none"
    if moves:
        cluster.bump(conn, Epoch.TOPOLOGY)
    return len(moves)
