"""Policies as they are written: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyxcloud.objects.policy import NOBODY, Caller, Effect, Policy, Question
from cyxcloud.objects.policy_parse import (
    MAX_POLICY_BYTES,
    MalformedPolicy,
    parse_bucket_policy,
    parse_identity_policy,
)
from cyxcloud.objects.policy_patterns import nothing

STATEMENT = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::bucket/*",
}
ALT = Caller(frozenset({"alt"}), frozenset({"alt:user/alt", ":user/alt"}))


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def of(*statements: Any, **fields: Any) -> bytes:
    return encoded({"Version": "2012-10-17", "Statement": list(statements)} | fields)


def parsed(**fields: Any) -> Policy:
    return parse_bucket_policy(of(STATEMENT | fields), "bucket")


def refused(text: bytes) -> str:
    with pytest.raises(MalformedPolicy) as caught:
        parse_bucket_policy(text, "bucket")
    return str(caught.value)


def effect(policy: Policy, caller: Caller, action: str = "s3:getobject", path: str = "bucket/key") -> Effect | None:
    return policy.answer(Question(caller, action, f"arn:aws:s3:::{path}", nothing)).effect


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Policies must be valid JSON and the first byte must be '{'"),
        (b" {}", "Policies must be valid JSON and the first byte must be '{'"),
        (b"\xef\xbb\xbf{}", "Policies must be valid JSON and the first byte must be '{'"),
        (b'{"Statement": ', "Policies must be valid JSON and the first byte must be '{'"),
        (b'{"Id": NaN}', "Policies must be valid JSON and the first byte must be '{'"),
        (b'{"Id": "\xff"}', "Policies must be valid JSON and the first byte must be '{'"),
        (b'{"Id": ' + b"[" * 20000, "Policies must be valid JSON and the first byte must be '{'"),
        (b"{}", "Missing required field Statement"),
        (encoded({"Statement": []}), "Could not parse the policy: Statement is empty!"),
        (encoded({"Statement": [1]}), "Invalid policy syntax."),
        (of(STATEMENT, Version="2012-10-18"), "The policy must contain a valid version string"),
        (of(STATEMENT, Version=None), "The policy must contain a valid version string"),
        (of(STATEMENT, Version=["2012-10-17"]), "The policy must contain a valid version string"),
        (of(STATEMENT, Id=1), "Invalid policy syntax."),
        (of(STATEMENT, Comment="x"), "Unknown field Comment"),
        (b'{"Statement": 1, "Statement": 2}', "Invalid policy syntax."),
        (b"{" + b" " * MAX_POLICY_BYTES + b"}", "Policy exceeds the maximum allowed document size."),
    ],
)
def test_parse_refuses_what_is_no_policy(text: bytes, message: str) -> None:
    assert refused(text) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Sid": 1}, "Invalid policy syntax."),
        ({"Efect": "Allow"}, "Unknown field Efect"),
        ({"Effect": "allow"}, "Invalid effect: allow"),
        ({"Effect": ["Allow"]}, "Invalid effect: ['Allow']"),
        ({"Principal": {}}, "Invalid principal in policy"),
        ({"Principal": []}, "Invalid principal in policy"),
        ({"Principal": "alt"}, "Invalid principal in policy"),
        ({"Principal": {"AWS": []}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": 1}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "a*"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam:::root"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::alt:user/*"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::alt:group/g"}}, "Invalid principal in policy"),
        ({"Principal": {"Service": "*"}}, "Invalid principal in policy"),
        ({"Principal": {"Everyone": "*"}}, "Invalid principal in policy"),
        ({"NotPrincipal": "*"}, "Invalid policy syntax."),
        ({"Action": []}, "Invalid policy syntax."),
        ({"Action": 7}, "Invalid policy syntax."),
        ({"Action": "s3:GetObjekt"}, "Policy has invalid action"),
        ({"Action": ["s3:GetObject", "ec2:*"]}, "Policy has invalid action"),
        ({"Action": "s3:PutObject", "NotAction": "s3:*"}, "Invalid policy syntax."),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::bucket2"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::bucket/${"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::bucket"}, "Action does not apply to any resource(s) in statement"),
        ({"Action": "s3:ListBucket"}, "Action does not apply to any resource(s) in statement"),
        ({"Condition": []}, "Invalid policy syntax."),
        ({"Condition": {"StringEquals": "x"}}, "Invalid policy syntax."),
        ({"Condition": {"StringEquals": {"aws:username": []}}}, "Invalid policy syntax."),
        ({"Condition": {"StringEquals": {"aws:username": [{}]}}}, "Invalid policy syntax."),
        ({"Condition": {"StringEquals": {"aws:shoesize": "44"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/": "x"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"StringEquals": {"s3:prefix/x": "x"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"StringIs": {"aws:username": "x"}}}, "Invalid Condition type : StringIs"),
    ],
)
def test_parse_refuses_a_statement_that_it_does_not_understand(fields: dict[str, Any], message: str) -> None:
    assert refused(of(STATEMENT | fields)) == message


@pytest.mark.parametrize("name", ["Effect", "Principal", "Action", "Resource"])
def test_parse_refuses_a_statement_without(name: str) -> None:
    found = {key: value for key, value in STATEMENT.items() if key != name}
    assert refused(of(found)) == f"Missing required field {name}"


def test_parse_refuses_to_allow_all_but_some() -> None:
    found = {key: value for key, value in STATEMENT.items() if key != "Principal"} | {"NotPrincipal": {"AWS": "alt"}}
    assert refused(of(found)) == "Allow with NotPrincipal is not allowed."
    denying = parse_bucket_policy(of(found | {"Effect": "Deny"}), "bucket")
    assert effect(denying, NOBODY) is Effect.DENY
    assert effect(denying, ALT) is None


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": ["arn:aws:iam::other:root", "*"]},
        {"AWS": "alt"},
        {"AWS": "arn:aws:iam::alt:root"},
        {"AWS": "arn:aws:iam::alt:user/alt"},
        {"AWS": "arn:aws:iam:::user/alt"},
        {"CanonicalUser": ["alt", "other"]},
        {"Service": "logging.s3.amazonaws.com", "AWS": "alt"},
    ],
)
def test_parse_principals_that_name_an_account(principal: Any) -> None:
    assert effect(parsed(Principal=principal), ALT) is Effect.ALLOW


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "arn:aws:iam::other:root"},
        {"AWS": "other"},
        {"Service": "alt.amazonaws.com"},
        {"Federated": "alt"},
        {"AWS": "arn:aws:iam::alt:user/somebody"},
    ],
)
def test_parse_principals_that_name_others(principal: Any) -> None:
    assert effect(parsed(Principal=principal), ALT) is None


def test_parse_everybody_and_services() -> None:
    service = Caller(service="logging.s3.amazonaws.com")
    assert effect(parsed(Principal="*"), service) is Effect.ALLOW
    assert effect(parsed(Principal={"AWS": "*"}), service) is None
    assert effect(parsed(Principal={"AWS": "*"}), NOBODY) is Effect.ALLOW
    assert effect(parsed(Principal={"Service": service.service}), service) is Effect.ALLOW
    assert effect(parsed(Principal={"Service": service.service}), NOBODY) is None


def test_parse_actions_whatever_their_case_and_with_wildcards() -> None:
    assert effect(parsed(Action="S3:gETobject"), ALT) is Effect.ALLOW
    for action in ("s3:Get*", "s3:*", "*", ["s3:PutObject", "s3:GetObjec?"]):
        assert effect(parsed(Action=action), ALT) is Effect.ALLOW
    assert effect(parsed(Action="s3:Put*"), ALT) is None


def test_parse_not_action_and_not_resource() -> None:
    found = {key: value for key, value in STATEMENT.items() if key not in ("Action", "Resource")}
    policy = parse_bucket_policy(
        of(found | {"NotAction": "s3:Put*", "NotResource": "arn:aws:s3:::bucket/private/*"}), "bucket"
    )
    assert effect(policy, ALT) is Effect.ALLOW
    assert effect(policy, ALT, "s3:putobject") is None
    assert effect(policy, ALT, path="bucket/private/key") is None


@pytest.mark.parametrize(
    "resource", ["arn:aws:s3:::*", "arn:aws:s3:::buck*", "arn:aws:s3:::b*/key", "arn:aws:s3:::bucke?/*"]
)
def test_parse_resources_that_stand_for_the_bucket(resource: str) -> None:
    assert effect(parsed(Resource=resource), ALT) is Effect.ALLOW


def test_parse_a_single_statement_and_an_older_version() -> None:
    text = encoded({"Id": "x", "Statement": STATEMENT | {"Resource": "arn:aws:s3:::bucket/${aws:username}"}})
    policy = parse_bucket_policy(text, "bucket")
    # Variables came with the newer version; here the text stands for itself.
    assert effect(policy, ALT, path="bucket/${aws:username}") is Effect.ALLOW


def test_parse_values_without_quotes() -> None:
    condition = {"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"s3:max-keys": 10}}
    policy = parsed(Condition=condition)
    facts = {"aws:securetransport": ("true",), "s3:max-keys": ("9",)}
    question = Question(ALT, "s3:getobject", "arn:aws:s3:::bucket/key", facts.get)
    assert policy.answer(question).effect is Effect.ALLOW
    assert effect(policy, ALT) is None


def test_parse_an_identity_policy() -> None:
    statement = {"Effect": "Allow", "Action": ["s3:*", "ec2:Describe*"], "Resource": "*"}
    policy = parse_identity_policy(of(statement))
    assert effect(policy, ALT) is Effect.ALLOW
    with pytest.raises(MalformedPolicy, match="should not specify a principal"):
        parse_identity_policy(of(STATEMENT))


# Fuzz (R28): whatever is sent, a policy comes out of it or a refusal, soon.

WORDS = st.sampled_from(
    [
        *STATEMENT.values(),
        *("Deny", "s3:*", "arn:aws:s3:::bucket", "${aws:username}", "*" * 50, "AWS", "2012-10-17", "true", "10"),
        *("aws:SourceIp", "s3:prefix", "10.0.0.0/8", "2026-01-01", "s3:ExistingObjectTag/a", "x" * 200, "\ud800"),
    ]
)
NAMES = st.sampled_from(
    [
        *("Version", "Id", "Statement", "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
        *("Resource", "NotResource", "Condition", "AWS", "Service", "CanonicalUser", "StringLike", "IpAddress"),
        *("ForAllValues:StringEqualsIfExists", "Null", "NumericLessThan", "DateEquals", "ArnLike", "aws:SourceIp"),
    ]
)
DOCUMENTS = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Principal": DOCUMENTS | st.just("*")},
    optional={
        "Action": DOCUMENTS | st.just("s3:*"),
        "Resource": DOCUMENTS | st.just(["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]),
        "Condition": st.dictionaries(NAMES, st.dictionaries(NAMES, DOCUMENTS, max_size=2), max_size=2),
    },
)


def decided_or_refused(text: bytes) -> None:
    began = time.process_time()
    try:
        policy = parse_bucket_policy(text, "bucket")
    except MalformedPolicy:
        pass
    else:
        facts = {"aws:sourceip": ("10.0.0.1",), "s3:prefix": ("a" * 1024,)}
        for caller in (NOBODY, ALT, Caller(service="x.amazonaws.com")):
            policy.answer(Question(caller, "s3:getobject", "arn:aws:s3:::bucket/" + "a" * 1024, facts.get))
    assert time.process_time() - began < 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ("{" + text).encode(errors="replace")))
@example(b"{" * 10000)
@example(b'{"a":' * 4000)
@example(b'{"Id": ' + b"9" * 20000 + b"}")
def test_parse_any_bytes(text: bytes) -> None:
    decided_or_refused(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(STATEMENTS, max_size=3) | DOCUMENTS)
def test_parse_any_document(statements: Any) -> None:
    decided_or_refused(of(STATEMENT, Statement=statements))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_parse_a_damaged_policy(data: st.DataObject) -> None:
    text = bytearray(of(STATEMENT | {"Condition": {"StringLike": {"s3:prefix": "a*"}}}))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    decided_or_refused(bytes(text))
