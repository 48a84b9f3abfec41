"""Access control lists: who besides the owner may do what with a bucket or an object (pure).

A list grants, it never denies. The owner may always read and change it, and holds the rest only by a grant of his own;
a bucket's list says nothing of the objects in it, but that who may write it may replace and remove them.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cyxcloud.core.ids import AccountId
from cyxcloud.objects.principal import Principal
from cyxcloud.objects.rights import Permission, ResourceKind

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
LOG_DELIVERY_SERVICE = "logging.s3.amazonaws.com"
GROUPS = frozenset((ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY))
PUBLIC_GROUPS = frozenset((ALL_USERS, AUTHENTICATED_USERS))

READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL = "READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"
PERMISSIONS = frozenset((READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL))
MAX_GRANTS = 100

# Amazon's own ids: of the account that may read what aws-exec-read names, and of whoever writes without signing.
EC2_CANONICAL_ID = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
ANONYMOUS_CANONICAL_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
# The owner of what was written without a signature. Nobody is this account, and no account row has the number.
ANONYMOUS_ACCOUNT = AccountId(0)


class Grant(NamedTuple):
    """`grantee` is an account's canonical id, or the URI of a group; `permission` as S3 spells it (READ, WRITE,
    READ_ACP, WRITE_ACP, FULL_CONTROL)."""

    grantee: str
    permission: str

    @property
    def is_group(self) -> bool:
        return self.grantee.startswith("http://")


Grants = tuple[Grant, ...]


class Need(NamedTuple):
    """The permission that a list must grant for something to be done, and whether it is the bucket's or the
    object's."""

    on: ResourceKind
    permission: str


_P = Permission
_ON_BUCKET = {
    _P.LIST_BUCKET: READ,
    _P.LIST_BUCKET_VERSIONS: READ,
    _P.LIST_BUCKET_MULTIPART_UPLOADS: READ,
    _P.PUT_OBJECT: WRITE,
    _P.DELETE_OBJECT: WRITE,
    _P.ABORT_MULTIPART_UPLOAD: WRITE,
    _P.LIST_MULTIPART_UPLOAD_PARTS: WRITE,
    _P.GET_BUCKET_ACL: READ_ACP,
    _P.PUT_BUCKET_ACL: WRITE_ACP,
}
_ON_OBJECT = {
    _P.GET_OBJECT: READ,
    _P.GET_OBJECT_VERSION: READ,
    _P.GET_OBJECT_ATTRIBUTES: READ,
    _P.GET_OBJECT_VERSION_ATTRIBUTES: READ,
    _P.GET_OBJECT_ACL: READ_ACP,
    _P.GET_OBJECT_VERSION_ACL: READ_ACP,
    _P.PUT_OBJECT_ACL: WRITE_ACP,
    _P.PUT_OBJECT_VERSION_ACL: WRITE_ACP,
}
_NEEDS = {permission: Need(ResourceKind.BUCKET, needed) for permission, needed in _ON_BUCKET.items()} | {
    permission: Need(ResourceKind.OBJECT, needed) for permission, needed in _ON_OBJECT.items()
}


def need_of(permission: Permission) -> Need | None:
    """None: no list grants it; it is the bucket owner's."""
    return _NEEDS.get(permission)


def allows(grants: Grants | None, owner: AccountId, principal: Principal, needed: str) -> bool:
    """Whether the list of something that `owner` owns grants `needed`. None is the private list."""
    is_owner = principal.account is not None and principal.account == owner
    if grants is None:
        return is_owner
    if is_owner and needed in (READ_ACP, WRITE_ACP):
        return True
    return any(grant.permission in (needed, FULL_CONTROL) and _covers(grant.grantee, principal) for grant in grants)


def _covers(grantee: str, principal: Principal) -> bool:
    if grantee == ALL_USERS:
        return True
    if grantee == LOG_DELIVERY:
        return principal.service == LOG_DELIVERY_SERVICE
    if principal.account is None:
        return False
    return grantee in (AUTHENTICATED_USERS, principal.canonical_id)


def is_public(grants: Grants | None) -> bool:
    """As a public access block and the policy status see it: any grant to everybody, or to everybody who signs."""
    return grants is not None and any(grant.grantee in PUBLIC_GROUPS for grant in grants)


def without_public(grants: Grants | None) -> Grants | None:
    """What is left of a list under IgnorePublicAcls."""
    if grants is None or not is_public(grants):
        return grants
    return tuple(grant for grant in grants if grant.grantee not in PUBLIC_GROUPS)


_CANNED = {
    "private": (),
    "public-read": (Grant(ALL_USERS, READ),),
    "public-read-write": (Grant(ALL_USERS, READ), Grant(ALL_USERS, WRITE)),
    "authenticated-read": (Grant(AUTHENTICATED_USERS, READ),),
    "aws-exec-read": (Grant(EC2_CANONICAL_ID, READ),),
    "log-delivery-write": (Grant(LOG_DELIVERY, WRITE), Grant(LOG_DELIVERY, READ_ACP)),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
}
CANNED = frozenset(_CANNED)
BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
_TO_BUCKET_OWNER = {"bucket-owner-read": READ, BUCKET_OWNER_FULL_CONTROL: FULL_CONTROL}


def expand(canned: str, owner: str, bucket_owner: str) -> Grants | None:
    """A canned list (one of CANNED) of something that `owner` owns, both given by canonical id; for a bucket they are
    the same, and the two lists that name the bucket's owner are then private."""
    grants = _CANNED[canned]
    to_bucket_owner = _TO_BUCKET_OWNER.get(canned)
    if to_bucket_owner is not None and bucket_owner != owner:
        grants = (Grant(bucket_owner, to_bucket_owner),)
    return normal((*grants, Grant(owner, FULL_CONTROL)), owner)


def normal(grants: Iterable[Grant], owner: str) -> Grants | None:
    """Each grant once, groups first; None where it is the private list."""
    unique = dict.fromkeys(grants)
    ordered = tuple(sorted(unique, key=lambda grant: not grant.is_group))
    return None if ordered == private(owner) else ordered


def private(owner: str) -> Grants:
    """What None stands for, written out."""
    return (Grant(owner, FULL_CONTROL),)
