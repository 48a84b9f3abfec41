"""What a configuration of notifications may say, and which changes it wants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.objects.notification import (
    NOTIFICATION,
    InvalidNotification,
    Kind,
    NotificationConfig,
    Rule,
    check,
    unknown,
)

ARN = "arn:cyxcloud:s3:::webhook:hook"
RULE = Rule("one", Kind.TOPIC, ARN, ("s3:ObjectCreated:*",))


def rule(name: str = "one", *events: str, prefix: str | None = None, suffix: str | None = None) -> Rule:
    return Rule(name, Kind.QUEUE, ARN, events or ("s3:ObjectCreated:*",), prefix, suffix)


@pytest.mark.parametrize(
    ("events", "event", "wanted"),
    [
        (("s3:ObjectCreated:*",), "ObjectCreated:Put", True),
        (("s3:ObjectCreated:*",), "ObjectCreated:CompleteMultipartUpload", True),
        (("s3:ObjectCreated:Put",), "ObjectCreated:Copy", False),
        (("s3:ObjectRemoved:*",), "ObjectCreated:Put", False),
        (("s3:ObjectRemoved:*", "s3:ObjectAcl:Put"), "ObjectAcl:Put", True),
        (("s3:LifecycleExpiration:*",), "ObjectRemoved:Delete", False),
        (("s3:LifecycleTransition",), "LifecycleTransition", True),
    ],
)
def test_wants_by_event(events: tuple[str, ...], event: str, *, wanted: bool) -> None:
    assert rule("r", *events).wants(event, b"k") is wanted


@pytest.mark.parametrize(
    ("prefix", "suffix", "key", "wanted"),
    [
        (None, None, "anything", True),
        ("images/", None, "images/a", True),
        ("images/", None, "image", False),
        (None, ".jpg", "a.jpg", True),
        ("a", ".jpg", "b.jpg", False),
        ("my+photos/", None, "my photos/1", True),
        ("%C3%BC", None, "über", True),
        ("ü", None, "über", True),
    ],
)
def test_wants_by_key(prefix: str | None, suffix: str | None, key: str, *, wanted: bool) -> None:
    assert rule(prefix=prefix, suffix=suffix).wants("ObjectCreated:Put", key.encode()) is wanted


@pytest.mark.parametrize(
    ("kind", "arn", "name"),
    [
        (Kind.TOPIC, ARN, "hook"),
        (Kind.QUEUE, "arn:cyxcloud:s3:us-east-1:acct:webhook:a.b-c_d", "a.b-c_d"),
        (Kind.TOPIC, "arn:aws:sns:us-east-1:123456789012:hook", "hook"),
        (Kind.QUEUE, "arn:aws:sqs:us-east-1:123456789012:hook", "hook"),
        (Kind.FUNCTION, "arn:aws:lambda:us-east-1:123456789012:function:hook", "hook"),
        (Kind.FUNCTION, "arn:aws:lambda:us-east-1:123456789012:function:hook:LIVE", "hook"),
        (Kind.TOPIC, "arn:aws:sqs:us-east-1:123456789012:hook", ""),
        (Kind.QUEUE, "arn:aws:sns:us-east-1:123456789012:hook", ""),
        (Kind.FUNCTION, "arn:aws:lambda:us-east-1:123456789012:hook", ""),
        (Kind.TOPIC, "hook", ""),
        (Kind.TOPIC, ARN + "\n", ""),
    ],
)
def test_webhook_of_an_arn(kind: Kind, arn: str, name: str) -> None:
    assert replace(RULE, kind=kind, arn=arn).webhook == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (rule("a"), rule("b")),
        (rule("a", "s3:ObjectCreated:*"), rule("b", "s3:ObjectCreated:Put")),
        (rule("a", prefix="images/"), rule("b", prefix="images/old/")),
        (rule("a", suffix=".jpg"), rule("b", suffix="x.jpg")),
        (rule("a", prefix="images/"), rule("b", suffix=".jpg")),
        (rule("a", prefix="a", suffix=".jpg"), rule("b", prefix="ab", suffix="jpg")),
        (rule("a", prefix="a+b"), rule("b", prefix="a%20b")),
    ],
)
def test_check_of_rules_that_both_get_an_event_refuses(first: Rule, second: Rule) -> None:
    for pair in ((first, second), (second, first)):
        with pytest.raises(InvalidNotification, match="overlap"):
            check(pair)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (rule("a"), rule("b", "s3:ObjectRemoved:*")),
        (rule("a", prefix="images/"), rule("b", prefix="videos/")),
        (rule("a", suffix=".jpg"), rule("b", suffix=".png")),
        (rule("a", prefix="i", suffix=".jpg"), rule("b", prefix="i", suffix=".png")),
        (rule("a", "s3:ObjectCreated:Put"), rule("b", "s3:ObjectCreated:Copy")),
    ],
)
def test_check_of_rules_that_share_nothing_passes(first: Rule, second: Rule) -> None:
    check([first, second])


@pytest.mark.parametrize(
    ("rules", "match"),
    [
        ([rule("a", "s3:ObjectEaten:*")], "event is not supported"),
        ([rule("a", "s3:*")], "event is not supported"),
        ([rule("a", "ObjectCreated:*")], "event is not supported"),
        ([replace(RULE, arn="arn:aws:sns:x")], "ARN is not well formed"),
        ([rule("a", prefix="p" * 1025)], "1024"),
        ([rule("i" * 256)], "255"),
        ([rule("a", prefix="x"), rule("a", prefix="y")], "unique"),
        ([rule(f"r{n}", prefix=f"{n:03}") for n in range(101)], "100"),
    ],
)
def test_check_of_what_s3_refuses(rules: list[Rule], match: str) -> None:
    with pytest.raises(InvalidNotification, match=match):
        check(rules)


def test_unknown_names_what_leads_nowhere() -> None:
    rules = [RULE, replace(RULE, arn="arn:aws:sns:r:1:other")]
    assert unknown(rules, frozenset({"hook"})) == ["arn:aws:sns:r:1:other"]


def test_config_is_stored_and_read() -> None:
    config = NotificationConfig((RULE, rule("b", prefix="p", suffix="")))
    assert NOTIFICATION.decode(NOTIFICATION.encode(config)) == config
