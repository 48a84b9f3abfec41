"""What rules decide of a version, day by day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects import lifecycle
from cyxcloud.objects.lifecycle import (
    BY_CLASS,
    DAY_MS,
    EXPIRE,
    KEEP,
    LIFECYCLE,
    REMOVE,
    Action,
    Criteria,
    Decision,
    Expiration,
    Facts,
    Noncurrent,
    Rule,
    Rules,
    Tag,
    Transition,
    decide,
    due_ms,
)
from cyxcloud.objects.storage_classes import RANK

BIG = 1 << 20
MORNING = 20_000 * DAY_MS + 10 * 3600 * 1000  # 10:00 of a day
MIDNIGHT = 20_000 * DAY_MS


def rule(**given: Any) -> Rules:
    return Rules((Rule("r", enabled=True, **{"filter": Criteria(), **given}),))


def facts(**given: Any) -> Facts:
    return replace(Facts(b"logs/a", BIG, {}, "STANDARD", MORNING), **given)


def test_days_are_rounded_up_to_midnight() -> None:
    rules = rule(expiration=Expiration(days=3))
    assert decide(rules, facts(), MIDNIGHT + 4 * DAY_MS - 1) == KEEP
    assert decide(rules, facts(), MIDNIGHT + 4 * DAY_MS) == EXPIRE
    assert due_ms(MIDNIGHT, 3, DAY_MS) == MIDNIGHT + 3 * DAY_MS


def test_days_that_are_shortened_are_not_rounded() -> None:
    rules = rule(expiration=Expiration(days=3))
    assert decide(rules, facts(), MORNING + 5999, 2000) == KEEP
    assert decide(rules, facts(), MORNING + 6000, 2000) == EXPIRE


def test_date_that_has_come_expires_what_is_younger_too() -> None:
    rules = rule(expiration=Expiration(at_ms=MIDNIGHT))
    assert decide(rules, facts(), MIDNIGHT - 1) == KEEP
    assert decide(rules, facts(mtime_ms=MIDNIGHT + 5), MIDNIGHT + 6) == EXPIRE


def test_rule_that_is_disabled_does_nothing() -> None:
    assert (
        decide(Rules((Rule("r", enabled=False, prefix="", expiration=Expiration(days=1)),)), facts(), 1 << 60) == KEEP
    )


@pytest.mark.parametrize(
    ("criteria", "taken"),
    [
        (Criteria("logs/"), True),
        (Criteria("log"), True),
        (Criteria("other"), False),
        (Criteria(tags=(Tag("a", "1"),)), True),
        (Criteria(tags=(Tag("a", "1"), Tag("b", "2"))), False),
        (Criteria(larger_than=BIG), False),
        (Criteria(larger_than=BIG - 1), True),
        (Criteria(smaller_than=BIG), False),
        (Criteria("logs/", (Tag("a", "1"),), BIG - 1, BIG + 1), True),
    ],
)
def test_filter_takes_what_meets_all_of_it(criteria: Criteria, *, taken: bool) -> None:
    seen = facts(tags={"a": "1"})
    for rules in (
        rule(expiration=Expiration(days=1), filter=criteria),
        rule(expiration=Expiration(days=1), both=criteria),
    ):
        assert decide(rules, seen, 1 << 60) == (EXPIRE if taken else KEEP)


def test_noncurrent_days_count_from_the_successor() -> None:
    rules = rule(noncurrent_expiration=Noncurrent(1))
    old = facts(mtime_ms=0, successor_ms=MORNING, is_sole=False)
    assert decide(rules, old, MIDNIGHT + 2 * DAY_MS - 1) == KEEP
    assert decide(rules, old, MIDNIGHT + 2 * DAY_MS) == REMOVE
    assert decide(rules, facts(mtime_ms=0), 1 << 60) == KEEP


def test_noncurrent_version_stays_while_too_few_are_newer() -> None:
    rules = rule(noncurrent_expiration=Noncurrent(1, newer=2))
    assert decide(rules, facts(successor_ms=0, newer_noncurrent=1), 1 << 60) == KEEP
    assert decide(rules, facts(successor_ms=0, newer_noncurrent=2), 1 << 60) == REMOVE


def test_expiration_does_not_touch_noncurrent_versions() -> None:
    assert decide(rule(expiration=Expiration(days=1)), facts(successor_ms=0), 1 << 60) == KEEP


def test_delete_marker_goes_only_when_it_covers_nothing() -> None:
    marker = facts(is_delete_marker=True, size=0)
    for expiration in (Expiration(expired_marker=True), Expiration(days=1)):
        rules = rule(expiration=expiration)
        assert decide(rules, marker, 1 << 60) == REMOVE
        assert decide(rules, replace(marker, is_sole=False), 1 << 60) == KEEP
    assert decide(rule(expiration=Expiration(expired_marker=False)), marker, 1 << 60) == KEEP
    assert decide(rule(expiration=Expiration(days=1)), marker, MORNING) == KEEP
    assert decide(rule(noncurrent_expiration=Noncurrent(1)), marker, 1 << 60) == KEEP


def test_delete_marker_has_no_size() -> None:
    sized = Rules((Rule("r", enabled=True, filter=Criteria(smaller_than=5), expiration=Expiration(days=1)),))
    assert decide(sized, facts(is_delete_marker=True, size=0), 1 << 60) == KEEP


def test_coldest_of_the_transitions_that_are_due_is_made() -> None:
    rules = rule(transitions=(Transition("STANDARD_IA", 30), Transition("GLACIER", 90)))
    assert decide(rules, facts(), MORNING + 29 * DAY_MS) == KEEP
    assert decide(rules, facts(), MORNING + 31 * DAY_MS) == Decision(Action.MOVE, "STANDARD_IA")
    assert decide(rules, facts(), MORNING + 91 * DAY_MS) == Decision(Action.MOVE, "GLACIER")
    assert decide(rules, facts(storage_class="DEEP_ARCHIVE"), MORNING + 91 * DAY_MS) == KEEP


def test_expiration_wins_over_a_transition() -> None:
    rules = rule(transitions=(Transition("GLACIER", 1),), expiration=Expiration(days=2))
    assert decide(rules, facts(), 1 << 60) == EXPIRE


def test_small_objects_are_not_moved_unless_a_rule_names_a_size() -> None:
    small, later = facts(size=100), 1 << 60
    rules = rule(transitions=(Transition("GLACIER", 1),))
    assert decide(rules, small, later) == KEEP
    assert decide(rules, small, later, 2000).action is Action.MOVE
    assert decide(replace(rules, least_moved=BY_CLASS), small, later).action is Action.MOVE
    to_infrequent = rule(transitions=(Transition("STANDARD_IA", 30),))
    assert decide(replace(to_infrequent, least_moved=BY_CLASS), small, later) == KEEP
    sized = Rules((replace(rules.rules[0], filter=Criteria(larger_than=50)),))
    assert decide(sized, small, later).action is Action.MOVE


def test_noncurrent_transition_moves_a_version_and_never_a_marker() -> None:
    rules = rule(noncurrent_transitions=(Noncurrent(1, 1, "GLACIER"),))
    old = facts(successor_ms=0, newer_noncurrent=1)
    assert decide(rules, old, 1 << 60) == Decision(Action.MOVE, "GLACIER")
    assert decide(rules, replace(old, newer_noncurrent=0), 1 << 60) == KEEP
    assert decide(rules, replace(old, is_delete_marker=True), 1 << 60) == KEEP


def test_expiry_is_of_the_soonest_rule_in_real_days() -> None:
    rules = Rules(
        (
            Rule("late", enabled=True, prefix="", expiration=Expiration(days=9)),
            Rule("soon", enabled=True, prefix="logs/", expiration=Expiration(days=1)),
            Rule("other", enabled=True, prefix="x", expiration=Expiration(days=0)),
        )
    )
    assert lifecycle.expiry_of(rules, facts()) == (MIDNIGHT + 2 * DAY_MS, "soon")
    assert lifecycle.expiry_of(rules, facts(key=b"else")) == (MIDNIGHT + 10 * DAY_MS, "late")
    assert lifecycle.expiry_of(rule(expiration=Expiration(expired_marker=True)), facts()) is None


def test_abort_is_of_uploads_under_the_prefix() -> None:
    rules = Rules((Rule("r", enabled=True, prefix="a/", abort_days=2),))
    assert lifecycle.abort_of(rules, b"a/b", MORNING) == (MIDNIGHT + 3 * DAY_MS, "r")
    assert lifecycle.abort_of(rules, b"b", MORNING) is None
    assert lifecycle.aborts(rules)
    assert not lifecycle.aborts(rule(expiration=Expiration(days=1)))


_days = st.integers(1, 50)
_classes = st.sampled_from(["STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"])
_criteria = st.builds(
    Criteria,
    st.sampled_from([None, "", "a", "b/"]),
    st.sampled_from([(), (Tag("t", "1"),)]),
    st.sampled_from([None, 10]),
    st.sampled_from([None, 1000]),
)
_rules = st.lists(
    st.builds(
        Rule,
        id=st.just("r"),
        enabled=st.booleans(),
        filter=_criteria,
        expiration=st.none() | st.builds(Expiration, days=_days) | st.just(Expiration(expired_marker=True)),
        transitions=st.lists(st.builds(Transition, _classes, _days), max_size=2).map(tuple),
        noncurrent_expiration=st.none() | st.builds(Noncurrent, _days, st.none() | st.integers(1, 3)),
        noncurrent_transitions=st.lists(st.builds(Noncurrent, _days, st.none(), _classes), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=4,
).map(lambda found: Rules(tuple(found)))
_facts = st.builds(
    Facts,
    st.sampled_from([b"a", b"b/c", b"c"]),
    st.sampled_from([0, 11, 1001, BIG]),
    st.sampled_from([{}, {"t": "1"}, {"t": "2"}]),
    st.sampled_from(list(RANK)),
    st.integers(0, 60).map(lambda day: day * DAY_MS + 7),
    is_delete_marker=st.booleans(),
    successor_ms=st.none() | st.integers(0, 60).map(lambda day: day * DAY_MS + 9),
    newer_noncurrent=st.integers(0, 4),
    is_sole=st.booleans(),
)


@given(_rules, _facts, st.integers(0, 120))
def test_decision_never_goes_back(rules: Rules, seen: Facts, day: int) -> None:
    """What is removed today is removed tomorrow too; a move is to a colder class; no rule that is off ever acts."""
    today, tomorrow = (decide(rules, seen, at * DAY_MS) for at in (day, day + 1))
    if today.action in (Action.EXPIRE, Action.REMOVE):
        assert tomorrow == today
    if today.action is Action.MOVE:
        assert RANK[today.storage_class] > RANK[seen.storage_class]
        assert tomorrow.action is not Action.KEEP
        moved = replace(seen, storage_class=today.storage_class)
        assert decide(rules, moved, day * DAY_MS) == KEEP
    off = Rules(tuple(replace(each, enabled=False) for each in rules.rules))
    assert decide(off, seen, day * DAY_MS) == KEEP


@given(_rules)
def test_rules_survive_being_stored(rules: Rules) -> None:
    assert LIFECYCLE.decode(LIFECYCLE.encode(rules)) == rules
