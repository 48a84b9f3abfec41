"""Conditions of policies: what a statement demands of a request before it holds (pure).

All tests of a statement must hold. A key that the request says nothing of fails a test, unless the operator is a
negated one, ends in IfExists or is `ForAllValues:`. A value that cannot be read as the operator needs it (no number, no
address) matches nothing. Keys and operators that are not known here are refused when a policy is written: one that was
skipped would allow more than was meant, or deny less.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from functools import lru_cache, partial

from cyxcloud.objects.policy_patterns import Facts, Pattern

# Whether a request's value is one that a policy's value stands for.
Match = Callable[[str, Facts], bool]
# A `Pattern` with or without variables, by the version of the policy's language.
NewPattern = Callable[..., Pattern]
# A policy's value, compiled; raises ValueError where the operator cannot read it.
Compile = Callable[[str, NewPattern], Match]

# One policy may hold the same address against many ranges.
ADDRESSES_KEPT = 256


class Quantifier(Enum):
    NONE = auto()
    ANY = auto()
    ALL = auto()


@dataclass(frozen=True, slots=True)
class Operator:
    """As written, e.g. `ForAllValues:StringNotLikeIfExists`, taken apart."""

    name: str
    quantifier: Quantifier
    negated: bool
    if_exists: bool


@dataclass(frozen=True, slots=True)
class Test:
    """One key under one operator; `matches` are its values, of which one has to hold."""

    operator: Operator
    key: str
    values: tuple[str, ...]
    matches: tuple[Match, ...]

    def holds(self, facts: Facts) -> bool:
        operator = self.operator
        found = facts(self.key)
        if operator.name == "Null":
            absent = "true" if found is None else "false"
            return any(match(absent, facts) for match in self.matches)
        if not found:
            return self._of_nothing()
        fits = [any(match(value, facts) for match in self.matches) != operator.negated for value in found]
        if operator.quantifier is Quantifier.ALL:
            return all(fits)
        if operator.quantifier is Quantifier.ANY:
            return any(fits)
        return all(fits) if operator.negated else any(fits)

    def _of_nothing(self) -> bool:
        operator = self.operator
        if operator.if_exists or operator.quantifier is Quantifier.ALL:
            return True
        return operator.negated and operator.quantifier is Quantifier.NONE


def compile_test(operator: str, key: str, values: tuple[str, ...], *, variables: bool) -> Test:
    """Raises ValueError with what is wrong."""
    parsed = _operator(operator)
    new_pattern = partial(Pattern, variables=variables)
    matches = tuple([_COMPILERS[parsed.name](value, new_pattern) for value in values])
    return Test(parsed, key, values, matches)


_QUANTIFIERS = {"forallvalues": Quantifier.ALL, "foranyvalue": Quantifier.ANY}


def _operator(text: str) -> Operator:
    quantifier_name, colon, name = text.lower().rpartition(":")
    if colon and quantifier_name not in _QUANTIFIERS:
        raise ValueError(f"Invalid Condition type : {text}")
    bare = name.removesuffix("ifexists")
    found = _OPERATORS.get(bare)
    if found is None or (found[0] == "Null" and (colon or bare != name)):
        raise ValueError(f"Invalid Condition type : {text}")
    quantifier = _QUANTIFIERS[quantifier_name] if colon else Quantifier.NONE
    return Operator(found[0], quantifier, negated=found[1], if_exists=bare != name)


def _exact(value: str, new_pattern: NewPattern) -> Match:
    return new_pattern(value, wild=False).matches


def _folded(value: str, new_pattern: NewPattern) -> Match:
    return new_pattern(value, wild=False).matches_folded


def _like(value: str, new_pattern: NewPattern) -> Match:
    return new_pattern(value).matches


def _arn(value: str, new_pattern: NewPattern) -> Match:
    """Part by part, so that a star in an account's place reaches no further."""
    if value == "*":
        return lambda _text, _facts: True
    patterns = [new_pattern(part) for part in _COLON(value, ARN_PARTS - 1)]
    if len(patterns) != ARN_PARTS:
        raise ValueError(f"Invalid ARN in condition: {value}")

    def match(text: str, facts: Facts) -> bool:
        given = text.split(":", ARN_PARTS - 1)
        return len(given) == ARN_PARTS and all(
            pattern.matches(part, facts) for pattern, part in zip(patterns, given, strict=True)
        )

    return match


