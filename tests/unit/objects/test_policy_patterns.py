from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects.policy_patterns import BadVariable, Choice, Pattern, nothing

FEW = st.text("ab*?", max_size=8)


@given(FEW, st.text("ab", max_size=10))
def test_pattern_matches_as_its_regular_expression(pattern: str, text: str) -> None:
    source = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert Pattern(pattern).matches(text, nothing) == (re.fullmatch(source, text, re.DOTALL) is not None)


@given(st.text(max_size=20))
def test_pattern_without_wildcards_is_the_text_itself(text: str) -> None:
    assert Pattern(text, wild=False, variables=False).matches(text, nothing)
    assert Pattern("*" + text[:0], variables=False).matches(text, nothing)


def test_pattern_of_many_stars_takes_no_time() -> None:
    began = time.process_time()
    assert not Pattern("*a" * 5000 + "b").matches("a" * 20000, nothing)
    assert not Pattern("*?a" * 3000 + "b").matches("a" * 1024, nothing)
    assert time.process_time() - began < 2


def test_pattern_with_a_variable() -> None:
    facts = {"aws:username": ("ada",), "aws:userid": ("*",)}.get
    home = Pattern("arn:aws:s3:::bucket/${aws:UserName}/*")
    assert home.matches("arn:aws:s3:::bucket/ada/key", facts)
    assert not home.matches("arn:aws:s3:::bucket/bob/key", facts)
    assert not home.matches("arn:aws:s3:::bucket/ada/key", nothing)
    # What stands for a variable is no pattern.
    assert Pattern("x/${aws:userid}").matches("x/*", facts)
    assert not Pattern("x/${aws:userid}").matches("x/y", facts)


def test_pattern_with_a_default_and_escapes() -> None:
    assert Pattern("${aws:username, 'guest'}").matches("guest", nothing)
    assert not Pattern("${aws:username, 'guest'}").matches("guest", {"aws:username": ("a",)}.get)
    assert not Pattern("${aws:username, 'guest'}").matches("guest", {"aws:username": ("a", "guest")}.get)
    escaped = Pattern("${*}${?}${$}")
    assert escaped.matches("*?$", nothing)
    assert not escaped.matches("abc", nothing)
    assert Pattern("${aws:username}", variables=False).matches("${aws:username}", nothing)


@pytest.mark.parametrize("text", ["${", "${}", "${aws}", "${aws:username", "${aws:username}${", "${a b:c}"])
def test_pattern_with_a_broken_variable(text: str) -> None:
    with pytest.raises(BadVariable):
        Pattern(text)


def test_pattern_is_fixed() -> None:
    assert Pattern("s3:getobject").fixed == "s3:getobject"
    assert Pattern("${*}").fixed == "*"
    for text in ("s3:get*", "s3:getobjec?", "${aws:username}"):
        assert Pattern(text).fixed is None


def test_choice_matches_what_one_of_its_patterns_does() -> None:
    choice = Choice([Pattern("a"), Pattern("b*"), Pattern("${aws:username}")])
    assert [choice.matches(text, {"aws:username": ("c",)}.get) for text in ("a", "bb", "c", "d", "ab")] == [
        *(True, True, True),
        *(False, False),
    ]
