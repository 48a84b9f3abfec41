"""Draws random lists of nodes for a pool (pure): every node as often as its weight says, under all rules."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import chain

from cyxcloud.core.ids import NodeNumber
from fleet.placement.candidate import Candidate
from fleet.placement.rules import filled
from fleet.placement.terms import Terms

# In a large fleet a list is chosen from so many nodes drawn at random: to sort all of them for each takes minutes.
WINDOW = 64
WIDER = 8  # times as many, where those do not fill one


class Draw:
    """`before`: lists that there are already, `vetted` of them with nodes that are being vetted."""

    def __init__(self, terms: Terms, rng: random.Random, before: int = 0, vetted: int = 0) -> None:
        self._terms, self._rng = terms, rng
        self._made, self._vetted = before, vetted
        self._used = dict.fromkeys((node.number for node in terms.members), 0.0)
        self._everyone = _Deck(terms.members, rng)
        self._trusted = _Deck([node for node in terms.members if not node.vetting], rng)

    def lists(self, wanted: int) -> list[list[Candidate]]:
        return [each for each in (self._one(()) for _ in range(wanted)) if each is not None]

    def with_each(self, numbers: Sequence[NodeNumber], times: int) -> list[list[Candidate]]:
        """Lists in which these take part so often, in each of them a few, beside nodes of the whole fleet."""
        named = set(numbers)
        due = {node: times for node in self._terms.members if node.number in named}
        together = max(1, min(self._terms.profile.n // 2, len(due)))
        lists: list[list[Candidate]] = []
        for _ in range(len(due) * times):  # enough even where the rules let only one of them into a list
            if not due:
                break
            chosen = self._one(self._rng.sample(list(due), min(together, len(due)))) or []
            for node in chosen:
                if node in due:
                    due[node] -= 1
                    if not due[node]:
                        del due[node]
            if chosen:
                lists.append(chosen)
        return lists

    def _one(self, seeds: Sequence[Candidate]) -> list[Candidate] | None:
        """With a vetting node where their share allows it, and where the trusted ones cannot make a list."""
        if self._vetted + 1 > self._terms.vetting_a_list * (self._made + 1):
            chosen = self._from(self._trusted, [node for node in seeds if not node.vetting])
            if chosen is not None:
                return chosen
        return self._from(self._everyone, seeds)

    def _from(self, deck: _Deck, seeds: Sequence[Candidate]) -> list[Candidate] | None:
        """From ever more nodes where the rules make it hard."""
        used, size = self._used, WINDOW
        leads = {node.number for node in seeds}
        while True:
            some: Iterable[Candidate] = sorted(deck.next(size), key=lambda node: used[node.number])
            if seeds:
                some = chain(seeds, (node for node in some if node.number not in leads))
            chosen = filled(some, self._terms.limits, self._terms.profile.n)
            if chosen is not None:
                self._note(chosen)
                return chosen
            if size >= len(deck):
                return None
            size *= WIDER

    def _note(self, chosen: Sequence[Candidate]) -> None:
        self._made += 1
        for node in chosen:
            self._used[node.number] += 1 / self._terms.weights[node.number]
            self._vetted += node.vetting


class _Deck:
    """Nodes in random order, dealt from the top, shuffled again when too few are left."""

    def __init__(self, nodes: Sequence[Candidate], rng: random.Random) -> None:
        self._nodes, self._rng = list(nodes), rng
        self._at = len(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def next(self, size: int) -> Sequence[Candidate]:
        if size >= len(self._nodes):
            return self._rng.sample(self._nodes, len(self._nodes))
        if self._at + size > len(self._nodes):
            self._rng.shuffle(self._nodes)
            self._at = 0
        self._at += size
        return self._nodes[self._at - size : self._at]
