"""Tags, locks and going past a lock are rights of their own, beside those to write, read and delete."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import refused

_numbers = itertools.count(1)
LATER = datetime(2140, 1, 1, tzinfo=UTC)
GOVERNANCE: dict[str, Any] = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": LATER}
HOLD: dict[str, Any] = {"ObjectLockLegalHoldStatus": "ON"}


@pytest.fixture(scope="module")
def other(store: InProcessStore) -> Any:
    """A client of an account that owns nothing here."""
    return store.client(*store.add_user("other"))


@pytest.fixture
def locking(client: Any) -> str:
    name = f"rights-{next(_numbers)}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def allow(client: Any, bucket: str, *actions: str, condition: dict[str, Any] | None = None) -> None:
    """Everybody, exactly these."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": [f"s3:{action}" for action in actions],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    if condition is not None:
        statement["Condition"] = condition
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def put(client: Any, bucket: str, **given: Any) -> str:
    version: str = client.put_object(Bucket=bucket, Key="key", Body=b"body", **given)["VersionId"]
    return version


def test_bypass_is_a_right_of_its_own(client: Any, other: Any, locking: str) -> None:
    version = put(client, locking, **GOVERNANCE)
    named = {"Bucket": locking, "Key": "key", "VersionId": version}
    writing = ("DeleteObjectVersion", "DeleteObject", "PutObjectRetention")
    allow(client, locking, *writing)
    with refused("AccessDenied", 403):
        other.delete_object(**named, BypassGovernanceRetention=True)
    with refused("AccessDenied", 403):
        other.put_object_retention(**named, Retention={}, BypassGovernanceRetention=True)
    listed = {"Objects": [{"Key": "key", "VersionId": version}]}
    answer = other.delete_objects(Bucket=locking, Delete=listed, BypassGovernanceRetention=True)
    assert answer["Errors"][0]["Code"] == "AccessDenied"
    allow(client, locking, *writing, "BypassGovernanceRetention")
    with refused("AccessDenied", 403):
        other.delete_object(**named)
    answer = other.delete_objects(Bucket=locking, Delete=listed, BypassGovernanceRetention=True)
    assert [each["Key"] for each in answer["Deleted"]] == ["key"]


@pytest.mark.parametrize(
    ("given", "right"),
    [(GOVERNANCE, "PutObjectRetention"), (HOLD, "PutObjectLegalHold"), ({"Tagging": "a=1"}, "PutObjectTagging")],
)
def test_what_a_new_object_brings_is_a_right_of_its_own(
    client: Any, other: Any, locking: str, given: dict[str, Any], right: str
) -> None:
    put(client, locking)
    source = {"CopySource": {"Bucket": locking, "Key": "key"}, "TaggingDirective": "REPLACE"}
    calls = [
        lambda: put(other, locking, **given),
        lambda: other.create_multipart_upload(Bucket=locking, Key="key", **given),
        lambda: other.copy_object(Bucket=locking, Key="copy", **source, **given),
    ]
    allow(client, locking, "PutObject", "GetObject")
    for call in calls:
        with refused("AccessDenied", 403):
            call()
    allow(client, locking, "PutObject", "GetObject", right)
    for call in calls:
        call()


def test_copy_of_tags_needs_the_right_to_read_and_to_give_them(client: Any, other: Any, locking: str) -> None:
    put(client, locking, Tagging="a=1")
    source = {"Bucket": locking, "Key": "key"}
    rights = ["GetObject", "PutObject", "GetObjectTagging", "PutObjectTagging"]
    for missing in rights[2:]:
        allow(client, locking, *(right for right in rights if right != missing))
        with refused("AccessDenied", 403):
            other.copy_object(Bucket=locking, Key="copy", CopySource=source)
    allow(client, locking, *rights)
    other.copy_object(Bucket=locking, Key="copy", CopySource=source)


def test_reads_tell_of_tags_and_locks_to_who_may_know(client: Any, other: Any, locking: str) -> None:
    put(client, locking, Tagging="a=1", **GOVERNANCE, **HOLD)
    told = {
        "GetObjectTagging": "x-amz-tagging-count",
        "GetObjectRetention": "x-amz-object-lock-mode",
        "GetObjectLegalHold": "x-amz-object-lock-legal-hold",
    }
    for right in ("GetObject", *told):
        allow(client, locking, "GetObject", right)
        headers = other.head_object(Bucket=locking, Key="key")["ResponseMetadata"]["HTTPHeaders"]
        assert [name for name in told.values() if name in headers] == ([told[right]] if right in told else [])


def test_tags_that_may_be_given_are_told_by_a_condition(client: Any, other: Any, locking: str) -> None:
    put(client, locking)
    public = {"StringEquals": {"s3:RequestObjectTag/security": "public"}}
    allow(client, locking, "PutObjectTagging", condition=public)

    def tag(value: str) -> None:
        other.put_object_tagging(Bucket=locking, Key="key", Tagging={"TagSet": [{"Key": "security", "Value": value}]})

    tag("public")
    with refused("AccessDenied", 403):
        tag("secret")
    with refused("AccessDenied", 403):
        other.put_object_tagging(Bucket=locking, Key="key", Tagging={"TagSet": []})


def test_retention_that_may_be_given_is_told_by_a_condition(client: Any, other: Any, locking: str) -> None:
    put(client, locking)
    short = {"NumericLessThan": {"s3:object-lock-remaining-retention-days": "10"}}
    allow(client, locking, "PutObjectRetention", condition=short)
    with refused("AccessDenied", 403):
        other.put_object_retention(
            Bucket=locking, Key="key", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": LATER}
        )
    with refused("NoSuchObjectLockConfiguration", 404):
        client.get_object_retention(Bucket=locking, Key="key")
