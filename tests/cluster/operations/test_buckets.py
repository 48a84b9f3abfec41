"""Buckets, and who may do what: CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation, refusals of access."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore, serving
from tests.cluster.operations.calls import content, keys_of, raw, refused


def test_create_again_changes_nothing_of_ones_own(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    assert client.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    assert keys_of(client.list_objects_v2(Bucket=bucket)) == ["k"]


def test_names_of_others_are_taken(store: InProcessStore, bucket: str) -> None:
    other = store.client(*store.add_user("taker"))
    with refused("BucketAlreadyExists", 409):
        other.create_bucket(Bucket=bucket)


def test_elsewhere_ones_own_is_a_conflict(tmp_path: Path) -> None:
    with serving(tmp_path, region="eu-central-9") as store:
        client = store.client()
        client.create_bucket(Bucket="own", CreateBucketConfiguration={"LocationConstraint": "eu-central-9"})
        with refused("BucketAlreadyOwnedByYou", 409):
            client.create_bucket(Bucket="own", CreateBucketConfiguration={"LocationConstraint": "eu-central-9"})
        assert client.get_bucket_location(Bucket="own")["LocationConstraint"] == "eu-central-9"
        assert client.head_bucket(Bucket="own")["BucketRegion"] == "eu-central-9"


@pytest.mark.parametrize("name", ["Upper", "under_score", "ab", "a..b", "-a-b", "192.168.1.1", "xn--abc"])
def test_names_that_are_none(store: InProcessStore, name: str) -> None:
    answer = raw(store, "PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


def test_locations(client: Any, bucket: str) -> None:
    assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    named = f"{bucket}-default"
    client.create_bucket(Bucket=named, CreateBucketConfiguration={"LocationConstraint": "default"})
    assert client.get_bucket_location(Bucket=named)["LocationConstraint"] == "default"
    assert client.head_bucket(Bucket=named)["BucketRegion"] == "us-east-1"
    with refused("InvalidLocationConstraint", 400):
        client.create_bucket(Bucket=f"{bucket}-mars", CreateBucketConfiguration={"LocationConstraint": "mars-1"})


def test_only_an_empty_bucket_goes(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    client.create_multipart_upload(Bucket=bucket, Key="unfinished")
    with refused("BucketNotEmpty", 409):
        client.delete_bucket(Bucket=bucket)
    client.delete_object(Bucket=bucket, Key="k")
    assert client.delete_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("404", 404):
        client.head_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        client.delete_bucket(Bucket=bucket)
    client.create_bucket(Bucket=bucket)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_nobody_is_let_in_unsigned(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    nobodys = raw(store, "GET", "/", signed=False)
    assert nobodys.status == 200
    assert b"<Bucket>" not in nobodys.body
    for method, path in [
        ("GET", f"/{bucket}"),
        ("GET", f"/{bucket}/k"),
        ("GET", f"/{bucket}/nothing"),
        ("PUT", f"/{bucket}/k"),
        ("DELETE", f"/{bucket}/k"),
        ("PUT", "/somebody-elses"),
        ("DELETE", f"/{bucket}"),
    ]:
        answer = raw(store, method, path, signed=False)
        assert (answer.status, answer.code) == (403, "AccessDenied"), (method, path)
    assert raw(store, "HEAD", f"/{bucket}/k", signed=False).status == 403
    assert raw(store, "GET", "/no-such-bucket/k", signed=False).code == "NoSuchBucket"


def test_nobody_is_let_into_what_is_anothers(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    other = store.client(*store.add_user("stranger"))
    for call in (
        lambda: other.get_object(Bucket=bucket, Key="k"),
        lambda: other.get_object(Bucket=bucket, Key="nothing"),
        lambda: other.put_object(Bucket=bucket, Key="k", Body=b""),
        lambda: other.delete_object(Bucket=bucket, Key="k"),
        lambda: other.list_objects_v2(Bucket=bucket),
        lambda: other.delete_bucket(Bucket=bucket),
        lambda: other.create_multipart_upload(Bucket=bucket, Key="k"),
    ):
        with refused("AccessDenied", 403):
            call()


def test_keys_that_are_not_known_or_wrong(store: InProcessStore, bucket: str) -> None:
    with refused("InvalidAccessKeyId", 403):
        store.client("nobody").list_buckets()
    with refused("SignatureDoesNotMatch", 403):
        store.client(secret_key="wrong-secret").list_objects_v2(Bucket=bucket)


def test_the_expected_owner_is_compared(client: Any, bucket: str) -> None:
    owner = client.list_buckets()["Owner"]["ID"]
    assert client.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
    client.put_object(Bucket=bucket, Key="k", Body=b"", ExpectedBucketOwner=owner)
    with refused("AccessDenied", 403):
        client.put_object(Bucket=bucket, Key="k", Body=b"", ExpectedBucketOwner="somebody")


def test_what_is_not_built_is_said(store: InProcessStore, client: Any, bucket: str) -> None:
    answer = raw(store, "DELETE", f"/{bucket}", query=(("analytics", ""),))
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert client.head_bucket(Bucket=bucket)


def test_a_body_that_was_refused_does_not_follow(store: InProcessStore, client: Any, bucket: str) -> None:
    """The client that was told no instead of 100 Continue does not send its body, so the connection ends there."""
    body = content(100_000)
    began = time.monotonic()
    with refused("NoSuchBucket", 404):
        client.put_object(Bucket="no-such-bucket", Key="k", Body=body)
    client.put_object(Bucket=bucket, Key="k", Body=body)
    assert time.monotonic() - began < 5
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    answer = raw(store, "PUT", "/no-such-bucket/k", b"", {"expect": "100-continue", "content-length": "5"})
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    assert raw(store, "PUT", f"/{bucket}/k", b"x", {"expect": "200"}).status == 200


def test_create_bucket_in_a_namespace_of_an_accounts_own(store: InProcessStore) -> None:
    name = "x-amz-bucket-namespace"
    assert raw(store, "PUT", "/namespaced", headers={name: "account-regional"}).code == "NotImplemented"
    assert raw(store, "PUT", "/namespaced", headers={name: "global"}).status == 200
