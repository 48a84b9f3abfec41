"""What losing more would mean, computed from the placements that new chunks go to and the nodes that are up (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta.rows import READABLE, NodeRow, PlacementRow, PlacementState
from fleet.placement.survive import survived

NOTHING: Mapping[PlacementId, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Survival:
    """How many further nodes, or disks, may be lost, whichever they are, before something cannot be read."""

    nodes: int
    disks: int


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
    up = {node.number: node.disk for node in nodes if node.state in READABLE}
    held = [each for each in placements if each.state is PlacementState.OPEN or each.id in used]
    if not held:
        return Survival(0, 0)
    spare = {each.id: _spare(each, up) - used.get(each.id, 0) for each in held}
    return Survival(
        nodes=max(0, min(spare.values())),
        disks=min(metadata_disks, *(_disks(each, up, spare[each.id]) for each in held)),
    )


def _spare(placement: PlacementRow, up: Mapping[NodeNumber, str]) -> int:
    return placement.m - sum(number not in up for number in placement.nodes)


def _disks(placement: PlacementRow, up: Mapping[NodeNumber, str], spare: int) -> int:
    return survived([[up[number] for number in placement.nodes if number in up]], spare) if spare > 0 else 0
