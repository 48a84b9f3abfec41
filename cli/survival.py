"""What losing more would mean, computed from the placements that chunks are in or go to, and the nodes that are up
(pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta.rows import READABLE, NodeRow, PlacementRow, PlacementState
from fleet.placement.candidate import Candidate, pool_candidates
from fleet.placement.survive import survived

NOTHING: Mapping[PlacementId, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Survival:
    """How many further nodes, or disks, may be lost, whichever they are, before something cannot be read; with nodes on
    other boxes also how many hosts, operators and zones of them."""

    nodes: int
    disks: int
    hosts: int | None = None
    operators: int | None = None
    zones: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind[:-1] if count == 1 else kind}" for kind, count in self.counts().items())

    def counts(self) -> dict[str, int]:
        """What is known of it, by kind."""
        found: dict[str, int | None] = asdict(self)
        return {kind: count for kind, count in found.items() if count is not None}


def survival(
    nodes: Sequence[NodeRow],
    placements: Sequence[PlacementRow],
    used: Mapping[PlacementId, int] = NOTHING,
    *,
    metadata_disks: int,
) -> Survival:
    """Counts every placement that takes or holds chunks; a node that cannot be read counts as lost already.

    `used`: the placements with chunks, each with how many shards its worst chunk lacks on the nodes that are left.
    `metadata_disks`: so many may be lost before metadata, small objects and keys are (1 with a mirror in step).
    """
    readable = [node for node in nodes if node.state in READABLE]
    up = {node.number: node for node in pool_candidates(readable)}
    held = [each for each in placements if each.state is PlacementState.OPEN or each.id in used]
    if not held:
        return Survival(0, 0)
    spare = [(each, _spare(each, up) - used.get(each.id, 0)) for each in held]

    def of(kind: Callable[[Candidate], str]) -> int:
        return min(_domains(each, up, left, kind) for each, left in spare)

    local = Survival(nodes=max(0, min(left for _, left in spare)), disks=min(metadata_disks, of(_disk)))
    if not any(node.is_remote for node in readable):
        return local
    return Survival(local.nodes, local.disks, of(_host), of(_operator), of(_zone))


def _spare(placement: PlacementRow, up: Mapping[NodeNumber, Candidate]) -> int:
    return placement.m - sum(number not in up for number in placement.nodes)


def _domains(
    placement: PlacementRow, up: Mapping[NodeNumber, Candidate], spare: int, kind: Callable[[Candidate], str]
) -> int:
    if spare <= 0:
        return 0
    return survived([[kind(up[number]) for number in placement.nodes if number in up]], spare)


def _disk(node: Candidate) -> str:
    return node.disk


def _host(node: Candidate) -> str:
    return node.host


def _operator(node: Candidate) -> str:
    """The nodes of this box are its owner's."""
    return node.operator or _host(node)


def _zone(node: Candidate) -> str:
    """Boxes whose zone nobody named may all stand in one."""
    return node.zone or "unnamed"
