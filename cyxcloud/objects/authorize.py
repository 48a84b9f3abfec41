"""May this principal do this to that (pure). The only place that decides; unknown is denied.

Until policies and ACLs are built, a bucket and what is in it belong to its account alone. A session's, a user's, a
group's and a bucket's policies become further inputs here, never a second door.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.ids import AccountId
from cyxcloud.objects.principal import Principal
from cyxcloud.objects.rights import Permission


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is for the trace and the log, never for the one who was refused."""

    allowed: bool
    reason: str


ALLOWED_OWNER = Decision(True, "the account owns the bucket")
ALLOWED_ACCOUNT = Decision(True, "an account may do this for itself")
DENIED_ANONYMOUS = Decision(False, "an unsigned request, and nothing is public")
DENIED_FOREIGN = Decision(False, "the bucket belongs to another account and nothing grants access")
DENIED_UNKNOWN = Decision(False, "no rule covers this permission without a bucket")

# What an account does without there being a bucket yet.
_OWN_STORE = frozenset({Permission.LIST_ALL_MY_BUCKETS, Permission.CREATE_BUCKET})


def authorize(principal: Principal, permission: Permission, bucket_owner: AccountId | None) -> Decision:
    """`bucket_owner` is None where the operation names no bucket, or one that is yet to be made."""
    if principal.account is None:
        return DENIED_ANONYMOUS
    if bucket_owner is None:
        return ALLOWED_ACCOUNT if permission in _OWN_STORE else DENIED_UNKNOWN
    if bucket_owner == principal.account:
        return ALLOWED_OWNER
    return DENIED_FOREIGN
