"""Access control lists and object ownership: what is set is shown, whose things are, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cyxcloud.objects import acl
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import raw, refused

ACL_QUERY = (("acl", ""),)


@pytest.fixture(scope="module")
def other(store: InProcessStore) -> Any:
    return store.client(*store.add_user("other"))


def grants_of(shown: Any) -> list[tuple[str, str]]:
    return [(each["Grantee"].get("URI") or each["Grantee"]["ID"], each["Permission"]) for each in shown["Grants"]]


def owner_of(client: Any) -> dict[str, str]:
    found: dict[str, str] = client.list_buckets()["Owner"]
    return found


def test_new_bucket_and_object_are_private(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    owner = owner_of(client)
    for shown in (client.get_bucket_acl(Bucket=bucket), client.get_object_acl(Bucket=bucket, Key="k")):
        assert shown["Owner"] == owner
        assert shown["Grants"] == [{"Grantee": owner | {"Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]


def test_put_acl_canned_and_back(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    me = owner_of(client)["ID"]
    public = [(acl.ALL_USERS, "READ"), (me, "FULL_CONTROL")]
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert grants_of(client.get_bucket_acl(Bucket=bucket)) == public
    assert grants_of(client.get_object_acl(Bucket=bucket, Key="k")) == public
    client.put_bucket_acl(Bucket=bucket, ACL="private")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert grants_of(client.get_bucket_acl(Bucket=bucket)) == public[1:]
    assert grants_of(client.get_object_acl(Bucket=bucket, Key="k")) == public[1:]


def test_put_acl_keeps_what_else_the_object_carries(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b"}, Tagging="t=1")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert client.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "b"}
    assert client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "t", "Value": "1"}]


@pytest.mark.parametrize("how", ["put", "copy", "multipart"])
def test_new_object_has_the_list_asked_for(client: Any, bucket: str, how: str) -> None:
    me = owner_of(client)["ID"]
    asked = {"GrantRead": f'uri="{acl.AUTHENTICATED_USERS}"', "GrantFullControl": f"id={me}"}
    if how == "put":
        client.put_object(Bucket=bucket, Key="k", Body=b"x", **asked)
    elif how == "copy":
        client.put_object(Bucket=bucket, Key="source", Body=b"x", ACL="public-read-write")
        client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", **asked)
    else:
        upload = client.create_multipart_upload(Bucket=bucket, Key="k", **asked)["UploadId"]
        part = client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    shown = grants_of(client.get_object_acl(Bucket=bucket, Key="k"))
    assert shown == [(acl.AUTHENTICATED_USERS, "READ"), (me, "FULL_CONTROL")]


def test_copy_does_not_take_the_source_s_list(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=b"x", ACL="public-read")
    client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source")
    assert grants_of(client.get_object_acl(Bucket=bucket, Key="k")) == [(owner_of(client)["ID"], "FULL_CONTROL")]


def test_put_acl_of_a_version_leaves_the_others(client: Any, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    client.put_object(Bucket=bucket, Key="k", Body=b"2")
    client.put_object_acl(Bucket=bucket, Key="k", VersionId=first, ACL="public-read")
    assert len(client.get_object_acl(Bucket=bucket, Key="k", VersionId=first)["Grants"]) == 2
    assert len(client.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1
    client.delete_object(Bucket=bucket, Key="k")
    with refused("NoSuchKey", 404):
        client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")


def test_put_acl_document_with_no_grants(client: Any, bucket: str) -> None:
    client.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": owner_of(client), "Grants": []})
    assert client.get_bucket_acl(Bucket=bucket)["Grants"] == []
    client.put_bucket_acl(Bucket=bucket, ACL="private")


def document(owner: str, grants: str = "") -> bytes:
    return (
        f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>"
        f"<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    ).encode()


def grant(grantee: str, permission: str = "READ") -> str:
    return f"<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"


@pytest.mark.parametrize(
    ("grants", "code"),
    [
        (grant("<ID>nobody</ID>"), "InvalidArgument"),
        (grant("<URI>http://example.com/group</URI>"), "InvalidArgument"),
        (grant("<EmailAddress>no@example.invalid</EmailAddress>"), "UnresolvableGrantByEmailAddress"),
        (grant("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "PEEK"), "MalformedACLError"),
        (grant("<ID>a</ID><URI>b</URI>"), "MalformedACLError"),
        (grant(""), "MalformedACLError"),
        ("<Grant/>", "MalformedACLError"),
        ("<Foo/>", "MalformedACLError"),
    ],
)
def test_put_acl_document_refused(store: InProcessStore, client: Any, bucket: str, grants: str, code: str) -> None:
    answer = raw(store, "PUT", f"/{bucket}", document(owner_of(client)["ID"], grants), query=ACL_QUERY)
    assert (answer.status, answer.code) == (400, code)
    assert len(client.get_bucket_acl(Bucket=bucket)["Grants"]) == 1


def test_put_acl_document_of_another_owner(store: InProcessStore, client: Any, other: Any, bucket: str) -> None:
    answer = raw(store, "PUT", f"/{bucket}", document(owner_of(other)["ID"]), query=ACL_QUERY)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    without = b"<AccessControlPolicy><AccessControlList/></AccessControlPolicy>"
    answer = raw(store, "PUT", f"/{bucket}", without, query=ACL_QUERY)
    assert (answer.status, answer.code) == (400, "MalformedACLError")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MissingSecurityHeader"),
        ({"x-amz-acl": "public-ready"}, "InvalidArgument"),
        ({"x-amz-acl": ""}, "InvalidArgument"),
        ({"x-amz-acl": "private", "x-amz-grant-read": "uri=" + acl.ALL_USERS}, "InvalidRequest"),
        ({"x-amz-grant-read": "id=nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "arn=x"}, "InvalidArgument"),
        ({"x-amz-grant-read": 'emailAddress="no@example.invalid"'}, "UnresolvableGrantByEmailAddress"),
    ],
)
def test_put_acl_headers_refused(store: InProcessStore, bucket: str, headers: dict[str, str], code: str) -> None:
    answer = raw(store, "PUT", f"/{bucket}", headers=headers, query=ACL_QUERY)
    assert (answer.status, answer.code) == (400, code)


def test_put_acl_in_two_ways(store: InProcessStore, client: Any, bucket: str) -> None:
    body = document(owner_of(client)["ID"])
    answer = raw(store, "PUT", f"/{bucket}", body, {"x-amz-acl": "private"}, query=ACL_QUERY)
    assert (answer.status, answer.code) == (400, "UnexpectedContent")


def test_create_bucket_with_a_list(client: Any, bucket: str) -> None:
    named = f"{bucket}-public"
    client.create_bucket(Bucket=named, ACL="public-read")
    assert len(client.get_bucket_acl(Bucket=named)["Grants"]) == 2
    client.create_bucket(Bucket=named, ACL="public-read")
    with refused("BucketAlreadyExists", 409):
        client.create_bucket(Bucket=named)
    with refused("BucketAlreadyExists", 409):
        client.create_bucket(Bucket=bucket, ACL="public-read")


def controls(rule: str) -> dict[str, Any]:
    return {"Rules": [{"ObjectOwnership": rule}]}


def test_ownership_controls_round_trip(client: Any, bucket: str) -> None:
    with refused("OwnershipControlsNotFoundError", 404):
        client.get_bucket_ownership_controls(Bucket=bucket)
    for rule in ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"):
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls(rule))
        assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls(rule)
    client.delete_bucket_ownership_controls(Bucket=bucket)
    client.delete_bucket_ownership_controls(Bucket=bucket)
    with refused("MalformedXML", 400):
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls("Nobody"))


def test_lists_do_not_count_where_the_bucket_owner_is_enforced(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls("BucketOwnerEnforced"))
    assert len(client.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1
    client.put_object(Bucket=bucket, Key="k2", Body=b"x", ACL="bucket-owner-full-control")
    for call in (
        lambda: client.put_object(Bucket=bucket, Key="k", Body=b"", ACL="private"),
        lambda: client.create_multipart_upload(Bucket=bucket, Key="k", ACL="public-read"),
        lambda: client.put_object_acl(Bucket=bucket, Key="k", ACL="private"),
        lambda: client.put_bucket_acl(Bucket=bucket, ACL="private"),
    ):
        with refused("AccessControlListNotSupported", 400):
            call()
    client.delete_bucket_ownership_controls(Bucket=bucket)
    assert len(client.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 2


def test_a_bucket_s_list_is_not_silenced(client: Any, bucket: str) -> None:
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls("BucketOwnerEnforced"))
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        client.create_bucket(Bucket=f"{bucket}-x", ACL="public-read", ObjectOwnership="BucketOwnerEnforced")
    with refused("InvalidArgument", 400):
        client.create_bucket(Bucket=f"{bucket}-x", ObjectOwnership="Nobody")
