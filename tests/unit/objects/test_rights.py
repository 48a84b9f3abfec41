from __future__ import annotations

from cyxcloud.objects.rights import Permission, of_a_version


def test_permissions_are_action_names() -> None:
    for permission in Permission:
        service, _, action = permission.value.partition(":")
        assert service in ("s3", "s3express", "s3-object-lambda")
        assert action.isalnum()


def test_of_a_version() -> None:
    assert of_a_version(Permission.GET_OBJECT) is Permission.GET_OBJECT_VERSION
    assert of_a_version(Permission.LIST_BUCKET) is Permission.LIST_BUCKET
