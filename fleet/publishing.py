"""Publishes the pools that writers pick from: one for each profile that a storage class has.

Placements are opened and closed, and new ones added, in the transaction that changes nodes or profiles; who reads them
learns of it by the epoch that the caller bumps. Where too few nodes are left for a profile its last pool stays, and
writers refuse by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import structlog

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta import node_scores, placements, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NodeRow, PlacementRow, PlacementState
from fleet.placement.candidate import Candidate, pool_candidates
from fleet.placement.terms import TooFewNodes
from fleet.pool import choose_pool

log = structlog.get_logger(__name__)


def publish_pools(conn: Connection, rows: Sequence[NodeRow], rng: random.Random) -> None:
    """Nodes that are gone are no candidates, so that what names them is closed; and so is what is of a profile that no
    class has any more."""
    known: dict[Profile, list[PlacementRow]] = {each: [] for each in profiles.read_all(conn).values()}
    for row in placements.read_all(conn):
        if row.state is not PlacementState.REPLACED:
            known.setdefault(Profile(row.k, row.m), []).append(row)
    wanted = set(profiles.read_all(conn).values())
    candidates = pool_candidates(rows, reputations(conn))
    for profile, usable in known.items():
        if profile in wanted:
            _publish(conn, profile, usable, candidates, rng)
        else:
            _open(conn, usable, ())


def reputations(conn: Connection) -> dict[NodeNumber, float]:
    """What audits made of the nodes; one that was never audited is in nothing less than another."""
    scores = node_scores.read_all(conn).values()
    return {row.node: row.alpha / (row.alpha + row.beta) for row in scores if row.alpha + row.beta}


def lacks_a_pool(conn: Connection) -> bool:
    """Whether there is a profile that nothing can be written with."""
    opened = {Profile(row.k, row.m) for row in placements.read_all(conn) if row.state is PlacementState.OPEN}
    return not opened.issuperset(profiles.read_all(conn).values())


def _publish(
    conn: Connection,
    profile: Profile,
    usable: Sequence[PlacementRow],
    candidates: Sequence[Candidate],
    rng: random.Random,
) -> None:
    try:
        pool = choose_pool({each.id: each.nodes for each in usable}, candidates, profile, rng)
    except TooFewNodes as error:
        log.warning("no pool: writes are refused until nodes are back", profile=str(profile), reason=str(error))
        return
    _open(conn, usable, pool.kept)
    first = placements.next_id(conn)
    placements.add(
        conn,
        [
            PlacementRow(PlacementId(number), profile.k, profile.m, members, PlacementState.OPEN, None)
            for number, members in enumerate(pool.fresh, start=first)
        ],
    )


def _open(conn: Connection, usable: Sequence[PlacementRow], kept: Collection[PlacementId]) -> None:
    for each in usable:
        wanted = PlacementState.OPEN if each.id in kept else PlacementState.CLOSED
        if each.state is not wanted:
            placements.set_state(conn, each.id, wanted)
