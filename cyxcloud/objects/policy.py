"""A policy, compiled, and what it says of one question: allowed, denied, or nothing (pure).

A Deny that holds wins over every Allow, in whatever order they stand. Nothing here knows who owns what: that is for
`authorize`, which weighs this answer with the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cyxcloud.objects.policy_conditions import Test
from cyxcloud.objects.policy_patterns import Choice, Facts

ANYBODY = "*"


class Effect(Enum):
    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by the names that policies may call him. An unsigned request has none of them."""

    accounts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    service: str = ""


NOBODY = Caller()


@dataclass(frozen=True, slots=True)
class Principals:
    """`everyone`: written `"*"`, so services too. `anybody`: `{"AWS": "*"}`, signed or not, but no service. `plain` are
    those of `accounts` that stand there by their bare id."""

    everyone: bool = False
    anybody: bool = False
    accounts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()

    def include(self, caller: Caller) -> bool:
        if self.everyone:
            return True
        if caller.service:
            return caller.service in self.services
        if self.anybody:
            return True
        return not (self.accounts.isdisjoint(caller.accounts) and self.users.isdisjoint(caller.users))


@dataclass(frozen=True, slots=True)
class Question:
    """May `caller` do `action` (as rights.Permission names it, in lower case) to `resource`, an ARN."""

    caller: Caller
    action: str
    resource: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Statement:
    """`principals` is None in the policy of a user, who is the caller. A `not_` flag turns its list round."""

    label: str
    effect: Effect
    principals: Principals | None
    not_principals: bool
    actions: Choice
    not_actions: bool
    resources: Choice
    not_resources: bool
    tests: tuple[Test, ...]

    def covers(self, question: Question) -> bool:
        """All but its conditions."""
        if self.principals is not None and self.principals.include(question.caller) == self.not_principals:
            return False
        facts = question.facts
        if self.actions.matches(question.action, facts) == self.not_actions:
            return False
        return self.resources.matches(question.resource, facts) != self.not_resources

    def holds(self, question: Question) -> bool:
        return self.covers(question) and all(test.holds(question.facts) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Answer:
    """`effect` is None where no statement holds; `statement` is the one that decided."""

    effect: Effect | None
    statement: Statement | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    statements: tuple[Statement, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The condition keys that it asks for."""
        return frozenset(test.key for statement in self.statements for test in statement.tests)

    def answer(self, question: Question) -> Answer:
        allowing = None
        for statement in self.statements:
            if statement.effect is Effect.ALLOW and allowing is not None:
                continue
            if statement.holds(question):
                if statement.effect is Effect.DENY:
                    return Answer(Effect.DENY, statement)
                allowing = statement
        return Answer(None) if allowing is None else Answer(Effect.ALLOW, allowing)
