"""Versions of a key over HTTP: what is kept, what is current, what each answer says of it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, content, keys_of, raw, refused

SIZES = [10, 40_000]


def configure(client: Any, bucket: str, status: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


@pytest.fixture
def versioned(client: Any, bucket: str) -> str:
    configure(client, bucket, "Enabled")
    return bucket


def put(client: Any, bucket: str, key: str = "k", body: bytes = b"body", **more: Any) -> str | None:
    version: str | None = client.put_object(Bucket=bucket, Key=key, Body=body, **more).get("VersionId")
    return version


def body_of(client: Any, bucket: str, version: str | None = None, key: str = "k") -> bytes:
    named = {} if version is None else {"VersionId": version}
    answer = client.get_object(Bucket=bucket, Key=key, **named)
    body: bytes = answer["Body"].read()
    return body


def headers_of_refusal(client: Any, bucket: str, **named: str) -> tuple[int, dict[str, str]]:
    with pytest.raises(ClientError) as caught:
        client.head_object(Bucket=bucket, Key="k", **named)
    answer = caught.value.response["ResponseMetadata"]
    return answer["HTTPStatusCode"], answer["HTTPHeaders"]


def test_get_bucket_versioning_tells_what_was_put(client: Any, bucket: str) -> None:
    assert "Status" not in client.get_bucket_versioning(Bucket=bucket)
    for status in ("Suspended", "Enabled", "Suspended"):
        configure(client, bucket, status)
        assert client.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_put_bucket_versioning_refuses_mfa_delete(client: Any, bucket: str) -> None:
    with refused("AccessDenied", 403):
        client.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"}, MFA="1 123456"
        )
    assert "Status" not in client.get_bucket_versioning(Bucket=bucket)


@pytest.mark.parametrize("size", SIZES)
def test_get_reads_each_version(client: Any, versioned: str, size: int) -> None:
    bodies = [content(size, seed) for seed in range(3)]
    versions = [put(client, versioned, body=body) for body in bodies]
    assert len(set(versions)) == 3
    assert [body_of(client, versioned, version) for version in versions] == bodies
    assert body_of(client, versioned) == bodies[-1]
    head = client.head_object(Bucket=versioned, Key="k", VersionId=versions[0])
    assert (head["VersionId"], head["ContentLength"]) == (versions[0], size)
    assert client.get_object(Bucket=versioned, Key="k")["VersionId"] == versions[-1]
    attributes = client.get_object_attributes(
        Bucket=versioned, Key="k", VersionId=versions[1], ObjectAttributes=["ObjectSize"]
    )
    assert (attributes["VersionId"], attributes["ObjectSize"]) == (versions[1], size)


def test_versions_are_those_of_their_key(client: Any, versioned: str) -> None:
    version = put(client, versioned)
    with refused("NoSuchVersion", 404):
        client.get_object(Bucket=versioned, Key="other", VersionId=version)
    with refused("NoSuchVersion", 404):
        client.get_object(Bucket=versioned, Key="k", VersionId="null")
    client.delete_object(Bucket=versioned, Key="other", VersionId=version)
    assert body_of(client, versioned) == b"body"


def test_a_bucket_without_versions_says_none(client: Any, bucket: str) -> None:
    assert put(client, bucket) is None
    assert "VersionId" not in client.get_object(Bucket=bucket, Key="k")
    assert client.get_object(Bucket=bucket, Key="k", VersionId="null")["VersionId"] == "null"
    assert "VersionId" not in client.delete_object(Bucket=bucket, Key="k")
    put(client, bucket)
    assert client.delete_object(Bucket=bucket, Key="k", VersionId="null")["VersionId"] == "null"
    with refused("NoSuchKey", 404):
        client.get_object(Bucket=bucket, Key="k")


def test_what_was_there_before_versioning_is_the_null_version(client: Any, bucket: str) -> None:
    put(client, bucket, body=b"before")
    configure(client, bucket, "Enabled")
    assert client.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    put(client, bucket, body=b"after")
    assert (body_of(client, bucket, "null"), body_of(client, bucket)) == (b"before", b"after")


@pytest.mark.parametrize("size", SIZES)
def test_put_in_a_suspended_bucket_replaces_the_null_version_alone(client: Any, bucket: str, size: int) -> None:
    put(client, bucket, body=content(size, 1))
    configure(client, bucket, "Enabled")
    kept = put(client, bucket, body=content(size, 2))
    configure(client, bucket, "Suspended")
    assert put(client, bucket, body=content(size, 3)) is None
    assert put(client, bucket, body=content(size, 4)) is None
    assert body_of(client, bucket, "null") == body_of(client, bucket) == content(size, 4)
    assert body_of(client, bucket, kept) == content(size, 2)
    client.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert client.get_object(Bucket=bucket, Key="k")["VersionId"] == kept


def test_delete_leaves_a_marker_that_hides_the_object(client: Any, versioned: str) -> None:
    version = put(client, versioned)
    answer = client.delete_object(Bucket=versioned, Key="k")
    marker = answer["VersionId"]
    assert answer["DeleteMarker"]
    assert marker != version
    status, headers = headers_of_refusal(client, versioned)
    assert (status, headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == (404, "true", marker)
    status, headers = headers_of_refusal(client, versioned, VersionId=marker)
    assert (status, headers["x-amz-delete-marker"], headers["allow"]) == (405, "true", "DELETE")
    with refused("MethodNotAllowed", 405):
        client.get_object(Bucket=versioned, Key="k", VersionId=marker)
    assert keys_of(client.list_objects_v2(Bucket=versioned)) == []
    assert body_of(client, versioned, version) == b"body"
    answer = client.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert (answer["VersionId"], answer["DeleteMarker"]) == (marker, True)
    assert body_of(client, versioned) == b"body"


def test_delete_of_a_key_without_versions_leaves_a_marker(client: Any, versioned: str) -> None:
    assert client.delete_object(Bucket=versioned, Key="k")["DeleteMarker"]
    with refused("BucketNotEmpty", 409):
        client.delete_bucket(Bucket=versioned)


def test_head_of_nothing_is_no_marker(client: Any, bucket: str) -> None:
    status, headers = headers_of_refusal(client, bucket)
    assert (status, headers["x-amz-delete-marker"]) == (404, "false")


def test_delete_in_a_suspended_bucket_puts_a_null_marker_in_the_null_versions_place(client: Any, bucket: str) -> None:
    put(client, bucket, body=b"null")
    configure(client, bucket, "Enabled")
    kept = put(client, bucket, body=b"kept")
    configure(client, bucket, "Suspended")
    for _ in range(2):
        answer = client.delete_object(Bucket=bucket, Key="k")
        assert (answer["VersionId"], answer["DeleteMarker"]) == ("null", True)
    with refused("MethodNotAllowed", 405):
        client.get_object(Bucket=bucket, Key="k", VersionId="null")
    client.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert client.get_object(Bucket=bucket, Key="k")["VersionId"] == kept


def test_delete_by_version_uncovers_the_next(client: Any, versioned: str) -> None:
    versions = [put(client, versioned, body=b"%d" % number) for number in range(4)]
    client.delete_object(Bucket=versioned, Key="k", VersionId=versions[1])
    client.delete_object(Bucket=versioned, Key="k", VersionId=versions[3])
    assert body_of(client, versioned) == b"2"
    with refused("NoSuchVersion", 404):
        client.get_object(Bucket=versioned, Key="k", VersionId=versions[3])
    assert client.delete_object(Bucket=versioned, Key="k", VersionId=versions[3])["VersionId"] == versions[3]
    for version in (versions[2], versions[0]):
        client.delete_object(Bucket=versioned, Key="k", VersionId=version)
    client.delete_bucket(Bucket=versioned)


def test_delete_objects_tells_markers_and_versions(client: Any, versioned: str) -> None:
    version = put(client, versioned)
    answer = client.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k"}, {"Key": "new"}]})
    markers = {each["Key"]: each["DeleteMarkerVersionId"] for each in answer["Deleted"]}
    assert all(each["DeleteMarker"] and "VersionId" not in each for each in answer["Deleted"])
    entries = [{"Key": "k", "VersionId": markers["k"]}, {"Key": "k", "VersionId": version}]
    answer = client.delete_objects(Bucket=versioned, Delete={"Objects": entries})
    assert answer["Deleted"] == [
        {"Key": "k", "VersionId": markers["k"], "DeleteMarker": True, "DeleteMarkerVersionId": markers["k"]},
        {"Key": "k", "VersionId": version},
    ]


def test_delete_conditions_look_at_the_version_that_goes(client: Any, versioned: str) -> None:
    old = client.put_object(Bucket=versioned, Key="k", Body=b"old")
    client.put_object(Bucket=versioned, Key="k", Body=b"new")
    with refused("PreconditionFailed", 412):
        client.delete_object(Bucket=versioned, Key="k", IfMatch=old["ETag"])
    client.delete_object(Bucket=versioned, Key="k", VersionId=old["VersionId"], IfMatch=old["ETag"])
    assert client.delete_object(Bucket=versioned, Key="k", IfMatch="*")["DeleteMarker"]
    with refused("PreconditionFailed", 412):
        client.delete_object(Bucket=versioned, Key="k", IfMatch=old["ETag"])


def test_conditional_put_sees_no_object_under_a_marker(client: Any, versioned: str) -> None:
    etag = client.put_object(Bucket=versioned, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        put(client, versioned, IfNoneMatch="*")
    client.delete_object(Bucket=versioned, Key="k")
    with refused("NoSuchKey", 404):
        put(client, versioned, IfMatch=etag)
    put(client, versioned, IfNoneMatch="*")


def test_copy_reads_the_version_that_is_named(client: Any, versioned: str) -> None:
    old, new = put(client, versioned, body=b"old"), put(client, versioned, body=b"new")
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    answer = client.copy_object(Bucket=versioned, Key="copy", CopySource=source)
    assert answer["CopySourceVersionId"] == old
    assert body_of(client, versioned, answer["VersionId"], "copy") == b"old"
    assert client.copy_object(Bucket=versioned, Key="c", CopySource=f"{versioned}/k")["CopySourceVersionId"] == new
    put_back = client.copy_object(Bucket=versioned, Key="k", CopySource=source)["VersionId"]
    assert client.get_object(Bucket=versioned, Key="k")["VersionId"] == put_back
    assert body_of(client, versioned) == b"old"


def test_copy_of_a_marker(client: Any, versioned: str) -> None:
    put(client, versioned)
    marker = client.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("NoSuchKey", 404):
        client.copy_object(Bucket=versioned, Key="copy", CopySource=f"{versioned}/k")
    with refused("InvalidRequest", 400):
        client.copy_object(Bucket=versioned, Key="copy", CopySource=f"{versioned}/k?versionId={marker}")
    with refused("NoSuchVersion", 404):
        client.copy_object(Bucket=versioned, Key="copy", CopySource=f"{versioned}/none?versionId={marker}")


def test_multipart_makes_a_version_and_copies_of_versions_make_parts(client: Any, versioned: str) -> None:
    old = put(client, versioned, body=content(PART, 1))
    put(client, versioned, body=b"new")
    upload = client.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    named = {"Bucket": versioned, "Key": "k", "UploadId": upload}
    part = client.upload_part_copy(PartNumber=1, CopySource=source, **named)
    assert part["CopySourceVersionId"] == old
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
    first = client.complete_multipart_upload(MultipartUpload=parts, **named)["VersionId"]
    assert client.complete_multipart_upload(MultipartUpload=parts, **named)["VersionId"] == first
    assert body_of(client, versioned, first) == content(PART, 1)


def test_version_ids_that_were_never_given_out(store: InProcessStore, client: Any, versioned: str) -> None:
    put(client, versioned)
    for text in ("", "x", "0123456789abcdeG"):
        for method in ("GET", "DELETE"):
            assert raw(store, method, f"/{versioned}/k", query=(("versionId", text),)).code == "InvalidArgument"
    assert body_of(client, versioned) == b"body"


def test_null_versions_that_are_replaced_give_up_their_bytes(store: InProcessStore, client: Any, bucket: str) -> None:
    """By another null version, then by a null marker: each blob is queued, and nothing of it is counted any more."""

    def blobs() -> set[int]:
        query = "SELECT v.seg_blob FROM version v JOIN bucket b ON b.id = v.bucket WHERE b.name = ? AND v.size > 0"
        return {row[0] for row in store.rows(query, bucket)}

    put(client, bucket, body=content(40_000, 1))
    gone = blobs()
    configure(client, bucket, "Suspended")
    put(client, bucket, body=content(40_000, 2))
    gone |= blobs()
    client.delete_object(Bucket=bucket, Key="k")
    assert blobs() == set()
    queued = {row[0] for row in store.rows("SELECT blob FROM deletion")}
    assert len(gone) == 2
    assert gone <= queued
    query = "SELECT sum(objects), sum(bytes) FROM usage_delta d JOIN bucket b ON b.id = d.bucket WHERE b.name = ?"
    assert store.rows(query, bucket) == [(1, 0)], "the marker"


def test_a_null_version_has_no_other_name(store: InProcessStore, client: Any, bucket: str) -> None:
    put(client, bucket)
    query = "SELECT v.id FROM version v JOIN bucket b ON b.id = v.bucket WHERE b.name = ?"
    ((number,),) = store.rows(query, bucket)
    with refused("NoSuchVersion", 404):
        client.get_object(Bucket=bucket, Key="k", VersionId=f"{number:016x}")
    client.delete_object(Bucket=bucket, Key="k", VersionId=f"{number:016x}")
    assert body_of(client, bucket) == b"body"
