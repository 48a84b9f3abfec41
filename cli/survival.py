"""What losing more would mean, computed from the placements that new chunks go to and the nodes that are up (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.rows import NodeRow, PlacementRow, PlacementState
from fleet.pool import UP, disks_survived

READABLE = frozenset({UP, "read-only"})  # a full node still gives back what it holds


@dataclass(frozen=True, slots=True)
class Survival:
    """How many further nodes, or disks, may be lost, whichever they are, before something cannot be read."""

    nodes: int
    disks: int


def survival(nodes: Sequence[NodeRow], placements: Sequence[PlacementRow], *, metadata_disks: int) -> Survival:
    """Counts every placement that may hold chunks; a node that cannot be read counts as lost already.

    `metadata_disks`: so many may be lost before metadata, small objects and keys are (1 with a mirror in step).
    """
    up = {node.number: node.disk for node in nodes if node.state in READABLE}
    held = [each for each in placements if each.state is not PlacementState.REPLACED]
    if not held:
        return Survival(0, 0)
    return Survival(
        nodes=max(0, min(_spare(each, up) for each in held)),
        disks=min(metadata_disks, *(_disks(each, up) for each in held)),
    )


def _spare(placement: PlacementRow, up: dict[NodeNumber, str]) -> int:
    return placement.m - sum(number not in up for number in placement.nodes)


def _disks(placement: PlacementRow, up: dict[NodeNumber, str]) -> int:
    spare = _spare(placement, up)
    return disks_survived([[up[number] for number in placement.nodes if number in up]], spare) if spare > 0 else 0
