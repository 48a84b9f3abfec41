"""Lists grant, never deny; the owner keeps READ_ACP and WRITE_ACP whatever the list says."""

from __future__ import annotations

import pytest

from cyxcloud.core.ids import AccountId
from cyxcloud.objects import acl
from cyxcloud.objects.acl import Grant
from cyxcloud.objects.principal import ANONYMOUS, Principal
from cyxcloud.objects.rights import Permission, ResourceKind

OWNER = Principal(AccountId(1), "owner-id")
OTHER = Principal(AccountId(2), "other-id")
ONE = AccountId(1)


@pytest.mark.parametrize("needed", sorted(acl.PERMISSIONS))
def test_allows_private_list_to_its_owner_alone(needed: str) -> None:
    assert acl.allows(None, ONE, OWNER, needed)
    assert not acl.allows(None, ONE, OTHER, needed)
    assert not acl.allows(None, ONE, ANONYMOUS, needed)


def test_allows_nobody_what_anonymous_wrote_privately() -> None:
    assert not acl.allows(None, acl.ANONYMOUS_ACCOUNT, ANONYMOUS, acl.READ)


def test_allows_owner_without_grant_the_list_only() -> None:
    assert [needed for needed in sorted(acl.PERMISSIONS) if acl.allows((), ONE, OWNER, needed)] == [
        "READ_ACP",
        "WRITE_ACP",
    ]


@pytest.mark.parametrize(
    ("grantee", "allowed"),
    [
        (acl.ALL_USERS, [OWNER, OTHER, ANONYMOUS]),
        (acl.AUTHENTICATED_USERS, [OWNER, OTHER]),
        (acl.LOG_DELIVERY, []),
        ("other-id", [OTHER]),
        ("", []),
    ],
)
def test_allows_by_grantee(grantee: str, allowed: list[Principal]) -> None:
    grants = (Grant(grantee, "READ"),)
    assert [who for who in (OWNER, OTHER, ANONYMOUS) if acl.allows(grants, ONE, who, "READ")] == allowed


def test_allows_the_granted_permission_and_full_control_all() -> None:
    assert not acl.allows((Grant("other-id", "READ"),), ONE, OTHER, "WRITE")
    assert all(acl.allows((Grant("other-id", "FULL_CONTROL"),), ONE, OTHER, needed) for needed in acl.PERMISSIONS)


@pytest.mark.parametrize(
    ("canned", "grants"),
    [
        ("private", None),
        ("public-read", (Grant(acl.ALL_USERS, "READ"), Grant("o", "FULL_CONTROL"))),
        (
            "public-read-write",
            (Grant(acl.ALL_USERS, "READ"), Grant(acl.ALL_USERS, "WRITE"), Grant("o", "FULL_CONTROL")),
        ),
        ("authenticated-read", (Grant(acl.AUTHENTICATED_USERS, "READ"), Grant("o", "FULL_CONTROL"))),
        ("bucket-owner-read", (Grant("b", "READ"), Grant("o", "FULL_CONTROL"))),
        ("bucket-owner-full-control", (Grant("b", "FULL_CONTROL"), Grant("o", "FULL_CONTROL"))),
        ("aws-exec-read", (Grant(acl.EC2_CANONICAL_ID, "READ"), Grant("o", "FULL_CONTROL"))),
        (
            "log-delivery-write",
            (Grant(acl.LOG_DELIVERY, "WRITE"), Grant(acl.LOG_DELIVERY, "READ_ACP"), Grant("o", "FULL_CONTROL")),
        ),
    ],
)
def test_expand_canned_list(canned: str, grants: acl.Grants | None) -> None:
    assert acl.expand(canned, "o", "b") == grants


@pytest.mark.parametrize("canned", ["bucket-owner-read", "bucket-owner-full-control"])
def test_expand_for_the_bucket_owner_is_private(canned: str) -> None:
    assert acl.expand(canned, "b", "b") is None


def test_normal_puts_groups_first_and_drops_doubles() -> None:
    read = Grant(acl.ALL_USERS, "READ")
    mine = Grant("o", "FULL_CONTROL")
    assert acl.normal([mine, read, read], "o") == (read, mine)


def test_public_grants_are_seen_and_taken_out() -> None:
    mine = Grant("o", "FULL_CONTROL")
    for group in acl.PUBLIC_GROUPS:
        grants = (Grant(group, "READ_ACP"), mine)
        assert acl.is_public(grants)
        assert acl.without_public(grants) == (mine,)
    assert not acl.is_public((Grant(acl.LOG_DELIVERY, "WRITE"), mine))
    assert not acl.is_public(None)


def test_need_of_each_permission() -> None:
    assert acl.need_of(Permission.LIST_BUCKET) == (ResourceKind.BUCKET, "READ")
    assert acl.need_of(Permission.PUT_OBJECT) == (ResourceKind.BUCKET, "WRITE")
    assert acl.need_of(Permission.GET_OBJECT_VERSION) == (ResourceKind.OBJECT, "READ")
    assert acl.need_of(Permission.PUT_OBJECT_ACL) == (ResourceKind.OBJECT, "WRITE_ACP")
    assert acl.need_of(Permission.PUT_BUCKET_POLICY) is None
    assert acl.need_of(Permission.DELETE_OBJECT_VERSION) is None
