from __future__ import annotations

import pytest

from cyxcloud.core.ids import AccountId
from cyxcloud.objects.authorize import authorize
from cyxcloud.objects.principal import ANONYMOUS, Principal
from cyxcloud.objects.rights import Permission

OWNER, OTHER = AccountId(1), AccountId(2)
WITHOUT_A_BUCKET = {Permission.LIST_ALL_MY_BUCKETS, Permission.CREATE_BUCKET}


@pytest.mark.parametrize("permission", Permission)
def test_a_bucket_belongs_to_its_account_alone(permission: Permission) -> None:
    assert authorize(Principal(OWNER), permission, OWNER).allowed
    assert not authorize(Principal(OTHER), permission, OWNER).allowed


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("owner", [None, OWNER])
def test_nobody_in_particular_may_do_nothing(permission: Permission, owner: AccountId | None) -> None:
    assert not authorize(ANONYMOUS, permission, owner).allowed


@pytest.mark.parametrize("permission", Permission)
def test_without_a_bucket_only_what_needs_none(permission: Permission) -> None:
    assert authorize(Principal(OWNER), permission, None).allowed == (permission in WITHOUT_A_BUCKET)


def test_every_refusal_has_a_reason_of_its_own() -> None:
    reasons = {
        authorize(ANONYMOUS, Permission.GET_OBJECT, OWNER).reason,
        authorize(Principal(OTHER), Permission.GET_OBJECT, OWNER).reason,
        authorize(Principal(OWNER), Permission.GET_OBJECT, None).reason,
    }
    assert len(reasons) == 3
