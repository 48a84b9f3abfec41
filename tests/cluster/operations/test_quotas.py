"""Quotas of buckets and users, set by the command on the running store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from cli.main import app
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, content, refused

Command = Callable[..., Any]


@pytest.fixture
def command(store: InProcessStore) -> Command:
    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--data", str(store.home.path), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    return run


@pytest.fixture
def user(store: InProcessStore) -> tuple[str, Any]:
    """Another account: its id and its client."""
    client = store.client(*store.add_user("limited"))
    user_id: str = client.list_buckets()["Owner"]["ID"]
    return user_id, client


def put(client: Any, bucket: str, key: str, size: int) -> Any:
    return client.put_object(Bucket=bucket, Key=key, Body=content(size))


def test_bucket_quota_of_bytes(client: Any, bucket: str, command: Command) -> None:
    put(client, bucket, "a", 600)
    assert command("bucket", "quota", bucket, "--bytes", "1KB") == {
        "bucket": bucket,
        "objects": 1,
        "bytes": 600,
        "quota_objects": None,
        "quota_bytes": 1000,
    }
    with pytest.raises(ClientError) as caught:
        put(client, bucket, "b", 500)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("QuotaExceeded", 403)
    assert "600 of 1000 bytes are used and this needs 500 more" in error["Error"]["Message"]
    assert "Delete objects" in error["Error"]["Message"]
    put(client, bucket, "b", 400)
    with refused("QuotaExceeded", 403):
        client.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "a"})
    put(client, bucket, "a", 600)  # in the place of as many
    client.delete_object(Bucket=bucket, Key="b")
    put(client, bucket, "c", 400)
    command("bucket", "quota", bucket, "--none")
    put(client, bucket, "d", 5000)


def test_bucket_over_its_quota_takes_less_in_the_place_of_more(client: Any, bucket: str, command: Command) -> None:
    put(client, bucket, "a", 600)
    command("bucket", "quota", bucket, "--bytes", "100", "--objects", "0")
    put(client, bucket, "a", 500)
    with refused("QuotaExceeded", 403):
        put(client, bucket, "a", 501)
    with refused("QuotaExceeded", 403):
        put(client, bucket, "b", 0)


def test_quota_counts_versions_and_lets_them_go(client: Any, bucket: str, command: Command) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    command("bucket", "quota", bucket, "--objects", "2")
    first = put(client, bucket, "key", 1)["VersionId"]
    put(client, bucket, "key", 1)
    with refused("QuotaExceeded", 403):
        put(client, bucket, "key", 1)
    client.delete_object(Bucket=bucket, Key="key")  # a marker, though the bucket is full
    for version in client.list_object_versions(Bucket=bucket)["DeleteMarkers"]:
        client.delete_object(Bucket=bucket, Key="key", VersionId=version["VersionId"])
    client.delete_object(Bucket=bucket, Key="key", VersionId=first)
    put(client, bucket, "key", 1)


def test_many_at_once_never_pass_the_quota(client: Any, bucket: str, command: Command) -> None:
    command("bucket", "quota", bucket, "--objects", "5")

    def attempt(number: int) -> str:
        try:
            put(client, bucket, f"key-{number}", 20_000 if number % 2 else 100)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "stored"

    with ThreadPoolExecutor(8) as threads:
        answers = Counter(threads.map(attempt, range(24)))
    assert answers == {"stored": 5, "QuotaExceeded": 19}
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 5


def test_multipart_is_refused_at_the_part_and_at_completion(client: Any, bucket: str, command: Command) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=content(PART))
    command("bucket", "quota", bucket, "--bytes", "6MB")
    with refused("QuotaExceeded", 403):
        client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=2, Body=content(PART))
    again = client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=content(PART))
    assert again["ETag"] == part["ETag"]
    command("bucket", "quota", bucket, "--bytes", "1MB")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with refused("QuotaExceeded", 403):
        client.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload=parts)
    command("bucket", "quota", bucket, "--none")
    client.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload=parts)


def test_user_quota_spans_buckets_older_and_newer(user: tuple[str, Any], command: Command) -> None:
    user_id, client = user
    client.create_bucket(Bucket="limited-older")
    put(client, "limited-older", "a", 60)
    assert command("user", "quota", user_id, "--bytes", "100")["bytes"] == 60
    client.create_bucket(Bucket="limited-newer")
    with refused("QuotaExceeded", 403):
        put(client, "limited-newer", "b", 41)
    put(client, "limited-newer", "b", 40)
    with refused("QuotaExceeded", 403):
        put(client, "limited-older", "c", 1)
    command("bucket", "quota", "limited-older", "--objects", "1")
    assert command("user", "quota", user_id, "--none")["quota_bytes"] is None
    put(client, "limited-newer", "c", 1000)
    with refused("QuotaExceeded", 403):
        put(client, "limited-older", "c", 1)


def test_bucket_list_shows_use_and_quota(client: Any, bucket: str, command: Command) -> None:
    put(client, bucket, "a", 7)
    command("bucket", "quota", bucket, "--objects", "9")
    found = next(row for row in command("bucket", "list") if row["name"] == bucket)
    assert (found["objects"], found["bytes"], found["quota_objects"], found["versioning"]) == (1, 7, 9, "off")


def test_bucket_without_a_quota_runs_the_same_statements(store: InProcessStore, bucket: str) -> None:
    assert store.rows("SELECT flags FROM bucket WHERE name = ?", bucket) == [(0,)]
