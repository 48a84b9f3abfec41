"""What the lists of a pool have to be, as the nodes are now (pure)."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.profile import Profile
from fleet.placement.candidate import Candidate
from fleet.placement.rules import Caps, Limit, Rule, caps_for, limits_of, may_stand

LISTS_PER_NODE = 80  # placements a node should take part in: its successor traffic then spreads over all others
VETTING_SHARE = 0.05  # of a pool's shards


class TooFewNodes(Exception):
    """The profile cannot be written on these nodes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a list has to be. `members`: the nodes that new ones are made of, `missing` of each list not available."""

    profile: Profile
    members: tuple[Candidate, ...]
    up: frozenset[NodeNumber]
    missing: int
    caps: Caps
    limits: Mapping[NodeNumber, tuple[Limit, ...]]
    weights: Mapping[NodeNumber, float]
    vetting: frozenset[NodeNumber]

    @property
    def wanted(self) -> int:
        return math.ceil(len(self.members) * LISTS_PER_NODE / self.profile.n)

    @property
    def vetting_a_list(self) -> float:
        """How many vetting nodes there may be in a list on average."""
        strict = self.caps[Rule.VETTING] <= 1
        return VETTING_SHARE * self.profile.n if strict else float(self.profile.n)

    def allow(self, nodes: tuple[NodeNumber, ...]) -> bool:
        if len(nodes) != self.profile.n or not self.limits.keys() >= set(nodes):
            return False
        is_there = self.up.issuperset(nodes) or len(set(nodes) - self.up) <= self.missing
        return is_there and may_stand(nodes, self.limits)


def terms_of(nodes: Sequence[Candidate], profile: Profile, rng: random.Random) -> Terms:
    """With fewer than n available, lists miss as few as the write quorum allows; TooFewNodes below that."""
    up = [node for node in nodes if node.available]
    if len(nodes) < profile.n or len(up) < profile.write_quorum:
        raise TooFewNodes(f"{len(up)} of {len(nodes)} nodes take writes; {profile} needs {profile.n}")
    down = [node for node in nodes if not node.available]
    rng.shuffle(down)
    missing = max(0, profile.n - len(up))
    members = up + down[:missing]
    caps = caps_for(members, profile, rng)
    heaviest = max(node.weight for node in up)
    return Terms(
        profile=profile,
        members=tuple(members),
        up=frozenset(node.number for node in up),
        missing=missing,
        caps=caps,
        limits=limits_of(nodes, caps),
        weights={node.number: node.weight / heaviest for node in nodes},
        vetting=frozenset(node.number for node in nodes if node.vetting),
    )
