"""Which placements need a successor now, and which nodes take the place of those that are lost (pure).

A node that was away for `away` counts as unreachable, one whose disk is reported lost at once. The fewer nodes of a
placement are reachable, the shorter is the wait: one missing the whole grace, two a quarter of it, three or more (or
none to spare) none; a node that returns ends it. What was replaced is made up for at once, and so is a node that is to
be emptied or is disqualified. Two shards of a chunk never come to stand on one node; beyond that the rules of
placement/rules.py hold, as far as there are nodes to keep to them. What no node can take over waits.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta.rows import (
    DISQUALIFIED,
    DOWN,
    GONE,
    LOST,
    READABLE,
    SUSPENDED,
    UP,
    VETTING,
    NodeRow,
    PlacementRow,
)
from fleet.placement.candidate import pool_candidates
from fleet.placement.rules import RULES, Caps, Domain, domains, least_caps, wished
from fleet.placement.weights import is_full

# Between the name of a node that was replaced and its number, in the row that is left of it.
RETIRED = "~"
NOBODY: Mapping[PlacementId, int] = MappingProxyType({})
# Of so many the least loaded is far below the average, and every node of a small fleet is among them.
DRAWN = 64
_SHUT_OUT = frozenset({SUSPENDED, DISQUALIFIED})


@dataclass(frozen=True, slots=True)
class Terms:
    away_ms: int
    grace_ms: int


@dataclass(frozen=True, slots=True)
class Move:
    """A placement and the nodes of its successor; `reachable` of its own nodes can be read. `late`: only because of
    nodes that went together and were waited for in vain."""

    placement: PlacementRow
    nodes: tuple[NodeNumber, ...]
    reachable: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`moves` in order of risk; `stuck` lack nodes that no other can stand in for."""

    moves: tuple[Move, ...] = ()
    stuck: tuple[PlacementId, ...] = ()


@dataclass(frozen=True, slots=True)
class _Need:
    placement: PlacementRow
    slots: tuple[int, ...]
    reachable: int
    late: bool


@dataclass(frozen=True, slots=True)
class Fleet:
    """The nodes as they are now; `held` went together and are waited for, `late` were. `urgent`: an operator does not
    wait for these."""

    rows: Mapping[NodeNumber, NodeRow]
    now_ms: int
    started_ms: int
    terms: Terms
    held: frozenset[NodeNumber] = frozenset()
    late: frozenset[NodeNumber] = frozenset()
    urgent: frozenset[NodeNumber] = frozenset()

    def is_emptied(self, number: NodeNumber) -> bool:
        """What it holds is to lie elsewhere, whatever its state."""
        row = self.rows[number]
        given_up = number in self.urgent and row.state not in READABLE
        return row.leaving or row.standing == DISQUALIFIED or given_up

    def takes(self, number: NodeNumber) -> bool:
        row = self.rows[number]
        full = row.is_remote and is_full(row)
        return row.state == UP and not row.leaving and row.standing not in _SHUT_OUT and not full

    def unreachable_since_ms(self, number: NodeNumber) -> int | None:
        """When it began to count as unreachable; None while it counts as reachable. A node that is down has to have
        been watched for as long: before, nobody knows whether it was away or the coordinator."""
        row = self.rows[number]
        if row.state in READABLE:
            return None
        if row.state != DOWN:
            return row.since_ms
        watched = self.now_ms - max(row.since_ms, self.started_ms) >= self.terms.away_ms
        return row.since_ms + self.terms.away_ms if watched else None

    def grace_ms(self, missing: int, m: int) -> int:
        if missing >= min(m, 3):
            return 0
        return self.terms.grace_ms if missing == 1 else self.terms.grace_ms // 4


