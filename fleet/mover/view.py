"""Nodes and placements as the mover sees them: what the coordinator has published, read again when it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.meta import drains, nodes, placements, successors
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED, READABLE, NodeRow, PlacementRow


class Rank(IntEnum):
    """Why a chunk moves, the most urgent first: shards cannot be had, its node is to be emptied, another is emptier."""

    REPAIR = 0
    DRAIN = 1
    REBALANCE = 2


@dataclass(frozen=True, slots=True)
class View:
    nodes: Mapping[NodeNumber, NodeRow]
    placements: Mapping[PlacementId, PlacementRow]
    staying: frozenset[NodeNumber] = frozenset()  # were to be emptied, until that was cancelled

    def target(self, placement: PlacementId) -> PlacementRow:
        """Where its chunks belong: the last of its successors, itself where it has none."""
        return successors.target(self.placements, placement)

    def rank(self, placement: PlacementId) -> Rank:
        """Of the chunks in a placement that has a successor."""
        row, target = self.placements[placement], self.target(placement)
        left = [self.nodes[was] for was, now in zip(row.nodes, target.nodes, strict=True) if was != now]
        if any(node.state not in READABLE or node.standing == DISQUALIFIED for node in left):
            return Rank.REPAIR
        return Rank.DRAIN if any(node.leaving for node in left) else Rank.REBALANCE

    def rests(self, placement: PlacementId) -> bool:
        """Whether it has a successor only because of nodes that stay after all: what is still there may stay too."""
        readable = {number for number in self.staying if self.can_read(number)}
        return bool(readable) and successors.rests(self.placements, placement, self.staying, readable)

    def can_read(self, number: NodeNumber) -> bool:
        return self.nodes[number].state in READABLE

    def reachable(self, placement: PlacementId) -> int:
        return sum(self.can_read(number) for number in self.placements[placement].nodes)

    def node_ids(self, placement: PlacementRow) -> tuple[NodeId, ...]:
        return tuple(self.nodes[number].node_id for number in placement.nodes)


def read_view(conn: Connection) -> View:
    rows = {row.number: row for row in nodes.read_all(conn)}
    staying = drains.staying(conn, rows.values())
    return View(rows, {row.id: row for row in placements.read_all(conn)}, staying)
