"""What the shards of one chunk may share, and how much of it where nodes are too few (pure).

Never two on a node. Beyond that each rule caps the shards in one domain: one a subnet and one an operator, m a zone, a
host and a disk (so that losing any of these is survived), one on a node that is still being vetted. A cap is raised
only where the nodes cannot fill a list under it, and by no more than that takes: first each rule for itself, then,
where the rules are too much together, one after another in the order of `Rule`. The caps show what was raised.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.profile import Profile
from fleet.placement.candidate import Candidate

# Rules that cross each other may block a list that another order would fill: so often is that tried in a small fleet.
TRIES = 40
LARGE_FLEET, TRIES_IN_A_LARGE_ONE = 400, 4


class Rule(StrEnum):
    """In the order in which they are given up. What is unknown of a new node harms least; to be in one subnet says less
    than to be one operator's; that a whole zone goes is rarer than a host, and a disk dies most often of all."""

    VETTING = "vetting"
    SUBNET = "subnet"
    OPERATOR = "operator"
    ZONE = "zone"
    HOST = "host"
    DISK = "disk"


RULES = tuple(Rule)
Caps = Mapping[Rule, int]
Domain = tuple[Rule, str]


class Limit(NamedTuple):
    """So many shards of a chunk may be in this domain."""

    domain: Domain
    cap: int


def wished(profile: Profile) -> dict[Rule, int]:
    """The caps of a fleet with nodes enough."""
    one = dict.fromkeys((Rule.VETTING, Rule.SUBNET, Rule.OPERATOR), 1)
    return one | dict.fromkeys((Rule.ZONE, Rule.HOST, Rule.DISK), profile.m)


def relaxed(caps: Caps, profile: Profile) -> tuple[Rule, ...]:
    wish = wished(profile)
    return tuple(rule for rule in RULES if caps[rule] > wish[rule])


def domain(node: Candidate, rule: Rule) -> str:
    """Empty where the rule says nothing of this node."""
    if rule is Rule.VETTING:
        return "vetting" if node.vetting else ""
    name: str = getattr(node, rule.value)
    return name


def domains(node: Candidate) -> tuple[Domain, ...]:
    return tuple((rule, name) for rule in RULES if (name := domain(node, rule)))


def caps_for(members: Sequence[Candidate], profile: Profile, rng: random.Random) -> dict[Rule, int]:
    """The lowest caps under which these nodes fill a list; there must be n of them."""
    assert len(members) >= profile.n
    caps = least_caps(members, profile)
    tries = TRIES if len(members) <= LARGE_FLEET else TRIES_IN_A_LARGE_ONE
    for wider in _ever_wider(caps, members):
        caps = wider
        limits = limits_of(members, caps)
        if any(filled(shuffled(members, rng), limits, profile.n) is not None for _ in range(tries)):
            break
    return caps


def least_caps(members: Sequence[Candidate], profile: Profile) -> dict[Rule, int]:
    """What each rule by itself needs."""
    caps = wished(profile)
    for rule in RULES:
        sizes = Counter(domain(node, rule) for node in members)
        alone = sizes.pop("", 0)
        while alone + sum(min(caps[rule], size) for size in sizes.values()) < profile.n:
            caps[rule] += 1
    return caps


def limits_of(members: Sequence[Candidate], caps: Caps) -> dict[NodeNumber, tuple[Limit, ...]]:
    """By node, without those limits that no list of these nodes can break: they would be looked at a million times."""
    of = {node.number: domains(node) for node in members}
    sizes = Counter(each for found in of.values() for each in found)
    limits = {each: Limit(each, caps[each[0]]) for each, size in sizes.items() if size > caps[each[0]]}
    return {number: tuple(limits[each] for each in found if each in limits) for number, found in of.items()}


def filled(
    ordered: Iterable[Candidate], limits: Mapping[NodeNumber, tuple[Limit, ...]], n: int
) -> list[Candidate] | None:
    """The first n of these nodes that may stand together; None where the order leads to fewer."""
    chosen: list[Candidate] = []
    taken: dict[Domain, int] = {}
    for node in ordered:
        mine = limits[node.number]
        for each, cap in mine:
            if taken.get(each, 0) >= cap:
                break
        else:
            for each, _ in mine:
                taken[each] = taken.get(each, 0) + 1
            chosen.append(node)
            if len(chosen) == n:
                return chosen
    return None


def shuffled(members: Sequence[Candidate], rng: random.Random) -> list[Candidate]:
    return rng.sample(members, len(members))


def may_stand(numbers: Sequence[NodeNumber], limits: Mapping[NodeNumber, tuple[Limit, ...]]) -> bool:
    """Whether a list keeps to the limits."""
    taken: dict[Domain, int] = {}
    for number in numbers:
        for each, cap in limits[number]:
            count = taken[each] = taken.get(each, 0) + 1
            if count > cap:
                return False
    return True


def _ever_wider(caps: Caps, members: Sequence[Candidate]) -> Iterator[dict[Rule, int]]:
    """First as they are; the last ones rule nothing out."""
    wider = dict(caps)
    yield dict(wider)
    for rule in RULES:
        sizes = Counter(name for node in members if (name := domain(node, rule)))
        largest = max(sizes.values(), default=0)
        while wider[rule] < largest:
            wider[rule] += 1
            yield dict(wider)
