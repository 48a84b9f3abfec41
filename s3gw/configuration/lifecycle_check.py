"""What S3 refuses of lifecycle rules that are well-formed, in its own words (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from cyxcloud.objects.lifecycle import (
    DAY_MS,
    MAX_NEWER_VERSIONS,
    Criteria,
    Expiration,
    Noncurrent,
    Rule,
    Rules,
    Transition,
)
from cyxcloud.objects.storage_classes import COLDER, RANK
from s3gw.errors import Code, S3Error
from s3gw.xml_reader import malformed

MAX_RULES = 1000
MAX_ID_CHARACTERS = 255
LEAST_DAYS_IN_STANDARD = 30
_INFREQUENT = frozenset({"STANDARD_IA", "ONEZONE_IA"})


def check(rules: Rules, *, economical: bool) -> None:
    if not rules.rules:
        raise malformed()
    for rule in rules.rules:
        _selection(rule)
        _id(rule)
        _expiration(rule)
        _noncurrent(rule)
        _moves(rule, economical=economical)
        _abort(rule)
        if not _acts(rule):
            raise _request("At least one action needs to be specified in a rule.")
    if len({rule.id for rule in rules.rules}) < len(rules.rules):
        raise _argument("Rule ID must be unique. Found same ID for more than one rule.")


def _argument(message: str) -> S3Error:
    return S3Error(Code.INVALID_ARGUMENT, message)


def _request(message: str) -> S3Error:
    return S3Error(Code.INVALID_REQUEST, message)


def _acts(rule: Rule) -> bool:
    actions = (rule.expiration, rule.noncurrent_expiration, rule.abort_days)
    return any(each is not None for each in actions) or bool(rule.transitions or rule.noncurrent_transitions)


def _id(rule: Rule) -> None:
    if len(rule.id) > MAX_ID_CHARACTERS:
        raise _argument(f"ID length should not exceed allowed limit of {MAX_ID_CHARACTERS}")


def _selection(rule: Rule) -> None:
    if (rule.prefix is None) == (rule.filter is None):
        raise malformed()
    if rule.both is not None and rule.both.count < 2:
        raise malformed()
    keys = [tag.key for tag in rule.tags]
    if any(not key for key in keys):
        raise malformed()
    if any(len({tag.key for tag in each.tags}) < len(each.tags) for each in rule.criteria):
        raise _request("Duplicate Tag Keys are not allowed.")
    for each in rule.criteria:
        _sizes(each)


def _sizes(criteria: Criteria) -> None:
    larger, smaller = criteria.larger_than, criteria.smaller_than
    if smaller is not None and smaller < 1:
        raise _argument("'ObjectSizeLessThan' must be a positive integer")
    if larger is not None and smaller is not None and smaller <= larger:
        raise _request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")


def _positive(days: int, what: str) -> None:
    if days < 1:
        raise _argument(f"{what} action must be a positive integer")


def _midnight(at_ms: int | None) -> None:
    if at_ms is not None and at_ms % DAY_MS:
        raise _argument("'Date' must be at midnight GMT")


def _expiration(rule: Rule) -> None:
    expiration = rule.expiration
    if expiration is None:
        return
    if expiration.days is not None:
        _positive(expiration.days, "'Days' for Expiration")
    _midnight(expiration.at_ms)
    if expiration.expired_marker is not None and rule.tags:
        raise _request("ExpiredObjectDeleteMarker cannot be specified with Tags.")
    if expiration.expired_marker is not None and rule.sizes:
        raise _request("ExpiredObjectDeleteMarker cannot be specified with object size.")


def _abort(rule: Rule) -> None:
    if rule.abort_days is None:
        return
    _positive(rule.abort_days, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload")
    if rule.tags:
        raise _request("AbortIncompleteMultipartUpload cannot be specified with Tags.")
    if rule.sizes:
        raise _request("AbortIncompleteMultipartUpload cannot be specified with object size.")


def _noncurrent(rule: Rule) -> None:
    expiration = rule.noncurrent_expiration
    if expiration is not None:
        _positive(expiration.days, "'NoncurrentDays' for NoncurrentVersionExpiration")
        _newer(expiration)
    for each in rule.noncurrent_transitions:
        _newer(each)


def _newer(action: Noncurrent) -> None:
    if action.newer is not None and not 1 <= action.newer <= MAX_NEWER_VERSIONS:
        raise _argument(
            f"'NewerNoncurrentVersions' must be a positive integer between 1 and {MAX_NEWER_VERSIONS}, inclusive"
        )


def _moves(rule: Rule, *, economical: bool) -> None:
    for each in rule.transitions:
        _midnight(each.at_ms)
    current = [(each.storage_class, each.at_ms if each.days is None else each.days) for each in rule.transitions]
    noncurrent = [(each.storage_class, each.days) for each in rule.noncurrent_transitions]
    for name, moves in (("Transition", current), ("NoncurrentVersionTransition", noncurrent)):
        _classes(name, [storage_class for storage_class, _ in moves])
        _order(name, moves)
    if economical:
        by_days = [(each.storage_class, each.days) for each in rule.transitions if each.days is not None]
        _least_days("Days", "Transition", by_days)
        _least_days("NoncurrentDays", "NoncurrentVersionTransition", noncurrent)
    _dates_or_days(rule.expiration, rule.transitions)
    _expires_last("Expiration", "Transition", _after(rule.expiration), [when for _, when in current])
    last = rule.noncurrent_expiration
    if last is not None and last.newer is None:
        name = "NoncurrentVersionTransition"
        _expires_last("NoncurrentVersionExpiration", name, last.days, [days for _, days in noncurrent])


def _classes(name: str, classes: list[str]) -> None:
    if any(each not in COLDER for each in classes):
        raise malformed()
    if len(set(classes)) < len(classes):
        raise _request(f"'StorageClass' must be different for '{name}' actions in same 'Rule'")


def _order(name: str, moves: list[tuple[str, int | None]] | list[tuple[str, int]]) -> None:
    """A colder class comes later."""
    for (first, first_at), (second, second_at) in combinations(moves, 2):
        if first_at is None or second_at is None:
            continue
        if (RANK[first] < RANK[second]) != (first_at < second_at):
            colder, warmer = (second, first) if RANK[first] < RANK[second] else (first, second)
            raise _argument(
                f"'Days' in the '{name}' action for StorageClass '{colder}' must be greater than 'Days' in the "
                f"'{name}' action for StorageClass '{warmer}'"
            )


def _least_days(days_name: str, name: str, moves: Iterable[tuple[str, int]]) -> None:
    for storage_class, days in moves:
        if storage_class in _INFREQUENT and days < LEAST_DAYS_IN_STANDARD:
            raise _argument(
                f"'{days_name}' in {name} action must be greater than or equal to {LEAST_DAYS_IN_STANDARD} for "
                f"storageClass '{storage_class}'"
            )


def _dates_or_days(expiration: Expiration | None, transitions: tuple[Transition, ...]) -> None:
    dated = [each.at_ms is not None for each in transitions]
    if expiration is not None and expiration.expired_marker is None:
        dated.append(expiration.at_ms is not None)
    if any(dated) and not all(dated):
        raise _request(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule. 'Date' and "
            "'Days' may not be mixed in a rule."
        )


def _after(expiration: Expiration | None) -> int | None:
    if expiration is None:
        return None
    return expiration.at_ms if expiration.days is None else expiration.days


def _expires_last(expiration: str, transition: str, expires: int | None, moves: Iterable[int | None]) -> None:
    if expires is not None and any(at is not None and at >= expires for at in moves):
        raise _argument(f"'Days' in the {expiration} action must be greater than 'Days' in the {transition} action")
