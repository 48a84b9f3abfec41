"""Lifecycle rules and storage classes over HTTP; what a worker does with the rules is tried in test_lifecycle_worker."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import raw, refused

RULE = {"ID": "one two", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 3}}
ABORT = {
    "ID": "parts",
    "Filter": {"Prefix": ""},
    "Status": "Enabled",
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
}


def configure(client: Any, bucket: str, *rules: Any) -> Any:
    return client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def read(client: Any, bucket: str, key: str) -> Any:
    answer = client.get_object(Bucket=bucket, Key=key)
    answer["Body"].read()
    return answer


def upload(client: Any, bucket: str, key: str) -> Any:
    begun = client.create_multipart_upload(Bucket=bucket, Key=key)
    named = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
    part = client.upload_part(**named, PartNumber=1, Body=b"x")
    return client.complete_multipart_upload(
        **named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )


def test_lifecycle_is_kept_and_removed(client: Any, bucket: str) -> None:
    with refused("NoSuchLifecycleConfiguration", 404):
        client.get_bucket_lifecycle_configuration(Bucket=bucket)
    put = configure(client, bucket, RULE, ABORT)
    assert put["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    got = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert got["Rules"] == [RULE, ABORT]
    assert got["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    for _ in range(2):
        assert client.delete_bucket_lifecycle(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchLifecycleConfiguration", 404):
        client.get_bucket_lifecycle_configuration(Bucket=bucket)


def test_put_lifecycle_without_a_digest_is_refused(store: InProcessStore, bucket: str) -> None:
    answer = raw(store, "PUT", f"/{bucket}", b"<LifecycleConfiguration/>", query=(("lifecycle", ""),))
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_put_lifecycle_of_infrequent_access_before_thirty_days_is_refused(client: Any, bucket: str) -> None:
    rule = {"Filter": {}, "Status": "Enabled", "Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]}
    with refused("InvalidArgument", 400):
        configure(client, bucket, rule)


def test_expiration_is_said_of_objects_that_a_rule_takes(client: Any, bucket: str) -> None:
    configure(client, bucket, RULE)
    began = datetime.now(UTC)
    for said in (
        client.put_object(Bucket=bucket, Key="logs/a", Body=b"x"),
        client.head_object(Bucket=bucket, Key="logs/a"),
        read(client, bucket, "logs/a"),
        client.copy_object(Bucket=bucket, Key="logs/b", CopySource={"Bucket": bucket, "Key": "logs/a"}),
        upload(client, bucket, "logs/c"),
    ):
        found = re.fullmatch(r'expiry-date="(.*)", rule-id="one%20two"', said["Expiration"])
        assert found is not None
        moment = parsedate_to_datetime(found[1])
        assert (moment.hour, moment.minute, moment.second) == (0, 0, 0)
        assert timedelta(days=3) <= moment - began < timedelta(days=4, seconds=5)
    assert "Expiration" not in client.put_object(Bucket=bucket, Key="other", Body=b"x")
    assert "Expiration" not in client.head_object(Bucket=bucket, Key="other")


def test_abort_date_is_said_of_uploads_that_a_rule_takes(client: Any, bucket: str) -> None:
    assert "AbortDate" not in client.create_multipart_upload(Bucket=bucket, Key="a")
    configure(client, bucket, ABORT)
    made = client.create_multipart_upload(Bucket=bucket, Key="a")
    listed = client.list_parts(Bucket=bucket, Key="a", UploadId=made["UploadId"])
    assert made["AbortRuleId"] == listed["AbortRuleId"] == "parts"
    assert made["AbortDate"] == listed["AbortDate"] > datetime.now(UTC) + timedelta(days=2)


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_object_is_read_only_once_it_is_restored(client: Any, bucket: str, storage_class: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"cold", StorageClass=storage_class)
    assert client.head_object(Bucket=bucket, Key="a")["StorageClass"] == storage_class
    with refused("InvalidObjectState", 403):
        client.get_object(Bucket=bucket, Key="a")
    with refused("InvalidObjectState", 403):
        client.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    restore = {"Days": 2, "GlacierJobParameters": {"Tier": "Standard"}}
    for status in (202, 200):
        answer = client.restore_object(Bucket=bucket, Key="a", RestoreRequest=restore)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    got = client.get_object(Bucket=bucket, Key="a")
    assert got["Body"].read() == b"cold"
    assert re.fullmatch(r'ongoing-request="false", expiry-date="\w{3}, .* 00:00:00 GMT"', got["Restore"])
    client.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    copied = client.head_object(Bucket=bucket, Key="b")
    assert "StorageClass" not in copied
    assert "Restore" not in copied


def test_restore_of_what_is_not_archived_is_refused(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"warm", StorageClass="GLACIER_IR")
    with refused("InvalidObjectState", 403):
        client.restore_object(Bucket=bucket, Key="a", RestoreRequest={"Days": 1})
    with refused("NoSuchKey", 404):
        client.restore_object(Bucket=bucket, Key="none", RestoreRequest={"Days": 1})
    with refused("InvalidArgument", 400):
        client.restore_object(Bucket=bucket, Key="a", RestoreRequest={"Days": 0})
