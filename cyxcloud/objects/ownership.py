"""Whose an object is, and which list counts (pure): a bucket's own list, and its ownership controls.

By default the writer owns what he writes. Under BucketOwnerPreferred he gives it to the bucket's owner by the canned
list bucket-owner-full-control; under BucketOwnerEnforced everything in the bucket is its owner's and no list counts,
also of what was written before. What is stored stays as it was written, so lists count again when the rule goes.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cyxcloud.core.ids import AccountId
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import acl
from cyxcloud.objects.acl import Grants
from cyxcloud.objects.bucket_config import BucketConfig, ConfigKey


class Ownership(StrEnum):
    OBJECT_WRITER = "ObjectWriter"
    BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
    BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"


@dataclass(frozen=True, slots=True)
class OwnershipControls:
    rule: Ownership


@dataclass(frozen=True, slots=True)
class BucketAcl:
    """The list of the bucket itself; there is none where it is private."""

    grants: Grants


CONTROLS = ConfigKey("ownership", OwnershipControls)
BUCKET_ACL = ConfigKey("acl", BucketAcl)


class Owned(NamedTuple):
    """Something's owner, and its list as it counts (None: private)."""

    owner: AccountId
    grants: Grants | None = None


def rule_of(config: BucketConfig) -> Ownership:
    controls = config.get(CONTROLS)
    return Ownership.OBJECT_WRITER if controls is None else controls.rule


def of_bucket(config: BucketConfig, bucket: BucketRow) -> Owned:
    stored = config.get(BUCKET_ACL)
    if stored is None or rule_of(config) is Ownership.BUCKET_OWNER_ENFORCED:
        return Owned(bucket.account)
    return Owned(bucket.account, stored.grants)


def of_object(config: BucketConfig, bucket: BucketRow, stored: Owned) -> Owned:
    """`stored`: the account and the list that its version carries."""
    if stored.owner == bucket.account and stored.grants is None:
        return stored
    return Owned(bucket.account) if rule_of(config) is Ownership.BUCKET_OWNER_ENFORCED else stored


def of_new_object(config: BucketConfig, bucket: BucketRow, asked: Owned, bucket_owner_id: str, writer_id: str) -> Owned:
    """`asked`: the writer, and the list that he asks for; both ids are canonical."""
    rule = rule_of(config)
    if rule is Ownership.BUCKET_OWNER_ENFORCED:
        return Owned(bucket.account)
    gives = asked.grants is not None and asked.grants == acl.expand(
        acl.BUCKET_OWNER_FULL_CONTROL, writer_id, bucket_owner_id
    )
    return Owned(bucket.account) if rule is Ownership.BUCKET_OWNER_PREFERRED and gives else asked
