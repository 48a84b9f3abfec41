"""Who owns what is written, by the bucket's rule; what lists count."""

from __future__ import annotations

import pytest

from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.meta.rows import BucketRow, Versioning
from cyxcloud.objects import acl, ownership
from cyxcloud.objects.acl import Grant, Grants
from cyxcloud.objects.bucket_config import BucketConfig
from cyxcloud.objects.ownership import BUCKET_ACL, CONTROLS, BucketAcl, Owned, Ownership, OwnershipControls

MINE, WRITERS = AccountId(1), AccountId(2)
BUCKET = BucketRow(BucketId(1), "b", MINE, "us-east-1", 0, Versioning.OFF, 1)
PUBLIC = (Grant(acl.ALL_USERS, "READ"), Grant("writer", "FULL_CONTROL"))
GIVEN = acl.expand("bucket-owner-full-control", "writer", "mine")
WRITER, PREFERRED, ENFORCED = Ownership


def config(rule: Ownership | None, grants: Grants | None = None) -> BucketConfig:
    stored = {} if rule is None else {CONTROLS.name: CONTROLS.encode(OwnershipControls(rule))}
    if grants is not None:
        stored[BUCKET_ACL.name] = BUCKET_ACL.encode(BucketAcl(grants))
    return BucketConfig(stored)


@pytest.mark.parametrize(
    ("rule", "asked", "owned"),
    [
        (None, None, Owned(WRITERS, None)),
        (None, GIVEN, Owned(WRITERS, GIVEN)),
        (WRITER, GIVEN, Owned(WRITERS, GIVEN)),
        (PREFERRED, None, Owned(WRITERS, None)),
        (PREFERRED, PUBLIC, Owned(WRITERS, PUBLIC)),
        (PREFERRED, GIVEN, Owned(MINE, None)),
        (ENFORCED, None, Owned(MINE, None)),
        (ENFORCED, GIVEN, Owned(MINE, None)),
    ],
)
def test_new_object_of_another_writer(rule: Ownership | None, asked: Grants | None, owned: Owned) -> None:
    assert ownership.of_new_object(config(rule), BUCKET, Owned(WRITERS, asked), "mine", "writer") == owned


def test_new_object_of_the_bucket_owner_keeps_its_list_when_preferred() -> None:
    mine = Owned(MINE, PUBLIC)
    assert ownership.of_new_object(config(PREFERRED), BUCKET, mine, "mine", "mine") == mine


def test_stored_object_is_the_bucket_owner_s_when_enforced() -> None:
    stored = Owned(WRITERS, PUBLIC)
    assert ownership.of_object(config(PREFERRED), BUCKET, stored) == stored
    assert ownership.of_object(config(ENFORCED), BUCKET, stored) == Owned(MINE)


def test_bucket_list_does_not_count_when_enforced() -> None:
    assert ownership.of_bucket(config(None), BUCKET) == Owned(MINE)
    assert ownership.of_bucket(config(WRITER, PUBLIC), BUCKET) == Owned(MINE, PUBLIC)
    assert ownership.of_bucket(config(ENFORCED, PUBLIC), BUCKET) == Owned(MINE)
