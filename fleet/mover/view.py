"""Nodes and placements as the mover sees them: what the coordinator has published, read again when it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.meta import nodes, placements
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import READABLE, NodeRow, PlacementRow


@dataclass(frozen=True, slots=True)
class View:
    nodes: Mapping[NodeNumber, NodeRow]
    placements: Mapping[PlacementId, PlacementRow]

    def target(self, placement: PlacementId) -> PlacementRow:
        """Where its chunks belong: the last of its successors, itself where it has none."""
        row = self.placements[placement]
        while row.successor is not None:
            row = self.placements[row.successor]
        return row

    def can_read(self, number: NodeNumber) -> bool:
        return self.nodes[number].state in READABLE

    def reachable(self, placement: PlacementId) -> int:
        return sum(self.can_read(number) for number in self.placements[placement].nodes)

    def node_ids(self, placement: PlacementRow) -> tuple[NodeId, ...]:
        return tuple(self.nodes[number].node_id for number in placement.nodes)


def read_view(conn: Connection) -> View:
    return View({row.number: row for row in nodes.read_all(conn)}, {row.id: row for row in placements.read_all(conn)})
