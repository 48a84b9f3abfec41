"""Why a chunk lies where it does (pure): its nodes with what they share, the rules and whether they hold, what may be
lost.

A rule is measured against two caps: the one it wishes for, and the one that today's nodes allow. A placement over the
second was made when there were other nodes, or these were told of otherwise: no new chunk goes there.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.profile import Profile
from cyxcloud.meta.rows import READABLE, NodeRow, PlacementRow
from fleet.placement.candidate import UNKNOWN, Candidate, pool_candidates
from fleet.placement.rules import RULES, Caps, Rule, domain, domains, wished
from fleet.placement.survive import survived
from fleet.placement.terms import TooFewNodes, terms_of

UNKNOWN_NODE = "no such node"


@dataclass(frozen=True, slots=True)
class ShardView:
    """`why`: what else of this chunk is in the node's domains, and what speaks against new shards there."""

    index: int
    kind: str  # data or parity
    node: str
    state: str
    standing: str
    disk: str
    host: str
    subnet: str
    operator: str
    zone: str
    weight: float
    takes_writes: bool
    why: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """`wished`: the cap with nodes enough, `cap`: with today's, `most`: what the fullest domain of the chunk has."""

    rule: str
    wished: int
    cap: int
    most: int
    where: str
    state: str  # holds, relaxed or broken


@dataclass(frozen=True, slots=True)
class Explained:
    placement: int
    profile: str
    readable: int
    shards: tuple[ShardView, ...]
    rules: tuple[RuleView, ...]
    survives: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """The nodes as they are, once for many placements."""

    rows: Mapping[NodeNumber, NodeRow]
    candidates: Mapping[NodeNumber, Candidate]
    caps: Mapping[Profile, Caps]

    @classmethod
    def of(
        cls,
        rows: Sequence[NodeRow],
        profiles: Sequence[Profile],
        rng: random.Random,
        reputation: Mapping[NodeNumber, float] = UNKNOWN,
    ) -> Scene:
        candidates = pool_candidates(rows, reputation)
        caps = {each: _caps(candidates, each, rng) for each in profiles}
        return cls({row.number: row for row in rows}, {node.number: node for node in candidates}, caps)


def explain(scene: Scene, placement: PlacementRow) -> Explained:
    profile = Profile(placement.k, placement.m)
    members = {number: scene.candidates[number] for number in placement.nodes if number in scene.candidates}
    held = Counter(each for node in members.values() for each in domains(node))
    rules = tuple(_rule(rule, members.values(), wished(profile), scene.caps[profile]) for rule in RULES)
    readable = [number for number in members if scene.rows[number].state in READABLE]
    return Explained(
        placement=placement.id,
        profile=str(profile),
        readable=len(readable),
        shards=tuple(_shard(scene, profile, index, number, held) for index, number in enumerate(placement.nodes)),
        rules=rules,
        survives=_survives([members[number] for number in readable], len(readable) - profile.k),
    )


def _caps(candidates: Sequence[Candidate], profile: Profile, rng: random.Random) -> Caps:
    try:
        return terms_of(candidates, profile, rng).caps
    except TooFewNodes:
        return wished(profile)


def _rule(rule: Rule, members: Collection[Candidate], wish: Caps, caps: Caps) -> RuleView:
    names = Counter(name for node in members if (name := domain(node, rule)))
    where, most = next(iter(names.most_common(1)), ("", 0))
    state = "holds" if most <= wish[rule] else "relaxed" if most <= caps[rule] else "broken"
    return RuleView(rule.value, wish[rule], caps[rule], most, where, state)


def _shard(
    scene: Scene, profile: Profile, index: int, number: NodeNumber, held: Counter[tuple[Rule, str]]
) -> ShardView:
    kind = "data" if index < profile.k else "parity"
    row, node = scene.rows.get(number), scene.candidates.get(number)
    if row is None or node is None:
        name, state = (f"node {number}", "") if row is None else (row.name, row.state)
        return ShardView(index, kind, name, state, "", "", "", "", "", "", 0.0, takes_writes=False, why=UNKNOWN_NODE)
    caps = scene.caps[profile]
    shared = [f"{held[each]} of {caps[each[0]]} in {each[0].value} {each[1]}" for each in domains(node)]
    return ShardView(
        index=index,
        kind=kind,
        node=row.name,
        state=row.state,
        standing=row.standing,
        disk=node.disk,
        host=node.host,
        subnet=node.subnet,
        operator=node.operator,
        zone=node.zone,
        weight=node.weight,
        takes_writes=node.available,
        why="; ".join([*shared, *_against(row, node)]),
    )


def _against(row: NodeRow, node: Candidate) -> list[str]:
    """Why nothing new goes to a node."""
    if node.available:
        return []
    if row.leaving:
        return ["no new shards: it is being drained"]
    if row.reason or row.state != "up":
        return [f"no new shards: {row.state} {row.reason}".rstrip()]
    return [f"no new shards: {row.standing if row.standing != 'trusted' else 'full'}"]


def _survives(readable: Sequence[Candidate], spare: int) -> dict[str, int]:
    """How many of each kind, whichever they are."""
    if spare <= 0:
        return dict.fromkeys(("nodes", "disks", "hosts", "subnets", "operators", "zones"), 0)
    kinds = {
        "disks": [node.disk for node in readable],
        "hosts": [node.host for node in readable],
        "subnets": [node.subnet or node.host for node in readable],
        "operators": [node.operator or node.host for node in readable],
        "zones": [node.zone or "unnamed" for node in readable],
    }
    return {"nodes": spare} | {kind: survived([names], spare) for kind, names in kinds.items()}
