"""Makes successors: the plan is made and carried out in one transaction, over the rows as they are in it.

A placement gets its successor once; chunks follow one by one. Killed at any moment, the next step finds the same
placements with or without their successor.
"""

from __future__ import annotations

import random

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta import cluster, nodes, placements
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import READABLE, PlacementRow, PlacementState
from fleet.mover.plan import Fleet, Plan, Terms, make_plan
from fleet.mover.view import View

# One transaction of so many is a few ten milliseconds.
MOST_AT_ONCE = 200


def look(  # noqa: PLR0917 - what a plan depends on
    conn: Connection, now_ms: int, started_ms: int, terms: Terms, held: frozenset[NodeNumber], rng: random.Random
) -> Plan:
    """The plan for the placements that hold chunks, or are about to; empty at once where all nodes can be read and are
    to stay."""
    rows = nodes.read_all(conn)
    if all(row.state in READABLE and not row.leaving for row in rows):
        return Plan()
    view = View({row.number: row for row in rows}, {row.id: row for row in placements.read_all(conn)})
    targets: dict[PlacementId, PlacementRow] = {}
    arriving: dict[PlacementId, int] = {}
    for placement in placements.in_use(conn):
        target = view.target(placement)
        targets[target.id] = target
        if target.id != placement:
            arriving[target.id] = min(arriving.get(target.id, len(target.nodes)), view.reachable(placement))
    fleet = Fleet(view.nodes, now_ms, started_ms, terms, held)
    return make_plan(fleet, list(targets.values()), rng, arriving)


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
