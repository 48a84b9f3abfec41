"""May the store put an object of its own (an access log, an inventory) into a bucket on behalf of another one.

The owner of the target says so, to the service that writes and for the bucket it writes of: in the target's policy,
with that bucket and its account as `aws:SourceArn` and `aws:SourceAccount`, or by a grant to the group of log delivery.
Who merely knows a bucket's name cannot have it filled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import bucket_config
from cyxcloud.objects.authorize import Decision, Resource, authorize
from cyxcloud.objects.bucket_rules import rules_of
from cyxcloud.objects.policy_parse import S3_ARN
from cyxcloud.objects.principal import service_principal
from cyxcloud.objects.rights import Permission
from cyxcloud.objects.store import Store


@dataclass(frozen=True, slots=True)
class Source:
    """The bucket that it is about; `account` is its owner's canonical id."""

    account: str
    region: str
    bucket: str


def source_of(store: Store, bucket: BucketRow) -> Source:
    owner = store.accounts.find(bucket.account)
    return Source("" if owner is None else owner.canonical_id, bucket.region, bucket.name)


def may_deliver(
    store: Store, service: str, source: Source, target: BucketRow, prefix: str, *, key: str | None = None
) -> bool:
    """Under a prefix, and to a key where it is known. A policy that names the prefix itself means what is under it."""
    rules = rules_of(bucket_config.of(store, target), target)
    facts = _facts(service, source)

    def ask(asked: str) -> Decision:
        resource = Resource(target.name, target.account, asked.encode())
        return authorize(service_principal(service), Permission.PUT_OBJECT, resource, rules, facts)

    at_prefix = ask(prefix)
    at_key = at_prefix if key is None else ask(key)
    return not at_key.is_explicit_deny and (at_key.allowed or at_prefix.allowed)


def _facts(service: str, source: Source) -> Callable[[str], tuple[str, ...] | None]:
    known = {
        "aws:sourceaccount": (source.account,),
        "aws:sourcearn": (f"{S3_ARN}{source.bucket}",),
        "aws:principalisawsservice": ("true",),
        "aws:principalservicename": (service,),
        "aws:securetransport": ("true",),
        # What is delivered is the target's owner's; policies that Amazon writes for this ask for it.
        "s3:x-amz-acl": ("bucket-owner-full-control",),
    }
    return known.get
