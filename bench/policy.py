"""What a bucket's policy costs a request: a decision by 1, 10 and 100 statements, and none for the owner."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from bench.micro import best
from cyxcloud.core.ids import AccountId
from cyxcloud.objects.authorize import Resource, authorize
from cyxcloud.objects.bucket_rules import NO_RULES, BucketRules
from cyxcloud.objects.policy_parse import parse_bucket_policy
from cyxcloud.objects.principal import Principal
from cyxcloud.objects.rights import Permission

OWNER, CALLER = Principal(AccountId(1), "owner"), Principal(AccountId(2), "caller")
OBJECT = Resource("bucket", AccountId(1), b"folder/of/some/key.txt", AccountId(1))
FACTS = {"aws:sourceip": ("192.0.2.7",), "aws:securetransport": ("true",)}.get


def policy_text(statements: int) -> bytes:
    """The last one allows; each before names the caller, too, and is missed by its resource or by its condition."""
    found = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "caller"},
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": "arn:aws:s3:::bucket/*" if number % 2 else f"arn:aws:s3:::bucket/{number}/*",
            "Condition": {"IpAddress": {"aws:SourceIp": f"10.{number}.0.0/16"}},
        }
        for number in range(statements - 1)
    ]
    last = {"Effect": "Allow", "Principal": "*", "Action": "s3:Get*", "Resource": "arn:aws:s3:::bucket/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [*found, last]}).encode()


def policies(_scratch: Path) -> None:
    """Decisions in microseconds, and what it takes to compile a policy (once a revision)."""
    for statements in (1, 10, 100):
        text = policy_text(statements)
        rules = BucketRules(parse_bucket_policy(text, "bucket"))
        assert authorize(CALLER, Permission.GET_OBJECT, OBJECT, rules, FACTS).allowed
        decided = best(partial(authorize, CALLER, Permission.GET_OBJECT, OBJECT, rules, FACTS))
        compiled = best(partial(parse_bucket_policy, text, "bucket"))
        print(
            f"policy of {statements:3} statements: {decided * 1e6:8.1f} us to decide, {compiled * 1e6:9.1f} us to compile"
        )
    owner = best(lambda: authorize(OWNER, Permission.GET_OBJECT, OBJECT, NO_RULES, FACTS))
    print(f"owner, nothing configured:  {owner * 1e6:8.2f} us to decide")