def make_plan(
    fleet: Fleet,
    placements: Sequence[PlacementRow],
    rng: random.Random,
    arriving: Mapping[PlacementId, int] = NOBODY,
    load: Mapping[NodeNumber, int] | None = None,
) -> Plan:
    """For placements without a successor; those that need none are passed over. `arriving`: of the chunks still on
    their way to a placement, the fewest shards that one of them has: they cannot wait for its nodes' grace. `load`: in
    how many placements each node is, where `placements` are not all."""
    amiss = {row.number for row in fleet.rows.values() if row.state not in READABLE or fleet.is_emptied(row.number)}
    touched = (each for each in placements if not amiss.isdisjoint(each.nodes))
    needs = [need for each in touched if (need := _need(fleet, each, arriving.get(each.id))) is not None]
    if not needs:
        return Plan()
    needs.sort(key=lambda need: (need.reachable, need.placement.id))
    loads = Counter(number for each in placements for number in each.nodes) if load is None else load
    takers = _Takers(fleet, loads, rng)
    moves, stuck = [], []
    for need in needs:
        nodes, lacking = _substituted(fleet, need, takers)
        if nodes != need.placement.nodes:
            moves.append(Move(need.placement, nodes, need.reachable, need.late))
        if lacking:
            stuck.append(need.placement.id)
    return Plan(tuple(moves), tuple(stuck))


def reachable(fleet: Fleet, placement: PlacementRow) -> int:
    """How many of its nodes can be read from."""
    return sum(fleet.rows[number].state in READABLE for number in placement.nodes)


def _need(fleet: Fleet, placement: PlacementRow, fewest: int | None) -> _Need | None:
    """The slots of it that are to be filled anew now."""
    gone = [at for at, number in enumerate(placement.nodes) if fleet.rows[number].state == GONE]
    emptied = [at for at, number in enumerate(placement.nodes) if at not in gone and fleet.is_emptied(number)]
    away = _away(fleet, placement)
    due_ms = _due_ms(fleet, placement, away, fewest)
    due = due_ms is not None and fleet.now_ms >= due_ms
    slots = (*gone, *emptied, *(at for _, at in away if due and at not in emptied))
    there = reachable(fleet, placement)
    late = all(placement.nodes[at] in fleet.late for at in slots)
    return _Need(placement, slots, there if fewest is None else min(there, fewest), late) if slots else None


def due_ms(fleet: Fleet, placement: PlacementRow, fewest: int | None = None) -> int | None:
    """When the nodes that are away are waited for no more; None where there is no such time yet."""
    return _due_ms(fleet, placement, _away(fleet, placement), fewest)


def _away(fleet: Fleet, placement: PlacementRow) -> list[tuple[int, int]]:
    """Since when, and which of its nodes count as unreachable; those that went together do not where all can wait."""
    away = []
    gone = 0
    for at, number in enumerate(placement.nodes):
        since_ms = fleet.unreachable_since_ms(number)
        if fleet.rows[number].state == GONE:
            gone += 1
        elif since_ms is not None:
            away.append((since_ms, at))
    waited_for = sum(placement.nodes[at] in fleet.held for _, at in away)
    if len(placement.nodes) - gone - len(away) + waited_for > placement.k + 1:
        away = [(since_ms, at) for since_ms, at in away if placement.nodes[at] not in fleet.held]
    return sorted(away)


def _due_ms(fleet: Fleet, placement: PlacementRow, away: Sequence[tuple[int, int]], fewest: int | None) -> int | None:
    gone = sum(fleet.rows[number].state == GONE for number in placement.nodes)
    lacking = 0 if fewest is None else len(placement.nodes) - fewest
    return min(
        (
            since_ms + fleet.grace_ms(max(lacking, gone + missing), placement.m)
            for missing, (since_ms, _) in enumerate(away, start=1)
        ),
        default=None,
    )


