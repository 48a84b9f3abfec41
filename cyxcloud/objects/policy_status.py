"""Whether a bucket's policy lets the public in (pure).

An Allow is public unless whom it names, or what it demands, is fixed: a value that somebody owns or controls. A range
of addresses is fixed unless it is a good part of the Internet.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

import ipaddress

from cyxcloud.objects.policy import Effect, Policy, Statement
from cyxcloud.objects.policy_conditions import Quantifier, Test

_FIXED_KEYS = frozenset(
    (
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:sourceorgid",
        "aws:principalorgid",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:userid",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
)
_FIXING = frozenset(("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"))
_SOURCE_IP = "aws:sourceip"
# Broader ranges than these are the public.
_WIDEST_V4, _WIDEST_V6 = 8, 32


def is_public(policy: Policy | None) -> bool:
    return policy is not None and any(_admits_anybody(each) for each in policy.statements)


def _admits_anybody(statement: Statement) -> bool:
    if statement.effect is not Effect.ALLOW or statement.principals is None:
        return False
    if not (statement.principals.everyone or statement.principals.anybody or statement.not_principals):
        return False
    return not any(_fixes(test) for test in statement.tests)


def _fixes(test: Test) -> bool:
    operator = test.operator
    if operator.negated or operator.if_exists or operator.quantifier is Quantifier.ALL:
        return False
    if test.key == _SOURCE_IP:
        return operator.name == "IpAddress" and all(map(_is_narrow, test.values))
    return test.key in _FIXED_KEYS and operator.name in _FIXING and all(map(_is_fixed, test.values))


def _is_fixed(value: str) -> bool:
    return bool(value) and not any(each in value for each in ("*", "?", "${"))


def _is_narrow(value: str) -> bool:
    network = ipaddress.ip_network(value, strict=False)
    return network.prefixlen >= (_WIDEST_V4 if network.version == 4 else _WIDEST_V6)
