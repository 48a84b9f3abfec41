"""Bucket policies, public access blocks and what callers without rights are told; and that accounts stay apart (R31)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from cli.store import change, database_of
from cyxcloud.meta import bucket_config
from cyxcloud.objects.bucket_cache import KEEP_SECONDS
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import raw, refused

BLOCK_ALL = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@pytest.fixture(scope="module")
def other(store: InProcessStore) -> Any:
    return store.client(*store.add_user("policies-other"))


@pytest.fixture(scope="module")
def other_id(other: Any) -> str:
    found: str = other.list_buckets()["Owner"]["ID"]
    return found


def policy(bucket: str, *statements: dict[str, Any]) -> str:
    defaults = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [defaults | each for each in statements]}, indent=1)


def put(client: Any, bucket: str, *statements: dict[str, Any]) -> None:
    client.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *statements))


def denied() -> Any:
    return refused("AccessDenied", 403)


def test_put_policy_and_back_to_the_letter(client: Any, bucket: str) -> None:
    with refused("NoSuchBucketPolicy", 404):
        client.get_bucket_policy(Bucket=bucket)
    text = policy(bucket, {"Sid": "grüße ☃"}) + " \n"
    client.put_bucket_policy(Bucket=bucket, Policy=text)
    assert client.get_bucket_policy(Bucket=bucket)["Policy"] == text
    client.delete_bucket_policy(Bucket=bucket)
    client.delete_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy", 404):
        client.get_bucket_policy(Bucket=bucket)


def test_put_policy_malformed_changes_nothing(client: Any, bucket: str) -> None:
    put(client, bucket, {})
    before = client.get_bucket_policy(Bucket=bucket)["Policy"]
    for text in ("", "x", "{}", policy("elsewhere", {}), policy(bucket, {"Action": "s3:Fly"})):
        with refused("MalformedPolicy", 400):
            client.put_bucket_policy(Bucket=bucket, Policy=text)
    with refused("MalformedPolicy", 400):
        put(client, bucket, {"Principal": {"AWS": "0" * 12}})
    with refused("MalformedPolicy", 400):
        put(client, bucket, {"Condition": {"StringEquals": {"aws:Nothing": "x"}}})
    with refused("MalformedPolicy", 400):
        put(client, bucket, *([{"Sid": "x" * 200}] * 80))
    assert client.get_bucket_policy(Bucket=bucket)["Policy"] == before


def test_policy_lets_another_account_read(client: Any, other: Any, other_id: str, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a/1", Body=b"body")
    with denied():
        other.get_object(Bucket=bucket, Key="a/1")
    put(client, bucket, {"Resource": f"arn:aws:s3:::{bucket}/a/*", "Principal": {"AWS": other_id}})
    assert other.get_object(Bucket=bucket, Key="a/1")["Body"].read() == b"body"
    with denied():
        other.put_object(Bucket=bucket, Key="a/1", Body=b"")
    client.delete_bucket_policy(Bucket=bucket)
    with denied():
        other.get_object(Bucket=bucket, Key="a/1")


def test_policy_denies_its_owner_all_but_its_repair(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body")
    put(client, bucket, {"Effect": "Deny", "Action": "*"})
    for refuse in (client.get_object, client.delete_object, client.put_object):
        with denied():
            refuse(Bucket=bucket, Key="key")
    with denied():
        client.list_objects_v2(Bucket=bucket)
    assert client.get_bucket_policy(Bucket=bucket)["Policy"]
    client.delete_bucket_policy(Bucket=bucket)
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"


def test_read_of_nothing_tells_only_those_who_may_list(client: Any, other: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        client.get_object(Bucket=bucket, Key="public/none")
    put(client, bucket, {"Action": "s3:GetObject"})
    with denied():
        other.get_object(Bucket=bucket, Key="public/none")
    only_public = {"Action": "s3:ListBucket", "Condition": {"StringLike": {"s3:prefix": "public/*"}}}
    put(client, bucket, only_public)
    with refused("404", 404):
        other.head_object(Bucket=bucket, Key="public/none")
    with refused("403", 403):
        other.head_object(Bucket=bucket, Key="private/none")
    put(client, bucket, {"Action": "s3:ListBucket"}, {"Effect": "Deny"})
    with denied():
        other.get_object(Bucket=bucket, Key="public/none")


def test_anonymous_requests(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body")

    def status(method: str, path: str) -> tuple[int, str]:
        answer = raw(store, method, path, signed=False)
        return answer.status, answer.code

    assert status("GET", "/no-such-bucket-here/key") == (404, "NoSuchBucket")
    assert status("GET", f"/{bucket}/key") == (403, "AccessDenied")
    assert status("GET", f"/{bucket}/none") == (403, "AccessDenied")
    assert status("PUT", "/anonymous-bucket") == (403, "AccessDenied")
    assert status("GET", "/") == (200, "")
    put(client, bucket, {})
    assert status("GET", f"/{bucket}/key") == (200, "")
    assert status("GET", f"/{bucket}/none") == (403, "AccessDenied")
    assert status("PUT", f"/{bucket}/key") == (403, "AccessDenied")
    put(client, bucket, {}, {"Action": "s3:ListBucket"})
    assert status("GET", f"/{bucket}/none") == (404, "NoSuchKey")
    assert status("DELETE", f"/{bucket}") == (403, "AccessDenied")


def test_policy_conditions_see_the_request(
    store: InProcessStore, client: Any, other: Any, other_id: str, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"", Tagging="a=1&security=public")

    def reads(**condition: Any) -> bool:
        put(client, bucket, {"Condition": condition})
        path = f"/{bucket}/key"
        headers = {"referer": "http://example.org/page", "user-agent": "tests"}
        return raw(store, "GET", path, headers=headers, signed=False).status == 200

    assert reads(StringLike={"aws:Referer": "http://example.org/*"})
    assert not reads(StringLike={"aws:Referer": "http://example.com/*"})
    assert reads(StringEquals={"aws:UserAgent": "tests"})
    assert reads(IpAddress={"aws:SourceIp": "127.0.0.0/8"})
    assert not reads(NotIpAddress={"aws:SourceIp": "127.0.0.0/8"})
    assert reads(Bool={"aws:SecureTransport": False})
    assert not reads(Bool={"aws:SecureTransport": True})
    assert reads(DateGreaterThan={"aws:CurrentTime": "2020-01-01T00:00:00Z"})
    assert not reads(NumericLessThan={"aws:EpochTime": 1})
    assert reads(StringEquals={"aws:PrincipalType": "Anonymous"})
    assert reads(Null={"s3:authType": True, "s3:signatureversion": True})
    assert reads(StringEquals={"s3:ExistingObjectTag/security": "public", "s3:ExistingObjectTag/a": "1"})
    assert not reads(StringEquals={"s3:ExistingObjectTag/security": "private"})
    assert not reads(StringEquals={"s3:ExistingObjectTag/Security": "public"})
    signed = {"s3:authType": "REST-HEADER", "s3:signatureversion": "AWS4-HMAC-SHA256", "aws:userid": other_id}
    put(client, bucket, {"Condition": {"StringEquals": signed}})
    assert other.get_object(Bucket=bucket, Key="key")
    put(client, bucket, {"Resource": f"arn:aws:s3:::{bucket}/${{aws:username}}/*"})
    client.put_object(Bucket=bucket, Key=f"{other_id}/own", Body=b"")
    assert other.get_object(Bucket=bucket, Key=f"{other_id}/own")
    with denied():
        other.get_object(Bucket=bucket, Key="key")


def test_policy_conditions_see_what_a_write_asks_for(client: Any, other: Any, bucket: str) -> None:
    def writes(condition: Any, **asked: Any) -> bool:
        put(client, bucket, {"Action": ["s3:PutObject", "s3:PutObjectTagging"], "Condition": condition})
        try:
            other.put_object(Bucket=bucket, Key="key", Body=b"", **asked)
        except other.exceptions.ClientError as error:
            return bool(error.response["Error"]["Code"] != "AccessDenied")
        return True

    private = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    assert writes(private, ACL="bucket-owner-full-control")
    assert not writes(private)
    assert not writes(private, ACL="public-read")
    tagged = {
        "StringEquals": {"s3:RequestObjectTag/a": "1"},
        "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a"]},
    }
    assert writes(tagged, Tagging="a=1")
    assert not writes(tagged, Tagging="a=1&b=2")
    assert not writes(tagged)
    once = {"Null": {"s3:if-none-match": False}}
    assert not writes(once)
    class_named = {"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}
    assert writes(class_named, StorageClass="STANDARD_IA")


def test_policy_conditions_see_the_tags_of_a_document(client: Any, other: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"")
    condition = {"StringEquals": {"s3:RequestObjectTag/a": "1"}}
    put(client, bucket, {"Action": "s3:PutObjectTagging", "Condition": condition})
    with denied():
        other.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "2"}]})
    with denied():
        other.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": []})
    other.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})


def test_policy_that_cannot_be_read_closes_the_bucket(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body")
    put(client, bucket, {})
    row_id = store.rows("SELECT id FROM bucket WHERE name = ?", bucket)[0][0]
    database = database_of(store.home)
    change(database, lambda conn: bucket_config.put(conn, row_id, "policy", b'\x01{"text":"{\\"Statement\\": 7}"}'))
    database.close()
    time.sleep(KEEP_SECONDS)  # another process's change is known by then
    with denied():
        client.get_object(Bucket=bucket, Key="key")
    assert raw(store, "GET", f"/{bucket}/key", signed=False).status == 403
    put(client, bucket, {})
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"


def test_policy_is_not_for_other_accounts_to_change(client: Any, other: Any, bucket: str) -> None:
    put(client, bucket, {"Action": "s3:*"})
    for each in (other.get_bucket_policy, other.delete_bucket_policy):
        with refused("MethodNotAllowed", 405):
            each(Bucket=bucket)
    with refused("MethodNotAllowed", 405):
        put(other, bucket, {})
    assert other.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]


def test_public_access_block_and_back(client: Any, bucket: str) -> None:
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        client.get_public_access_block(Bucket=bucket)
    with refused("InvalidRequest", 400):
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={})
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    shown = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert shown == dict.fromkeys(BLOCK_ALL, False) | {"IgnorePublicAcls": True}
    client.delete_public_access_block(Bucket=bucket)
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        client.get_public_access_block(Bucket=bucket)


def test_public_access_block_refuses_what_is_public(client: Any, other_id: str, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"")
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=BLOCK_ALL)
    public = [
        lambda: put(client, bucket, {}),
        lambda: client.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: client.put_object_acl(Bucket=bucket, Key="key", ACL="authenticated-read"),
        lambda: client.put_object(Bucket=bucket, Key="new", Body=b"", ACL="public-read"),
        lambda: client.create_multipart_upload(Bucket=bucket, Key="new", ACL="public-read"),
        lambda: client.copy_object(Bucket=bucket, Key="new", CopySource=f"{bucket}/key", ACL="public-read"),
    ]
    for each in public:
        with denied():
            each()
    client.put_object(Bucket=bucket, Key="new", Body=b"", ACL="private")
    put(client, bucket, {"Principal": {"AWS": other_id}})


def test_public_access_block_silences_what_was_public(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="by-list", Body=b"", ACL="public-read")
    client.put_object(Bucket=bucket, Key="by-policy", Body=b"")
    put(client, bucket, {"Resource": f"arn:aws:s3:::{bucket}/by-policy"})

    def seen() -> list[int]:
        return [raw(store, "GET", f"/{bucket}/{key}", signed=False).status for key in ("by-list", "by-policy")]

    assert seen() == [200, 200]
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert seen() == [403, 200]
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert seen() == [200, 403]


def test_policy_status(client: Any, bucket: str) -> None:
    def is_public() -> bool:
        return bool(client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])

    assert not is_public()
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert is_public()
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert not is_public()
    put(client, bucket, {})
    assert is_public()
    put(client, bucket, {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/16"}}})
    assert not is_public()


def test_expected_bucket_owner(store: InProcessStore, client: Any, other: Any, bucket: str) -> None:
    owner = client.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    client.put_object(Bucket=bucket, Key="key", Body=b"", ExpectedBucketOwner=owner)
    other.list_objects_v2(Bucket=bucket, ExpectedBucketOwner=owner)
    for caller in (client, other):
        with denied():
            caller.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="policies-other")
    source = {"CopySource": f"{bucket}/key", "Bucket": bucket, "Key": "copy"}
    client.copy_object(**source, ExpectedSourceBucketOwner=owner, ExpectedBucketOwner=owner)
    with denied():
        client.copy_object(**source, ExpectedSourceBucketOwner="policies-other")


def test_upload_is_its_beginners_to_end(client: Any, other: Any, bucket: str) -> None:
    put(client, bucket, {"Action": "s3:PutObject"})
    upload = other.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    third = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    other.list_parts(Bucket=bucket, Key="key", UploadId=upload)
    with denied():
        other.list_parts(Bucket=bucket, Key="key", UploadId=third)
    with denied():
        other.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=third)
    other.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload)


def test_delete_objects_decides_key_by_key(client: Any, other: Any, bucket: str) -> None:
    for key in ("mine", "yours"):
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    put(client, bucket, {"Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{bucket}/yours"})
    done = other.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "mine"}, {"Key": "yours"}]})
    assert [each["Key"] for each in done["Deleted"]] == ["yours"]
    assert [(each["Key"], each["Code"]) for each in done["Errors"]] == [("mine", "AccessDenied")]


# Accounts apart (R31): with nothing granted, nothing of one is had, changed or told by another, whatever is asked.

Ask = Callable[[Any, str, str], Any]
FOREIGN: dict[str, Ask] = {
    "get": lambda c, b, _v: c.get_object(Bucket=b, Key="key"),
    "get version": lambda c, b, v: c.get_object(Bucket=b, Key="key", VersionId=v),
    "get absent": lambda c, b, _v: c.get_object(Bucket=b, Key="absent"),
    "attributes": lambda c, b, _v: c.get_object_attributes(Bucket=b, Key="key", ObjectAttributes=["ETag"]),
    "put": lambda c, b, _v: c.put_object(Bucket=b, Key="key", Body=b""),
    "put if absent": lambda c, b, _v: c.put_object(Bucket=b, Key="key", Body=b"", IfNoneMatch="*"),
    "delete": lambda c, b, _v: c.delete_object(Bucket=b, Key="key"),
    "delete version": lambda c, b, v: c.delete_object(Bucket=b, Key="key", VersionId=v),
    "list": lambda c, b, _v: c.list_objects(Bucket=b),
    "list v2": lambda c, b, _v: c.list_objects_v2(Bucket=b),
    "list versions": lambda c, b, _v: c.list_object_versions(Bucket=b),
    "list uploads": lambda c, b, _v: c.list_multipart_uploads(Bucket=b),
    "begin upload": lambda c, b, _v: c.create_multipart_upload(Bucket=b, Key="key"),
    "upload part": lambda c, b, _v: c.upload_part(Bucket=b, Key="key", UploadId="0" * 16, PartNumber=1, Body=b""),
    "list parts": lambda c, b, _v: c.list_parts(Bucket=b, Key="key", UploadId="0" * 16),
    "abort": lambda c, b, _v: c.abort_multipart_upload(Bucket=b, Key="key", UploadId="0" * 16),
    "copy in": lambda c, b, _v: c.copy_object(Bucket=b, Key="copy", CopySource=f"{b}/key"),
    "tags": lambda c, b, _v: c.get_object_tagging(Bucket=b, Key="key"),
    "put tags": lambda c, b, _v: c.put_object_tagging(Bucket=b, Key="key", Tagging={"TagSet": []}),
    "acl": lambda c, b, _v: c.get_object_acl(Bucket=b, Key="key"),
    "put acl": lambda c, b, _v: c.put_object_acl(Bucket=b, Key="key", ACL="public-read"),
    "bucket acl": lambda c, b, _v: c.get_bucket_acl(Bucket=b),
    "put bucket acl": lambda c, b, _v: c.put_bucket_acl(Bucket=b, ACL="public-read"),
    "policy": lambda c, b, _v: c.get_bucket_policy(Bucket=b),
    "put policy": lambda c, b, _v: put(c, b, {}),
    "delete policy": lambda c, b, _v: c.delete_bucket_policy(Bucket=b),
    "policy status": lambda c, b, _v: c.get_bucket_policy_status(Bucket=b),
    "block": lambda c, b, _v: c.put_public_access_block(Bucket=b, PublicAccessBlockConfiguration={}),
    "versioning": lambda c, b, _v: c.get_bucket_versioning(Bucket=b),
    "delete bucket": lambda c, b, _v: c.delete_bucket(Bucket=b),
    "location": lambda c, b, _v: c.get_bucket_location(Bucket=b),
}


@pytest.fixture(scope="module")
def closed(client: Any) -> tuple[str, str]:
    """A bucket of versions in which nothing is granted to anybody, and the version of its only key."""
    client.create_bucket(Bucket="policies-closed")
    client.put_bucket_versioning(Bucket="policies-closed", VersioningConfiguration={"Status": "Enabled"})
    put_answer = client.put_object(Bucket="policies-closed", Key="key", Body=b"secret")
    return "policies-closed", put_answer["VersionId"]


@pytest.mark.parametrize("ask", FOREIGN)
def test_another_account_is_refused_everything(client: Any, other: Any, closed: tuple[str, str], ask: str) -> None:
    bucket, version = closed
    with denied():
        FOREIGN[ask](other, bucket, version)
    assert client.get_object(Bucket=bucket, Key="key", VersionId=version)["Body"].read() == b"secret"


def test_another_account_cannot_copy_out(other: Any, closed: tuple[str, str]) -> None:
    bucket, version = closed
    other.create_bucket(Bucket="policies-foreign")
    for source in (f"{bucket}/key", f"{bucket}/key?versionId={version}", f"{bucket}/absent"):
        with denied():
            other.copy_object(Bucket="policies-foreign", Key="copy", CopySource=source)
    assert not other.list_objects_v2(Bucket="policies-foreign")["KeyCount"]
    done = other.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "key", "VersionId": version}]})
    assert [each["Code"] for each in done["Errors"]] == ["AccessDenied"]
    assert [each["Name"] for each in other.list_buckets()["Buckets"]] == ["policies-foreign"]


def test_the_same_content_of_two_accounts_tells_neither_of_the_other(other: Any, client: Any, bucket: str) -> None:
    """Nothing is shared between accounts, so an answer, and what is counted, is the same whoever else has the bytes."""
    body = bytes(range(256)) * 128
    client.put_object(Bucket=bucket, Key="key", Body=body)
    other.create_bucket(Bucket=f"{bucket}-other")
    first, again = (other.put_object(Bucket=f"{bucket}-other", Key=key, Body=body) for key in ("a", "b"))
    fresh = other.put_object(Bucket=f"{bucket}-other", Key="c", Body=body[::-1])
    names = [sorted(each["ResponseMetadata"]["HTTPHeaders"]) for each in (first, again, fresh)]
    assert names[0] == names[1] == names[2]
