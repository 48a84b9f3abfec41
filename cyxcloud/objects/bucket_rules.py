"""All that a bucket's configurations say of who may do what with it, compiled once a revision.

What is stored and cannot be read (another version wrote it, or it is damaged) closes the bucket: `unreadable` denies
everybody everything, but for the owner who puts it right.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects.access_block import NOTHING_BLOCKED, PUBLIC_ACCESS_BLOCK, PublicAccessBlock
from cyxcloud.objects.acl import Grants
from cyxcloud.objects.bucket_config import BucketConfig, ConfigKey, UnreadableConfig
from cyxcloud.objects.ownership import BUCKET_ACL, Ownership, rule_of
from cyxcloud.objects.policy import Policy
from cyxcloud.objects.policy_parse import MalformedPolicy, parse_bucket_policy
from cyxcloud.objects.policy_status import is_public


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The very text that was put, white space and all."""

    text: str


POLICY = ConfigKey("policy", StoredPolicy)


@dataclass(frozen=True, slots=True)
class BucketRules:
    """`acl` None is the private list. Under `acls_disabled` no list counts and all objects are the bucket owner's."""

    policy: Policy | None = None
    policy_is_public: bool = False
    block: PublicAccessBlock = NOTHING_BLOCKED
    acl: Grants | None = None
    acls_disabled: bool = False
    unreadable: str = ""

    @property
    def binds_owner(self) -> bool:
        """Whether even the owner has to be asked about."""
        return self.policy is not None or bool(self.unreadable)


NO_RULES = BucketRules()


def rules_of(config: BucketConfig, bucket: BucketRow) -> BucketRules:
    def make(config: BucketConfig) -> BucketRules:
        try:
            return _compile(config, bucket.name)
        except (UnreadableConfig, MalformedPolicy) as error:
            return BucketRules(unreadable=str(error))

    return config.derived("rules", make)


def _compile(config: BucketConfig, bucket: str) -> BucketRules:
    stored = config.get(POLICY)
    policy = None if stored is None else parse_bucket_policy(stored.text.encode(), bucket)
    own_list = config.get(BUCKET_ACL)
    return BucketRules(
        policy,
        is_public(policy),
        config.get(PUBLIC_ACCESS_BLOCK) or NOTHING_BLOCKED,
        None if own_list is None else own_list.grants,
        rule_of(config) is Ownership.BUCKET_OWNER_ENFORCED,
    )