class _Takers:
    """Nodes that may take what others lose, and what the shards of a chunk may share there."""

    def __init__(self, fleet: Fleet, load: Mapping[NodeNumber, int], rng: random.Random) -> None:
        self.rows = [row for row in fleet.rows.values() if fleet.takes(row.number)]
        self.load = Counter(load)
        self._fleet, self._rng = fleet, rng
        self._domains: dict[NodeNumber, tuple[Domain, ...]] = {}
        self._caps: dict[tuple[int, int], Caps] = {}

    def drawn(self, heir: NodeRow | None) -> Sequence[NodeRow]:
        """Those that one choice is made among."""
        if len(self.rows) <= DRAWN:
            return self.rows
        some = self._rng.sample(self.rows, DRAWN)
        return [heir, *some] if heir is not None and self._fleet.takes(heir.number) else some

    def domains(self, number: NodeNumber) -> tuple[Domain, ...]:
        found = self._domains.get(number)
        if found is None:
            candidates = pool_candidates([self._fleet.rows[number]])
            found = self._domains[number] = domains(candidates[0]) if candidates else ()
        return found

    def caps(self, k: int, m: int) -> Caps:
        """As low as these nodes allow; those that are down count, since they are likely to be there again."""
        found = self._caps.get((k, m))
        if found is None:
            profile, known = Profile(k, m), pool_candidates(list(self._fleet.rows.values()))
            found = least_caps(known, profile) if len(known) >= profile.n else wished(profile)
            self._caps[k, m] = found
        return found

    def best(
        self,
        among: Sequence[NodeRow],
        members: set[NodeNumber],
        taken: Counter[Domain],
        caps: Caps,
        heir: NodeRow | None,
    ) -> NodeNumber | None:
        """The one that breaks the fewest rules, the weightiest first; then the node that took the lost one's name, then
        one that has proven itself, then the least loaded."""
        best = min(
            (
                (
                    self.over(row.number, taken, caps),
                    row is not heir,
                    row.standing == VETTING,
                    self.load[row.number],
                    self._rng.random(),
                    row.number,
                )
                for row in among
                if row.number not in members
            ),
            default=None,
        )
        return None if best is None else best[-1]

    def over(self, number: NodeNumber, taken: Counter[Domain], caps: Caps) -> tuple[int, ...]:
        """By how much each rule would be broken, the weightiest first."""
        counts = {each[0]: max(0, taken[each] + 1 - caps[each[0]]) for each in self.domains(number)}
        return tuple(counts.get(rule, 0) for rule in reversed(RULES))


def _substituted(fleet: Fleet, need: _Need, takers: _Takers) -> tuple[tuple[NodeNumber, ...], bool]:
    """The list with its slots filled as far as that goes, and whether one had to stay as it is."""
    nodes = list(need.placement.nodes)
    kept = [number for at, number in enumerate(nodes) if at not in need.slots]
    taken = Counter(each for number in kept for each in takers.domains(number))
    caps = takers.caps(need.placement.k, need.placement.m)
    members = set(nodes)
    lacking = False
    for at in need.slots:
        heir = _heir(fleet, nodes[at])
        if heir is not None and heir.state != UP and _may_wait_for(fleet, heir, need):
            continue
        chosen = takers.best(takers.drawn(heir), members, taken, caps, heir)
        if chosen is None or any(takers.over(chosen, taken, caps)):
            chosen = takers.best(takers.rows, members, taken, caps, heir)
        if chosen is None:
            lacking = True
            taken.update(takers.domains(nodes[at]))
            continue
        members.add(chosen)
        taken.update(takers.domains(chosen))
        takers.load[chosen] += 1
        nodes[at] = chosen
    return tuple(nodes), lacking


def _heir(fleet: Fleet, number: NodeNumber) -> NodeRow | None:
    """The node that has the name of one that was replaced."""
    row = fleet.rows[number]
    if row.state != GONE:
        return None
    name = row.name.partition(RETIRED)[0]
    return next((each for each in fleet.rows.values() if each.name == name and each.state != GONE), None)


def _may_wait_for(fleet: Fleet, heir: NodeRow, need: _Need) -> bool:
    """A replacement is about to come up: moving everything elsewhere in these minutes would leave it empty."""
    is_coming = heir.state != LOST and fleet.unreachable_since_ms(heir.number) is None
    return is_coming and need.reachable > need.placement.k + 1