ARN_PARTS = 6
# A colon within `${...}` parts nothing.
_COLON = re.compile(r":(?![^{}]*\})").split


def _number(compare: Callable[[Decimal, Decimal], bool], value: str, _new_pattern: NewPattern) -> Match:
    limit = _decimal(value)
    if limit is None:
        raise ValueError(f"Invalid number in condition: {value}")

    def match(text: str, _facts: Facts) -> bool:
        given = _decimal(text)
        return given is not None and compare(given, limit)

    return match


_DECIMAL = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})", re.ASCII).fullmatch


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if _DECIMAL(text) else None
    except InvalidOperation:
        return None


def _date(compare: Callable[[Decimal, Decimal], bool], value: str, _new_pattern: NewPattern) -> Match:
    limit = seconds_of(value)
    if limit is None:
        raise ValueError(f"Invalid date in condition: {value}")

    def match(text: str, _facts: Facts) -> bool:
        given = seconds_of(text)
        return given is not None and compare(given, limit)

    return match


_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?)?)?", re.ASCII).fullmatch


def seconds_of(text: str) -> Decimal | None:
    """Of an ISO 8601 date, UTC unless it says otherwise, or of seconds since 1970 (four digits are a year)."""
    if _DATE(text) is None:
        return _decimal(text)
    full = text + "-01" * (2 - text.count("-")) if "T" not in text else text
    try:
        moment = datetime.fromisoformat(full)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Decimal(str(moment.timestamp()))


def _bool(value: str, _new_pattern: NewPattern) -> Match:
    wanted = value.lower()
    if wanted not in ("true", "false"):
        raise ValueError(f"Invalid boolean in condition: {value}")
    return lambda text, _facts: text.lower() == wanted


def _address(value: str, _new_pattern: NewPattern) -> Match:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"Invalid IP address in condition: {value}") from None

    def match(text: str, _facts: Facts) -> bool:
        address = address_of(text)
        return address is not None and address.version == network.version and address in network

    return match


@lru_cache(ADDRESSES_KEPT)
def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address that came over an IPv6 socket is that IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _binary(value: str, _new_pattern: NewPattern) -> Match:
    wanted = _decoded(value)
    if wanted is None:
        raise ValueError(f"Invalid base64 in condition: {value}")
    return lambda text, _facts: _decoded(text) == wanted


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


_COMPARISONS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "Equals": lambda given, limit: given == limit,
    "LessThan": lambda given, limit: given < limit,
    "LessThanEquals": lambda given, limit: given <= limit,
    "GreaterThan": lambda given, limit: given > limit,
    "GreaterThanEquals": lambda given, limit: given >= limit,
}
_COMPILERS: dict[str, Compile] = {
    "StringEquals": _exact,
    "StringEqualsIgnoreCase": _folded,
    "StringLike": _like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": _bool,
    "Null": _bool,
    "IpAddress": _address,
    "BinaryEquals": _binary,
    **{f"Numeric{name}": partial(_number, compare) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": partial(_date, compare) for name, compare in _COMPARISONS.items()},
}
# The name in lower case: the positive operator that it is or negates, and whether it negates.
_OPERATORS: dict[str, tuple[str, bool]] = {name.lower(): (name, False) for name in _COMPILERS} | {
    negated.lower(): (positive, True)
    for negated, positive in {
        "StringNotEquals": "StringEquals",
        "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
        "StringNotLike": "StringLike",
        "ArnNotEquals": "ArnEquals",
        "ArnNotLike": "ArnLike",
        "NotIpAddress": "IpAddress",
        "NumericNotEquals": "NumericEquals",
        "DateNotEquals": "DateEquals",
    }.items()
}
