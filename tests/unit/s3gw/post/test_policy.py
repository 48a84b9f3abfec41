from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gw.errors import Code, S3Error
from s3gw.post.policy import MAX_SIZE, Policy, check_policy, parse_policy

LATER = "2030-01-01T00:00:00Z"
NOW_MS = 1_800_000_000_000


def encoded(document: Any) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.b64encode(text.encode()).decode()


def policy(*conditions: Any) -> Policy:
    return parse_policy(encoded({"expiration": LATER, "conditions": list(conditions)}))


def test_policy_allows_what_its_conditions_say() -> None:
    found = policy(
        {"bucket": "b"}, ["starts-with", "$key", "user/"], {"ACL": "private"}, ["content-length-range", 1, "10"]
    )
    check_policy(found, {"bucket": "b", "key": "user/x", "acl": "private", "file": "", "x-ignore-y": "z"}, NOW_MS)
    assert (found.least, found.most) == (1, 10)
    assert policy().most == MAX_SIZE


@pytest.mark.parametrize(
    ("condition", "name", "value", "allowed"),
    [
        (["eq", "$acl", "public-read"], "acl", "public-read", True),
        (["eq", "$acl", "public-read"], "acl", "public-read-write", False),
        (["Starts-With", "$Key", "a"], "key", "ab", True),
        (["starts-with", "$key", "a"], "key", "ba", False),
        (["starts-with", "$x", ""], "x", "anything", True),
        (["starts-with", "$Content-Type", "image/"], "content-type", "image/jpg, image/gif", True),
        (["starts-with", "$Content-Type", "image/"], "content-type", "image/jpg,text/html", False),
        ({"x-amz-meta-tag": ""}, "x-amz-meta-tag", "given", False),
        (["eq", "acl", "private"], "acl", "private", False),
        (["starts-with", "$", ""], "acl", "private", False),
    ],
)
def test_condition(condition: Any, name: str, value: str, *, allowed: bool) -> None:
    found = policy(condition)
    if allowed:
        check_policy(found, {name: value}, NOW_MS)
        return
    with pytest.raises(S3Error, match="Policy Condition failed") as refused:
        check_policy(found, {name: value}, NOW_MS)
    assert refused.value.code is Code.ACCESS_DENIED


def test_condition_of_a_missing_field_fails() -> None:
    with pytest.raises(S3Error, match="Policy Condition failed"):
        check_policy(policy(["starts-with", "$x-amz-meta-foo", "bar"]), {}, NOW_MS)


def test_field_without_a_condition_is_refused() -> None:
    with pytest.raises(S3Error, match="Extra input fields: bucket, x-amz-meta-a"):
        check_policy(policy({"key": "k"}), {"key": "k", "bucket": "b", "x-amz-meta-a": "1"}, NOW_MS)


def test_policy_expires() -> None:
    found = policy()
    check_policy(found, {}, found.expires_ms - 1)
    with pytest.raises(S3Error, match="Policy expired"):
        check_policy(found, {}, found.expires_ms)


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        "[]",
        {"conditions": []},
        {"EXPIRATION": LATER, "conditions": []},
        {"expiration": "2030-01-01 00:00:00+00:00", "conditions": []},
        {"expiration": 7, "conditions": []},
        {"expiration": LATER, "conditions": [], "extra": "field"},
        {"expiration": LATER},
        {"expiration": LATER, "CONDITIONS": []},
        {"expiration": LATER, "conditions": {}},
        *(
            {"expiration": LATER, "conditions": [each]}
            for each in (
                {},
                {"a": "b", "c": "d"},
                {"acl": 1},
                "eq",
                None,
                [],
                ["eq", "$acl"],
                ["ends-with", "$key", "x"],
                ["content-length-range", 0],
                ["content-length-range", -1, 0],
                ["content-length-range", 0, True],
                ["content-length-range", 0, 1, 2],
            )
        ),
    ],
)
def test_parse_of_an_invalid_policy_is_refused(document: Any) -> None:
    with pytest.raises(S3Error, match="Invalid Policy") as refused:
        parse_policy(encoded(document))
    assert refused.value.status == 400


def test_parse_takes_escapes_that_json_does_not_know() -> None:
    text = '{"expiration": "' + LATER + '", "conditions": [{"a": "\\$x\\\\$y\\v"}]}'
    assert parse_policy(encoded(text)).conditions[0].value == "$x\\$y\x0b"


@given(st.binary())
def test_fuzzed_policy_is_refused(noise: bytes) -> None:
    with pytest.raises(S3Error) as refused:
        parse_policy(base64.b64encode(noise).decode())
    assert refused.value.status == 400


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(st.lists(_ANY, max_size=4))
def test_fuzzed_conditions_are_read_or_refused(conditions: list[Any]) -> None:
    refusal: S3Error | None = None
    try:
        found = policy(*conditions)
    except S3Error as refused:
        refusal = refused
    else:
        assert len(found.conditions) <= len(conditions)
    assert refusal is None or refusal.status == 400
