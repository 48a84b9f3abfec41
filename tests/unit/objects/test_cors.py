from __future__ import annotations

import pytest

from cyxcloud.objects.cors import CorsRule, CorsRules, match

RULES = CorsRules(
    (
        CorsRule(("GET",), ("*suffix",)),
        CorsRule(("GET",), ("start*end",)),
        CorsRule(("PUT",), ("http://a.example",), headers=("x-amz-*", "Content-Type")),
        CorsRule(("PUT",), ("*",), headers=("*",)),
    )
)


@pytest.mark.parametrize(
    ("origin", "method", "headers", "rule"),
    [
        ("foo.suffix", "GET", (), 0),
        ("suffix", "GET", (), 0),
        ("startend", "GET", (), 1),
        ("start12end", "GET", (), 1),
        ("startnd", "GET", (), None),
        ("0startend", "GET", (), None),
        ("foo.suffix", "DELETE", (), None),
        ("http://a.example", "PUT", ("X-Amz-Meta-A", "content-type"), 2),
        ("http://a.example", "PUT", ("x-other",), 3),
        ("foo.suffix", "GET", ("x-amz-meta-a",), None),
        ("HTTP://A.EXAMPLE", "PUT", (), 3),
    ],
)
def test_match_takes_the_first_rule_that_allows_all(
    origin: str, method: str, headers: tuple[str, ...], rule: int | None
) -> None:
    found = match(RULES, origin, method, headers)
    assert (found and RULES.rules.index(found.rule)) == rule
    if found:
        assert found.origin == ("*" if rule == 3 else origin)


def test_match_does_not_let_a_wildcard_overlap() -> None:
    assert match(CorsRules((CorsRule(("GET",), ("aba*aba",)),)), "ababa", "GET") is None
