"""What another account and nobody in particular may do by lists, and whose what they write is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cyxcloud.objects import acl
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, content, raw, refused


@pytest.fixture(scope="module")
def other(store: InProcessStore) -> Any:
    return store.client(*store.add_user("writer"))


@pytest.fixture
def shared(client: Any, bucket: str) -> str:
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    return bucket


def id_of(client: Any) -> str:
    found: str = client.list_buckets()["Owner"]["ID"]
    return found


def test_bucket_lists_grant_to_accounts_by_id(client: Any, other: Any, bucket: str) -> None:
    me, they = f"id={id_of(client)}", f"id={id_of(other)}"
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    client.put_bucket_acl(Bucket=bucket, GrantRead=they, GrantFullControl=me)
    assert other.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    for call in (
        lambda: other.get_object(Bucket=bucket, Key="k"),
        lambda: other.put_object(Bucket=bucket, Key="k", Body=b""),
        lambda: other.get_bucket_acl(Bucket=bucket),
        lambda: other.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: other.get_bucket_tagging(Bucket=bucket),
    ):
        with refused("AccessDenied", 403):
            call()
    client.put_bucket_acl(Bucket=bucket, GrantReadACP=they, GrantWriteACP=they, GrantFullControl=me)
    with refused("AccessDenied", 403):
        other.list_objects_v2(Bucket=bucket)
    other.put_bucket_acl(Bucket=bucket, GrantWrite=they)
    other.put_object(Bucket=bucket, Key="new", Body=b"x")
    other.delete_object(Bucket=bucket, Key="k")


def test_object_lists_grant_to_groups(store: InProcessStore, client: Any, other: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="signed", Body=b"x", ACL="authenticated-read")
    client.put_object(Bucket=bucket, Key="all", Body=b"x", ACL="public-read")
    client.put_object(Bucket=bucket, Key="mine", Body=b"x")
    client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/all")
    readable = {"signed": (200, 403), "all": (200, 200), "mine": (403, 403), "copy": (403, 403)}
    for key, (to_account, to_nobody) in readable.items():
        assert raw(store, "GET", f"/{bucket}/{key}", signed=False).status == to_nobody
        if to_account == 200:
            assert other.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
        else:
            with refused("AccessDenied", 403):
                other.get_object(Bucket=bucket, Key=key)


def test_writer_owns_what_he_writes(client: Any, other: Any, shared: str) -> None:
    other.put_object(Bucket=shared, Key="k", Body=b"x")
    assert other.get_object_acl(Bucket=shared, Key="k")["Owner"]["ID"] == id_of(other)
    with refused("AccessDenied", 403):
        client.get_object(Bucket=shared, Key="k")
    with refused("AccessDenied", 403):
        client.get_object_acl(Bucket=shared, Key="k")
    other.put_object_acl(Bucket=shared, Key="k", ACL="bucket-owner-read")
    assert client.get_object(Bucket=shared, Key="k")["Body"].read() == b"x"
    client.delete_object(Bucket=shared, Key="k")


def test_listings_name_each_owner(client: Any, other: Any, shared: str) -> None:
    other.put_object(Bucket=shared, Key="a", Body=b"x")
    client.put_object(Bucket=shared, Key="b", Body=b"x")
    upload = other.create_multipart_upload(Bucket=shared, Key="c")["UploadId"]
    owners = [id_of(other), id_of(client)]
    first, second = client.list_objects(Bucket=shared), client.list_objects_v2(Bucket=shared, FetchOwner=True)
    assert [each["Owner"]["ID"] for each in first["Contents"]] == owners
    assert [each["Owner"]["ID"] for each in second["Contents"]] == owners
    assert next(each["Owner"]["DisplayName"] for each in first["Contents"]) == "writer"
    versions = client.list_object_versions(Bucket=shared)
    assert [each["Owner"]["ID"] for each in versions["Versions"]] == owners
    (listed,) = client.list_multipart_uploads(Bucket=shared)["Uploads"]
    parts = other.list_parts(Bucket=shared, Key="c", UploadId=upload)
    for shown in (listed, parts):
        assert (shown["Owner"]["ID"], shown["Initiator"]["ID"]) == (owners[0], owners[0])


def test_whoever_completes_an_upload_does_not_get_it(client: Any, other: Any, shared: str) -> None:
    upload = other.create_multipart_upload(Bucket=shared, Key="k", ACL="bucket-owner-read")["UploadId"]
    part = client.upload_part(Bucket=shared, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=shared, Key="k", UploadId=upload, MultipartUpload=parts)
    shown = other.get_object_acl(Bucket=shared, Key="k")
    assert shown["Owner"]["ID"] == id_of(other)
    assert {each["Permission"] for each in shown["Grants"]} == {"READ", "FULL_CONTROL"}


def test_an_object_given_to_the_bucket_owner(client: Any, other: Any, shared: str) -> None:
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    client.put_bucket_ownership_controls(Bucket=shared, OwnershipControls=controls)
    given = "bucket-owner-full-control"
    other.put_object(Bucket=shared, Key="given", Body=b"x", ACL=given)
    other.put_object(Bucket=shared, Key="kept", Body=b"x")
    other.copy_object(Bucket=shared, Key="copied", CopySource=f"{shared}/kept", ACL=given)
    for key in ("given", "copied"):
        assert client.get_object_acl(Bucket=shared, Key=key)["Owner"]["ID"] == id_of(client)
        with refused("AccessDenied", 403):
            other.get_object(Bucket=shared, Key=key)
    assert other.get_object_acl(Bucket=shared, Key="kept")["Owner"]["ID"] == id_of(other)


def test_an_upload_to_be_the_bucket_owner_s_is_its_initiator_s_to_end(client: Any, other: Any, bucket: str) -> None:
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    upload = other.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    shown = other.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert (shown["Owner"]["ID"], shown["Initiator"]["ID"]) == (id_of(client), id_of(other))
    body = content(PART)
    etag = other.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=body)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    other.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    assert client.get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"] == id_of(client)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    again = other.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    other.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=again)


def test_what_nobody_wrote_is_nobody_s(store: InProcessStore, client: Any, shared: str) -> None:
    assert raw(store, "PUT", f"/{shared}/k", b"x", signed=False).status == 200
    (listed,) = client.list_objects(Bucket=shared)["Contents"]
    assert listed["Owner"]["ID"] == acl.ANONYMOUS_CANONICAL_ID
    assert raw(store, "GET", f"/{shared}/k", signed=False).status == 403
    with refused("AccessDenied", 403):
        client.get_object(Bucket=shared, Key="k")
    public = {"x-amz-acl": "public-read"}
    assert raw(store, "PUT", f"/{shared}/k", b"x", public, signed=False).status == 200
    assert raw(store, "GET", f"/{shared}/k", signed=False).status == 200
    client.delete_object(Bucket=shared, Key="k")


def test_public_lists_that_a_bucket_blocks(client: Any, other: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True, "IgnorePublicAcls": False}
    )
    for call in (
        lambda: client.put_object_acl(Bucket=bucket, Key="k", ACL="authenticated-read"),
        lambda: client.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read"),
        lambda: client.put_bucket_acl(Bucket=bucket, GrantRead=f"uri={acl.ALL_USERS}"),
    ):
        with refused("AccessDenied", 403):
            call()
    client.put_object_acl(Bucket=bucket, Key="k", GrantRead=f"id={id_of(other)}")
    assert other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
