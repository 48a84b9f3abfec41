"""Is there an order in which these overlapping operations on one key make sense (Wing and Gong, with Lowe's memory).

An operation took effect at one moment between its call and its answer. The search takes operations in the order of
their calls, tries each that may come next, and remembers which sets of them with which state it has seen.
http://www.cs.ox.ac.uk/people/gavin.lowe/LinearizabiltyTesting/paper.pdf
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

State = str | None


class Kind(Enum):
    """READ saw `value`, None for nothing there. WRITE set it. The others did where the state was as they demand, and
    otherwise changed nothing."""

    READ = auto()
    WRITE = auto()
    CREATE = auto()
    SWAP = auto()


@dataclass(frozen=True, slots=True)
class Operation:
    """`done` is False for a conditional write that was refused; `expected` is what a SWAP demands to find."""

    called: float
    answered: float
    kind: Kind
    value: State
    expected: State = None
    done: bool = True


def after(state: State, operation: Operation) -> tuple[bool, State]:
    """Whether this can be what the operation did at that moment, and what is there then."""
    match operation.kind:
        case Kind.READ:
            return operation.value == state, state
        case Kind.WRITE:
            return True, operation.value
        case Kind.CREATE:
            could = state is None
        case Kind.SWAP:
            could = state is not None and state == operation.expected
    return could == operation.done, operation.value if could else state


def is_linearizable(history: Sequence[Operation], state: State = None) -> bool:
    return _Search(history, state).found()


class _Search:
    """The events, calls and answers, are a list that is linked both ways: number 0 is before the first one."""

    def __init__(self, history: Sequence[Operation], state: State) -> None:
        self._history, self._state = history, state
        moments = sorted(
            [(each.called, 0, at) for at, each in enumerate(history)]
            + [(each.answered, 1, at) for at, each in enumerate(history)]
        )
        self._events = [(-1, 0), *((at, which) for _, which, at in moments)]
        self._places = {event: place for place, event in enumerate(self._events)}
        self._next = [*range(1, len(self._events)), 0]
        self._before = [len(self._events) - 1, *range(len(self._events) - 1)]

    def found(self) -> bool:
        state, taken = self._state, 0
        seen: set[tuple[int, State]] = set()
        path: list[tuple[int, State]] = []
        place = self._next[0]
        while self._next[0]:
            at, is_answer = self._events[place]
            if not is_answer:
                fits, state_after = after(state, self._history[at])
                if fits and (taken | 1 << at, state_after) not in seen:
                    taken |= 1 << at
                    seen.add((taken, state_after))
                    path.append((place, state))
                    state = state_after
                    self._lift(place)
                    place = self._next[0]
                else:
                    place = self._next[place]
                continue
            # An answer of what has not been taken yet: something before it was taken wrongly.
            if not path:
                return False
            place, state = path.pop()
            taken &= ~(1 << self._events[place][0])
            self._put_back(place)
            place = self._next[place]
        return True

    def _lift(self, call: int) -> None:
        for place in (call, self._answer_of(call)):
            before, following = self._before[place], self._next[place]
            self._next[before], self._before[following] = following, before

    def _put_back(self, call: int) -> None:
        for place in (self._answer_of(call), call):
            before, following = self._before[place], self._next[place]
            self._next[before] = self._before[following] = place

    def _answer_of(self, call: int) -> int:
        return self._places[self._events[call][0], 1]
