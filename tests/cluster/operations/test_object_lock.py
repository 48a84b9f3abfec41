"""Object lock: what is locked goes by no way, and every lock is the one that was promised."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, content, raw, refused

_numbers = itertools.count(1)
LATER = datetime(2140, 1, 1, tzinfo=UTC)
LATEST = datetime(2150, 1, 1, tzinfo=UTC)
GOVERNANCE = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": LATER}
COMPLIANCE = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": LATER}


@pytest.fixture
def locking(client: Any) -> str:
    name = f"locking-{next(_numbers)}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def put(client: Any, bucket: str, **given: Any) -> str:
    version: str = client.put_object(Bucket=bucket, Key="key", Body=b"body", **given)["VersionId"]
    return version


def default(mode: str, **period: int) -> dict[str, Any]:
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": mode, **period}}}


def retention(mode: str, until: datetime) -> dict[str, Any]:
    return {"Mode": mode, "RetainUntilDate": until}


def test_create_bucket_with_object_lock_keeps_versions(client: Any, locking: str) -> None:
    assert client.get_bucket_versioning(Bucket=locking)["Status"] == "Enabled"
    with refused("InvalidBucketState", 409):
        client.put_bucket_versioning(Bucket=locking, VersioningConfiguration={"Status": "Suspended"})
    assert client.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled"
    }


def test_create_bucket_with_object_lock_over_one_without(client: Any, bucket: str, locking: str) -> None:
    with refused("BucketAlreadyOwnedByYou", 409):
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    client.create_bucket(Bucket=locking, ObjectLockEnabledForBucket=True)


def test_object_lock_configuration_needs_versions(client: Any, bucket: str) -> None:
    with refused("ObjectLockConfigurationNotFoundError", 404):
        client.get_object_lock_configuration(Bucket=bucket)
    for status in (None, "Suspended"):
        if status:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        with refused("InvalidBucketState", 409):
            client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=default("GOVERNANCE", Days=1))
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=default("GOVERNANCE", Days=1))
    with refused("InvalidBucketState", 409):
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (default("GOVERNANCE", Days=1, Years=1), "MalformedXML"),
        (default("GOVERNANCE"), "MalformedXML"),
        (default("governance", Days=1), "MalformedXML"),
        (default("GOVERNANCE", Days=0), "InvalidRetentionPeriod"),
        (default("COMPLIANCE", Years=-1), "InvalidRetentionPeriod"),
        (default("COMPLIANCE", Years=101), "InvalidRetentionPeriod"),
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
        ({"ObjectLockEnabled": "Enabled", "Rule": {}}, "MalformedXML"),
    ],
)
def test_put_object_lock_configuration_refuses(client: Any, locking: str, config: Any, code: str) -> None:
    with refused(code, 400):
        client.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=config)


def test_default_retention_locks_new_versions_only(client: Any, locking: str) -> None:
    before = put(client, locking)
    config = default("COMPLIANCE", Days=3)
    client.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=config)
    assert client.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"] == config
    after = put(client, locking)
    found = client.head_object(Bucket=locking, Key="key", VersionId=after)
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert abs(found["ObjectLockRetainUntilDate"] - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=1)
    client.delete_object(Bucket=locking, Key="key", VersionId=before)
    with refused("AccessDenied", 403):
        client.delete_object(Bucket=locking, Key="key", VersionId=after)


def test_default_retention_is_the_one_at_completion_and_of_copies(client: Any, locking: str) -> None:
    upload = client.create_multipart_upload(Bucket=locking, Key="key")["UploadId"]
    part = client.upload_part(Bucket=locking, Key="key", UploadId=upload, PartNumber=1, Body=content(PART))
    source = put(client, locking)
    client.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=default("GOVERNANCE", Years=1))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=locking, Key="key", UploadId=upload, MultipartUpload=parts)
    assert client.head_object(Bucket=locking, Key="key")["ObjectLockMode"] == "GOVERNANCE"
    copied = {"Bucket": locking, "Key": "key", "VersionId": source}
    client.copy_object(Bucket=locking, Key="copy", CopySource=copied, ObjectLockLegalHoldStatus="ON", **COMPLIANCE)
    found = client.head_object(Bucket=locking, Key="copy")
    assert (found["ObjectLockMode"], found["ObjectLockLegalHoldStatus"]) == ("COMPLIANCE", "ON")
    client.copy_object(Bucket=locking, Key="again", CopySource={"Bucket": locking, "Key": "copy"})
    found = client.head_object(Bucket=locking, Key="again")
    assert (found["ObjectLockMode"], found.get("ObjectLockLegalHoldStatus")) == ("GOVERNANCE", None)


def removals(client: Any, bucket: str, version: str) -> Iterator[str]:
    """Each way to remove a version, by what it says of its refusal."""
    yield code_of(lambda: client.delete_object(Bucket=bucket, Key="key", VersionId=version))
    for bypass in (False, True):
        answer = client.delete_objects(
            Bucket=bucket,
            Delete={"Objects": [{"Key": "key", "VersionId": version}, {"Key": "none"}]},
            BypassGovernanceRetention=bypass,
        )
        yield answer["Errors"][0]["Code"] if "Errors" in answer else ""
        assert answer["Deleted"][-1]["Key"] == "none"
    yield code_of(
        lambda: client.delete_object(Bucket=bucket, Key="key", VersionId=version, BypassGovernanceRetention=True)
    )
    yield code_of(lambda: client.delete_bucket(Bucket=bucket))


def code_of(call: Any) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.mark.parametrize("lock", [COMPLIANCE, {"ObjectLockLegalHoldStatus": "ON"}])
def test_locked_version_goes_by_no_way(client: Any, locking: str, lock: dict[str, Any]) -> None:
    version = put(client, locking, **lock)
    for _ in range(2):  # the second time under a newer version and a marker
        codes = list(removals(client, locking, version))
        assert codes == ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "BucketNotEmpty"]
        put(client, locking)
        client.delete_object(Bucket=locking, Key="key")
    assert client.get_object(Bucket=locking, Key="key", VersionId=version)["Body"].read() == b"body"


def test_governance_goes_only_to_who_bypasses_it(store: InProcessStore, client: Any, locking: str) -> None:
    version = put(client, locking, **GOVERNANCE)
    with refused("AccessDenied", 403):
        client.delete_object(Bucket=locking, Key="key", VersionId=version)
    for value in ("false", "1", ""):
        header = {"x-amz-bypass-governance-retention": value}
        answer = raw(store, "DELETE", f"/{locking}/key", headers=header, query=(("versionId", version),))
        assert (answer.status, answer.code) == (403, "AccessDenied")
    marker = client.delete_object(Bucket=locking, Key="key")["VersionId"]
    client.delete_object(Bucket=locking, Key="key", VersionId=marker)
    client.delete_object(Bucket=locking, Key="key", VersionId=version, BypassGovernanceRetention=True)
    with refused("404", 404):
        client.head_object(Bucket=locking, Key="key")


def test_put_object_retention_prolongs_and_never_shortens(client: Any, locking: str) -> None:
    put(client, locking, **COMPLIANCE)
    client.put_object_retention(Bucket=locking, Key="key", Retention=retention("COMPLIANCE", LATEST))
    assert client.get_object_retention(Bucket=locking, Key="key")["Retention"] == retention("COMPLIANCE", LATEST)
    for wanted in (retention("COMPLIANCE", LATER), retention("GOVERNANCE", LATEST), {}):
        with refused("AccessDenied", 403):
            client.put_object_retention(Bucket=locking, Key="key", Retention=wanted, BypassGovernanceRetention=True)
    assert client.get_object_retention(Bucket=locking, Key="key")["Retention"] == retention("COMPLIANCE", LATEST)


def test_put_object_retention_of_the_date_that_was_read(client: Any, locking: str) -> None:
    client.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=default("COMPLIANCE", Days=1))
    put(client, locking)
    found = client.get_object_retention(Bucket=locking, Key="key")["Retention"]
    client.put_object_retention(Bucket=locking, Key="key", Retention=found)


def test_governance_retention_is_lifted_by_bypassing(client: Any, locking: str) -> None:
    put(client, locking, **GOVERNANCE)
    with refused("AccessDenied", 403):
        client.put_object_retention(Bucket=locking, Key="key", Retention={})
    client.put_object_retention(Bucket=locking, Key="key", Retention={}, BypassGovernanceRetention=True)
    with refused("NoSuchObjectLockConfiguration", 404):
        client.get_object_retention(Bucket=locking, Key="key")


def test_legal_hold_is_put_on_and_taken_off(client: Any, locking: str) -> None:
    version = put(client, locking)
    with refused("NoSuchObjectLockConfiguration", 404):
        client.get_object_legal_hold(Bucket=locking, Key="key")
    for status in ("ON", "OFF"):
        client.put_object_legal_hold(Bucket=locking, Key="key", VersionId=version, LegalHold={"Status": status})
        assert client.get_object_legal_hold(Bucket=locking, Key="key")["LegalHold"] == {"Status": status}
        assert client.head_object(Bucket=locking, Key="key")["ObjectLockLegalHoldStatus"] == status
    client.delete_object(Bucket=locking, Key="key", VersionId=version)


def test_lock_operations_on_a_bucket_that_does_not_lock(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body")
    calls = [
        lambda: client.put_object_retention(Bucket=bucket, Key="key", Retention=retention("COMPLIANCE", LATER)),
        lambda: client.get_object_retention(Bucket=bucket, Key="key"),
        lambda: client.put_object_legal_hold(Bucket=bucket, Key="key", LegalHold={"Status": "ON"}),
        lambda: client.get_object_legal_hold(Bucket=bucket, Key="key"),
        lambda: client.put_object(Bucket=bucket, Key="key", Body=b"body", **COMPLIANCE),
        lambda: client.create_multipart_upload(Bucket=bucket, Key="key", ObjectLockLegalHoldStatus="ON"),
    ]
    for call in calls:
        with refused("InvalidRequest", 400):
            call()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-object-lock-mode": "GOVERNANCE"},
        {"x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z"},
        {"x-amz-object-lock-mode": "abc", "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z"},
        {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "tomorrow"},
        {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2020-01-01T00:00:00Z"},
        {"x-amz-object-lock-legal-hold": "on"},
    ],
)
def test_put_object_with_illegal_lock_headers_stores_nothing(
    store: InProcessStore, client: Any, locking: str, headers: dict[str, str]
) -> None:
    answer = raw(store, "PUT", f"/{locking}/key", b"", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert "Contents" not in client.list_objects_v2(Bucket=locking)


def test_locked_bodies_need_a_digest(store: InProcessStore, client: Any, locking: str) -> None:
    hold = {"x-amz-object-lock-legal-hold": "ON"}
    assert raw(store, "PUT", f"/{locking}/key", b"body").status == 200
    answer = raw(store, "PUT", f"/{locking}/key", b"body", hold)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    upload = client.create_multipart_upload(Bucket=locking, Key="key", ObjectLockLegalHoldStatus="ON")["UploadId"]
    answer = raw(store, "PUT", f"/{locking}/key", b"part", query=(("uploadId", upload), ("partNumber", "1")))
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    client.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=default("GOVERNANCE", Days=1))
    assert raw(store, "PUT", f"/{locking}/key", b"body").code == "InvalidRequest"


def test_multipart_object_is_locked_as_it_was_begun(client: Any, locking: str) -> None:
    upload = client.create_multipart_upload(Bucket=locking, Key="key", **GOVERNANCE)["UploadId"]
    part = client.upload_part(Bucket=locking, Key="key", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    made = client.complete_multipart_upload(Bucket=locking, Key="key", UploadId=upload, MultipartUpload=parts)
    assert client.head_object(Bucket=locking, Key="key")["ObjectLockRetainUntilDate"] == LATER
    with refused("AccessDenied", 403):
        client.delete_object(Bucket=locking, Key="key", VersionId=made["VersionId"])


def test_lock_goes_by_the_stores_clock(client: Any, locking: str) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1.2)
    version = put(client, locking, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    with refused("AccessDenied", 403):
        client.delete_object(Bucket=locking, Key="key", VersionId=version)
    while datetime.now(UTC) < until + timedelta(seconds=0.2):
        client.head_object(Bucket=locking, Key="key")
    client.delete_object(Bucket=locking, Key="key", VersionId=version)
