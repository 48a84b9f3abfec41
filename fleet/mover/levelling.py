"""Makes nodes even: looks now and then whether some are much emptier than others, and gives placements successors.

The lowest of all work: nothing is begun while there is anything else to do, and the next placements only once the last
are almost done. Looking walks the chunk table, so it is done when nodes have changed and then seldom. The successors
stay in the pool where what they succeed was in it. Killed at any moment, what has begun goes on as any succession does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.settings import MoverSettings
from cyxcloud.meta import cluster, placements
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import GONE, READABLE, PlacementRow, PlacementState
from cyxcloud.shards.frames import CHUNK_BYTES
from fleet.mover.plan import Move
from fleet.mover.rebalance import LEAST_A_DAY, Allowance, Stock, Stored, levels, plan_rebalance
from fleet.mover.view import Rank, View
from fleet.placement.candidate import pool_candidates

LOOK_SECONDS = 5.0
IDLE_SECONDS = 600.0
# One whose chunk cannot be moved for now must not hold up all others.
MOST_UNDER_WAY = 4
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Store:
    stocks: dict[NodeNumber, Stock]
    stored: list[Stored]

    @property
    def load_bytes(self) -> int:
        return sum(stock.load_bytes for stock in self.stocks.values())


class Levelling:
    def __init__(self, reader: Connection, settings: MoverSettings, now: float) -> None:
        self._reader, self._settings = reader, settings
        self._allowance = Allowance(now)
        self._begun = False
        self._look_at = now
        self._members: frozenset[NodeNumber] = frozenset()
        self.spread = 0.0

    def plan(self, view: View, now: float) -> list[Move]:
        """What may begin now; to be asked when there is nothing else to do."""
        members = frozenset(row.number for row in view.nodes.values() if row.state in READABLE and not row.leaving)
        if not self._settings.rebalance or (now < self._look_at and members == self._members):
            return []
        if _under_way(self._reader, view) >= MOST_UNDER_WAY:
            return []
        self._members = members
        store = _read(self._reader, view)
        found = levels(store.stocks.values())
        shares = [
            abs(over) / share for over, share in zip(found.surplus.values(), found.share.values(), strict=True) if share
        ]
        self.spread = max(shares, default=0.0)
        a_day = max(self._settings.rebalance_per_day * store.load_bytes, LEAST_A_DAY)
        room = self._allowance.room_bytes(now, a_day)
        least = int(self._settings.rebalance_least_mib * MIB)
        moves = plan_rebalance(store.stocks, store.stored, room, least_bytes=least, begun=self._begun)
        self._begun = bool(moves) or (self._begun and room <= 0)
        self._look_at = now + (LOOK_SECONDS if self._begun else IDLE_SECONDS)
        sizes = {each.placement.id: each.shard_bytes for each in store.stored}
        self._allowance.take(sum(_swaps(move) * sizes[move.placement.id] for move in moves), a_day)
        return moves


def succeed(conn: Connection, moves: Sequence[Move]) -> int:
    """Gives how many placements now have such a successor; one that got another meanwhile keeps that."""
    first, done = placements.next_id(conn), 0
    for move in moves:
        old = placements.read(conn, move.placement.id)
        if old is None or old.successor is not None:
            continue
        row = PlacementRow(PlacementId(first + done), old.k, old.m, move.nodes, old.state, None)
        placements.add(conn, [row])
        placements.succeed(conn, old.id, row.id)
        done += 1
    if done:
        cluster.bump(conn, Epoch.TOPOLOGY)
    return done


def _under_way(conn: Connection, view: View) -> int:
    """Placements whose chunks are still to move for this reason alone."""
    return sum(
        view.placements[each].state is PlacementState.REPLACED and view.rank(each) is Rank.REBALANCE
        for each in placements.in_use(conn)
        if each in view.placements and not view.rests(each)
    )


def _read(conn: Connection, view: View) -> _Store:
    """Chunks that are on their way count where they go."""
    plain = placements.plaintext_bytes(conn, CHUNK_BYTES)
    sizes: dict[PlacementId, int] = {}
    for placement, size in plain.items():
        target = view.target(placement)
        sizes[target.id] = sizes.get(target.id, 0) + size // target.k
    stored = [Stored(view.placements[each], size) for each, size in sizes.items()]
    load: dict[NodeNumber, int] = {}
    for each in stored:
        for number in each.placement.nodes:
            load[number] = load.get(number, 0) + each.shard_bytes
    rows = {number: row for number, row in view.nodes.items() if row.state != GONE}
    stocks = {
        each.number: Stock(
            each,
            max(1, rows[each.number].total_bytes),
            load.get(each.number, 0),
            readable=rows[each.number].state in READABLE and not rows[each.number].leaving,
        )
        for each in pool_candidates(list(rows.values()))
    }
    return _Store(stocks, [each for each in stored if all(number in stocks for number in each.placement.nodes)])


def _swaps(move: Move) -> int:
    return sum(was != now for was, now in zip(move.placement.nodes, move.nodes, strict=True))
