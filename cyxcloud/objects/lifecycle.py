"""Lifecycle rules: what is to become of a version, an upload, at a moment (pure).

A rule counts days from when a version was made, or for a noncurrent one from when its successor was, and S3 rounds the
moment up to the next midnight UTC. A day that the operator has shortened (`lifecycle.day`, for tests) has no midnights,
and S3's least sizes for transitions do not apply to it. What is decided here is looked at again in the transaction
that does it. https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.storage_classes import ARCHIVED, RANK

DAY_MS = 24 * 3600 * 1000
# Smaller objects are not moved unless a rule names a size itself: moving one costs more than it saves.
LEAST_MOVED_BYTES = 128 * 1024
MAX_NEWER_VERSIONS = 100
ALL_CLASSES = "all_storage_classes_128K"
BY_CLASS = "varies_by_storage_class"


@dataclass(frozen=True, slots=True)
class Tag:
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Criteria:
    """What has to hold of an object, each that is given. A filter has one, or an And with several; more are taken."""

    prefix: str | None = None
    tags: tuple[Tag, ...] = ()
    larger_than: int | None = None
    smaller_than: int | None = None

    @property
    def count(self) -> int:
        singles = (self.prefix, self.larger_than, self.smaller_than)
        return len(self.tags) + sum(each is not None for each in singles)

    @property
    def sizes(self) -> bool:
        return self.larger_than is not None or self.smaller_than is not None

    def takes_key(self, key: bytes) -> bool:
        return not self.prefix or key.startswith(self.prefix.encode())

    def takes(self, size: int, tags: Mapping[str, str]) -> bool:
        if self.larger_than is not None and size <= self.larger_than:
            return False
        if self.smaller_than is not None and size >= self.smaller_than:
            return False
        return all(tags.get(tag.key) == tag.value for tag in self.tags)


NO_CRITERIA = Criteria()


@dataclass(frozen=True, slots=True)
class Expiration:
    """One of the three is given."""

    days: int | None = None
    at_ms: int | None = None
    expired_marker: bool | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    storage_class: str
    days: int | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Noncurrent:
    """`days` after it became noncurrent, for versions with at least `newer` newer noncurrent ones. `storage_class` is
    "" where they expire."""

    days: int
    newer: int | None = None
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """`prefix` is the older form of a filter; a rule has it or a filter. `both` is the filter's And."""

    id: str
    enabled: bool
    prefix: str | None = None
    filter: Criteria | None = None
    both: Criteria | None = None
    expiration: Expiration | None = None
    transitions: tuple[Transition, ...] = ()
    noncurrent_expiration: Noncurrent | None = None
    noncurrent_transitions: tuple[Noncurrent, ...] = ()
    abort_days: int | None = None

    @property
    def criteria(self) -> tuple[Criteria, ...]:
        if self.prefix is not None:
            return (Criteria(self.prefix),)
        return tuple(each for each in (self.filter, self.both) if each is not None)

    @property
    def sizes(self) -> bool:
        return any(each.sizes for each in self.criteria)

    @property
    def tags(self) -> tuple[Tag, ...]:
        return tuple(tag for each in self.criteria for tag in each.tags)


@dataclass(frozen=True, slots=True)
class Rules:
    rules: tuple[Rule, ...]
    least_moved: str = ALL_CLASSES


LIFECYCLE = ConfigKey("lifecycle", Rules)


@dataclass(frozen=True, slots=True)
class Facts:
    """A version as rules see it. `successor_ms` is when the next newer one was made, None of the current one;
    `newer_noncurrent` counts those between it and the current one; `is_sole` where its key has no other."""

    key: bytes
    size: int
    tags: Mapping[str, str]
    storage_class: str
    mtime_ms: int
    is_delete_marker: bool = False
    successor_ms: int | None = None
    newer_noncurrent: int = 0
    is_sole: bool = True


class Action(Enum):
    """EXPIRE is of a current version (a marker takes its place in a versioned bucket), REMOVE takes one away for good,
    MOVE gives it another storage class."""

    KEEP = auto()
    EXPIRE = auto()
    REMOVE = auto()
    MOVE = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    storage_class: str = ""


KEEP = Decision(Action.KEEP)
EXPIRE = Decision(Action.EXPIRE)
REMOVE = Decision(Action.REMOVE)


