"""Operators, what a missing key means to each, and several values on either side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects.policy_conditions import compile_test, seconds_of

KEY = "aws:username"
POSITIVE = {
    "StringEquals": ("a", "a", "b"),
    "StringEqualsIgnoreCase": ("Ab", "aB", "b"),
    "StringLike": ("a*c?", "abbcd", "acd0"),
    "NumericEquals": ("10", "10.0", "11"),
    "NumericLessThan": ("10", "9.5", "10"),
    "NumericLessThanEquals": ("10", "10", "10.1"),
    "NumericGreaterThan": ("10", "11", "10"),
    "NumericGreaterThanEquals": ("10", "10", "9"),
    "DateEquals": ("2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00", "2026-01-02T03:04:06Z"),
    "DateLessThan": ("2026-01-02", "2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"),
    "DateGreaterThan": ("1767312000", "2026-01-02T00:00:01Z", "2026-01-02T00:00:00Z"),
    "DateLessThanEquals": ("2026-01-02", "2026-01-02", "2026-01-03"),
    "DateGreaterThanEquals": ("2026", "2026-01-01", "2025-12-31"),
    "Bool": ("true", "True", "false"),
    "IpAddress": ("192.0.2.0/24", "192.0.2.7", "192.0.3.7"),
    "ArnEquals": ("arn:aws:s3:::a*", "arn:aws:s3:::ab", "arn:aws:s3:::b"),
    "ArnLike": ("arn:aws:*:::a", "arn:aws:s3:::a", "arn:aws:s3:x::a"),
    "BinaryEquals": ("AAEC", "AAEC", "AAED"),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def holds(operator: str, values: str | tuple[str, ...], *given: str) -> bool:
    wanted = (values,) if isinstance(values, str) else values
    test = compile_test(operator, KEY, wanted, variables=True)
    return test.holds(lambda key: given if key == KEY and given else None)


@pytest.mark.parametrize("operator", POSITIVE)
def test_holds_positive(operator: str) -> None:
    value, fits, other = POSITIVE[operator]
    assert holds(operator, value, fits)
    assert holds(operator.lower(), value, fits)
    assert not holds(operator, value, other)
    assert not holds(operator, value, "(nonsense)")
    assert not holds(operator, value)
    assert holds(f"{operator}IfExists", value)
    assert holds(f"{operator}IfExists", value, fits)
    assert not holds(f"{operator}IfExists", value, other)


@pytest.mark.parametrize("operator", NEGATED)
def test_holds_negated(operator: str) -> None:
    value, fits, other = POSITIVE[NEGATED[operator]]
    assert not holds(operator, value, fits)
    assert holds(operator, value, other)
    assert holds(operator, value)
    assert not holds(f"{operator}IfExists", value, fits)
    assert holds(f"{operator}IfExists", value)


def test_holds_for_several_values_of_a_policy() -> None:
    assert holds("StringEquals", ("a", "b"), "b")
    assert not holds("StringEquals", ("a", "b"), "c")
    assert not holds("StringNotEquals", ("a", "b"), "b")
    assert holds("StringNotEquals", ("a", "b"), "c")


def test_holds_for_several_values_of_a_request() -> None:
    assert holds("ForAllValues:StringEquals", ("a", "b"), "a", "b")
    assert not holds("ForAllValues:StringEquals", ("a", "b"), "a", "c")
    assert holds("ForAllValues:StringEquals", "a")
    assert holds("ForAnyValue:StringEquals", ("a", "b"), "c", "b")
    assert not holds("ForAnyValue:StringEquals", ("a", "b"), "c", "d")
    assert not holds("ForAnyValue:StringEquals", "a")
    assert holds("ForAnyValue:StringNotEquals", "a", "a", "b")
    assert not holds("ForAnyValue:StringNotEquals", "a", "a")
    assert not holds("ForAnyValue:StringNotEquals", "a")
    assert not holds("ForAllValues:StringNotLike", "a*", "ab", "b")
    assert holds("ForAllValues:StringNotLike", "a*", "c", "b")


def test_holds_null() -> None:
    assert holds("Null", "true")
    assert not holds("Null", "true", "x")
    assert holds("Null", "false", "x")
    assert not holds("Null", "false")


def test_holds_ip_addresses_of_both_kinds() -> None:
    assert holds("IpAddress", "192.0.2.1", "::ffff:192.0.2.1")
    assert holds("IpAddress", "2001:db8::/32", "2001:DB8::1")
    assert not holds("IpAddress", "0.0.0.0/0", "2001:db8::1")
    assert holds("NotIpAddress", "0.0.0.0/0", "2001:db8::1")


def test_holds_with_a_variable_in_a_value() -> None:
    test = compile_test("StringEquals", "s3:prefix", ("home/${aws:username}/",), variables=True)
    facts = {"aws:username": ("ada",), "s3:prefix": ("home/ada/",)}
    assert test.holds(facts.get)
    assert not test.holds((facts | {"aws:username": ("*",)}).get)
    assert not test.holds({"s3:prefix": ("home//",)}.get)


@pytest.mark.parametrize(
    "operator",
    [
        "StringEqual",
        "",
        "IfExists",
        "NullIfExists",
        "ForAnyValue:Null",
        "ForSomeValues:StringEquals",
        "Not:Bool",
        "Equals",
    ],
)
def test_compile_test_refuses_unknown_operators(operator: str) -> None:
    with pytest.raises(ValueError, match="Invalid Condition type"):
        compile_test(operator, KEY, ("true",), variables=True)


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericEquals", "ten"),
        ("NumericEquals", "1e9"),
        ("NumericEquals", "NaN"),
        ("DateEquals", "yesterday"),
        ("DateEquals", "2026-13-01"),
        ("Bool", "yes"),
        ("Null", "maybe"),
        ("IpAddress", "192.0.2.0/33"),
        ("IpAddress", "*"),
        ("ArnLike", "arn:aws:s3"),
        ("BinaryEquals", "*"),
        ("StringLike", "${"),
    ],
)
def test_compile_test_refuses_values_that_the_operator_cannot_read(operator: str, value: str) -> None:
    with pytest.raises(ValueError):
        compile_test(operator, KEY, (value,), variables=True)


@given(st.sampled_from([*POSITIVE, *NEGATED]), st.text(max_size=30))
def test_holds_whatever_a_request_says(operator: str, text: str) -> None:
    value = POSITIVE[NEGATED.get(operator, operator)][0]
    positive = NEGATED.get(operator)
    if positive is not None:
        assert holds(operator, value, text) != holds(positive, value, text)
    else:
        holds(operator, value, text)


def test_seconds_of() -> None:
    assert seconds_of("1970-01-01T00:00:10Z") == 10
    assert seconds_of("1970") == 0
    assert seconds_of("19700") == 19700
    assert seconds_of("x") is None
