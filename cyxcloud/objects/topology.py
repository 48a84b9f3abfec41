"""Nodes and placements as this process knows them: read when the coordinator's epoch moved, or for an unknown id."""

from __future__ import annotations

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta import nodes, placements, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NodeRow, PlacementRow, PlacementState
from cyxcloud.shards.placement import Placement, PlacementPool


class UnknownPlacement(Exception):
    """A chunk lies in a placement that metadata does not have: the database is damaged."""


class Topology:
    def __init__(self, reader: Connection, pool: PlacementPool) -> None:
        self._reader = reader
        self._pool = pool
        self._numbers: dict[NodeNumber, NodeId] = {}
        self._placements: dict[PlacementId, Placement] = {}
        self._classes: dict[str, Profile] = {}
        self.nodes: list[NodeRow] = []
        self.replaced: frozenset[PlacementId] = frozenset()  # their chunks are moving, or have moved, to a successor
        self.refresh()

    def refresh(self) -> None:
        """Takes over nodes, placements and the pool that the coordinator publishes now."""
        with self._reader.snapshot():
            self.nodes = nodes.read_all(self._reader)
            rows = placements.read_all(self._reader)
            self._classes = profiles.read_all(self._reader)
        self._numbers = {node.number: node.node_id for node in self.nodes}
        self._placements = {row.id: self._placement(row) for row in rows}
        self.replaced = frozenset(row.id for row in rows if row.state is PlacementState.REPLACED)
        default = self._classes.get(profiles.DEFAULT)
        self._pool.replace([self._placements[row.id] for row in rows if row.state is PlacementState.OPEN], default)

    def profile_of(self, storage_class: str) -> Profile | None:
        """What new objects of this class are written with; None where the store's own profile is all there is."""
        if len(self._classes) <= 1:
            return None
        return self._classes.get(storage_class) or self._classes[profiles.DEFAULT]

    def far_from(self, region: str) -> frozenset[NodeId]:
        """The nodes of other regions; those that name none are near."""
        return frozenset(node.node_id for node in self.nodes if node.region and node.region != region)

    def placement(self, wanted: PlacementId) -> Placement:
        found = self._placements.get(wanted)
        if found is None:
            self.refresh()
            found = self._placements.get(wanted)
        if found is None:
            raise UnknownPlacement(wanted)
        return found

    def _placement(self, row: PlacementRow) -> Placement:
        """The one we have where it is the same: lists are immutable, and the pool counts load by them."""
        known = self._placements.get(row.id)
        if known is not None:
            return known
        return Placement(row.id, row.k, row.m, tuple(self._numbers[number] for number in row.nodes))