def due_ms(start_ms: int, days: int, day_ms: int) -> int:
    """When so many days are over, rounded up to midnight where a day is a day."""
    moment = start_ms + days * day_ms
    return -(-moment // DAY_MS) * DAY_MS if day_ms == DAY_MS else moment


@dataclass(frozen=True, slots=True)
class _At:
    """The moment that is decided for."""

    now_ms: int
    day_ms: int

    def is_over(self, start_ms: int, days: int) -> bool:
        return due_ms(start_ms, days, self.day_ms) <= self.now_ms

    def is_due(self, start_ms: int, action: Expiration | Transition) -> bool:
        if action.days is not None:
            return self.is_over(start_ms, action.days)
        return action.at_ms is not None and action.at_ms <= self.now_ms


def decide(rules: Rules, facts: Facts, now_ms: int, day_ms: int = DAY_MS) -> Decision:
    """Removing wins over moving; of several moves that are due the one to the coldest class is made."""
    at = _At(now_ms, day_ms)
    applying = [rule for rule in rules.rules if rule.enabled and _takes(rule, facts)]
    if facts.successor_ms is not None:
        return _noncurrent(rules, applying, facts, at)
    if facts.is_delete_marker:
        return REMOVE if facts.is_sole and any(_marker_goes(rule, facts, at) for rule in applying) else KEEP
    if any(rule.expiration is not None and at.is_due(facts.mtime_ms, rule.expiration) for rule in applying):
        return EXPIRE
    due = ((rule, each) for rule in applying for each in rule.transitions if at.is_due(facts.mtime_ms, each))
    return _coldest(facts, (each.storage_class for rule, each in due if _is_worth_it(rules, rule, each, facts, at)))


def expiry_of(rules: Rules, facts: Facts) -> tuple[int, str] | None:
    """When a current version expires, and by which rule; in real days always, which is what its header speaks of."""
    soonest: tuple[int, str] | None = None
    for rule in rules.rules:
        if not rule.enabled or rule.expiration is None or not _takes(rule, facts):
            continue
        expiration = rule.expiration
        at_ms = expiration.at_ms if expiration.days is None else due_ms(facts.mtime_ms, expiration.days, DAY_MS)
        if at_ms is not None and (soonest is None or at_ms < soonest[0]):
            soonest = (at_ms, rule.id)
    return soonest


def abort_of(rules: Rules, key: bytes, begun_ms: int, day_ms: int = DAY_MS) -> tuple[int, str] | None:
    """When an unfinished upload is aborted, and by which rule."""
    moments = [
        (due_ms(begun_ms, rule.abort_days, day_ms), rule.id)
        for rule in rules.rules
        if rule.enabled and rule.abort_days is not None and _takes_key(rule, key)
    ]
    return min(moments, default=None)


def prefixes(rules: Rules) -> list[bytes]:
    """What keys start with that a rule may be about, in order, none within another."""
    found: list[bytes] = []
    for prefix in sorted({_longest_prefix(rule) for rule in rules.rules if rule.enabled}):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found


def _longest_prefix(rule: Rule) -> bytes:
    return max((each.prefix.encode() for each in rule.criteria if each.prefix), key=len, default=b"")


def aborts(rules: Rules) -> bool:
    return any(rule.enabled and rule.abort_days is not None for rule in rules.rules)


def _takes_key(rule: Rule, key: bytes) -> bool:
    return all(each.takes_key(key) for each in rule.criteria)


def _takes(rule: Rule, facts: Facts) -> bool:
    if facts.is_delete_marker and rule.sizes:
        return False  # it has no size that a rule could mean
    return _takes_key(rule, facts.key) and all(each.takes(facts.size, facts.tags) for each in rule.criteria)


def _marker_goes(rule: Rule, facts: Facts, at: _At) -> bool:
    """A marker over nothing goes when a rule says so, or when it is itself as old as the rule's objects get."""
    expiration = rule.expiration
    return expiration is not None and (bool(expiration.expired_marker) or at.is_due(facts.mtime_ms, expiration))


def _noncurrent(rules: Rules, applying: list[Rule], facts: Facts, at: _At) -> Decision:
    assert facts.successor_ms is not None
    since_ms = facts.successor_ms

    def is_due(each: Noncurrent) -> bool:
        return facts.newer_noncurrent >= (each.newer or 0) and at.is_over(since_ms, each.days)

    if any(rule.noncurrent_expiration is not None and is_due(rule.noncurrent_expiration) for rule in applying):
        return REMOVE
    if facts.is_delete_marker:
        return KEEP
    due = ((rule, each) for rule in applying for each in rule.noncurrent_transitions if is_due(each))
    return _coldest(facts, (each.storage_class for rule, each in due if _is_worth_it(rules, rule, each, facts, at)))


def _is_worth_it(rules: Rules, rule: Rule, move: Transition | Noncurrent, facts: Facts, at: _At) -> bool:
    if at.day_ms != DAY_MS or facts.size >= LEAST_MOVED_BYTES or rule.sizes:
        return True
    return rules.least_moved == BY_CLASS and move.storage_class in ARCHIVED


def _coldest(facts: Facts, classes: Iterator[str]) -> Decision:
    coldest = max(classes, key=RANK.__getitem__, default=facts.storage_class)
    if RANK[coldest] <= RANK.get(facts.storage_class, 0):
        return KEEP
    return Decision(Action.MOVE, coldest)
