from __future__ import annotations

import json
from typing import Any

import pytest

from cyxcloud.objects.policy_parse import parse_bucket_policy
from cyxcloud.objects.policy_status import is_public


def public(**fields: Any) -> bool:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"} | fields
    return is_public(parse_bucket_policy(json.dumps({"Version": "2012-10-17", "Statement": statement}).encode(), "b"))


def test_is_public_by_its_principal() -> None:
    assert public()
    assert public(Principal={"AWS": ["alt", "*"]})
    assert not public(Principal={"AWS": "alt"})
    assert not public(Principal={"Service": "logging.s3.amazonaws.com"})
    assert not public(Effect="Deny")
    assert not is_public(None)


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"IpAddress": {"aws:SourceIp": ["192.0.2.1", "2001:db8::/32"]}},
        {"StringEquals": {"aws:SourceAccount": "main"}},
        {"StringLike": {"aws:PrincipalOrgID": "o-1"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::b"}},
        {"ForAnyValue:StringEquals": {"aws:SourceVpce": "vpce-1"}},
        {
            "StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "key"},
            "Bool": {"aws:SecureTransport": True},
        },
    ],
)
def test_is_not_public_where_a_condition_fixes_who_it_is(condition: Any) -> None:
    assert not public(Condition=condition)


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "128.0.0.0/1"]}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
        {"StringLike": {"aws:SourceAccount": "*"}},
        {"StringEquals": {"aws:userid": "${aws:userid}"}},
        {"StringNotEquals": {"aws:SourceAccount": "main"}},
        {"StringEqualsIfExists": {"aws:SourceAccount": "main"}},
        {"ForAllValues:StringEquals": {"aws:SourceVpce": "vpce-1"}},
        {"StringEquals": {"aws:Referer": "http://example.org/"}},
        {"Null": {"aws:SourceAccount": "false"}},
    ],
)
def test_is_public_where_a_condition_fixes_nothing(condition: Any) -> None:
    assert public(Condition=condition)
