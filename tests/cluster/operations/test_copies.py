"""CopyObject and UploadPartCopy: no bytes are written, references are exact."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import MIB, PART, content, refused

SIZES = [100, 40_000]
EARLIER, LATER = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))


def refs_of(store: InProcessStore, bucket: str, key: str) -> list[int]:
    """How many segments refer to each blob of the key's current version."""
    blobs = store.rows(
        "SELECT v.seg_blob FROM head h JOIN bucket b ON b.id = h.bucket JOIN version v ON v.id = h.version "
        "WHERE b.name = ? AND h.key = ?",
        bucket,
        key.encode(),
    )
    return [
        refs
        for (blob,) in blobs
        for (refs,) in store.rows(
            "SELECT refs FROM blob WHERE id = ?1 UNION ALL SELECT refs FROM inline WHERE blob = ?1", blob
        )
    ]


def put(client: Any, bucket: str, key: str, size: int, **given: Any) -> bytes:
    body = content(size)
    client.put_object(Bucket=bucket, Key=key, Body=body, **given)
    return body


def copy(client: Any, bucket: str, source: str, target: str, **given: Any) -> Any:
    return client.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source}, **given)


@pytest.mark.parametrize("size", SIZES)
def test_copies_share_the_blob_until_the_last_one_goes(
    store: InProcessStore, client: Any, bucket: str, size: int
) -> None:
    body = put(client, bucket, "one", size, ContentType="a/b", Metadata={"m": "1"})
    answer = copy(client, bucket, "one", "two")["CopyObjectResult"]
    assert answer["ETag"] == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    copy(client, bucket, "two", "three")
    assert refs_of(store, bucket, "one") == [3]
    client.delete_object(Bucket=bucket, Key="one")
    assert refs_of(store, bucket, "two") == [2]
    client.put_object(Bucket=bucket, Key="three", Body=b"something else")
    assert refs_of(store, bucket, "two") == [1]
    read = client.get_object(Bucket=bucket, Key="two")
    assert (read["Body"].read(), read["ContentType"], read["Metadata"]) == (body, "a/b", {"m": "1"})


def test_a_copy_of_an_empty_object(client: Any, bucket: str) -> None:
    put(client, bucket, "empty", 0)
    copy(client, bucket, "empty", "copy")
    client.delete_object(Bucket=bucket, Key="empty")
    assert client.get_object(Bucket=bucket, Key="copy")["Body"].read() == b""


@pytest.mark.parametrize("size", SIZES)
def test_replace_takes_headers_and_metadata_from_the_request(client: Any, bucket: str, size: int) -> None:
    body = put(client, bucket, "one", size, ContentType="a/b", CacheControl="no-cache", Metadata={"m": "1"})
    copy(client, bucket, "one", "two", MetadataDirective="REPLACE", ContentType="c/d", Metadata={"n": "2"})
    read = client.get_object(Bucket=bucket, Key="two")
    assert (read["Body"].read(), read["ContentType"], read["Metadata"]) == (body, "c/d", {"n": "2"})
    assert "CacheControl" not in read


@pytest.mark.parametrize("size", SIZES)
def test_onto_itself_only_with_a_change(store: InProcessStore, client: Any, bucket: str, size: int) -> None:
    body = put(client, bucket, "k", size)
    with refused("InvalidRequest", 400):
        copy(client, bucket, "k", "k")
    for _ in range(3):
        copy(client, bucket, "k", "k", MetadataDirective="REPLACE", Metadata={"mtime": "1"})
        assert refs_of(store, bucket, "k") == [1]
    copy(client, bucket, "k", "k", StorageClass="STANDARD_IA")
    read = client.get_object(Bucket=bucket, Key="k")
    assert (read["Body"].read(), read["StorageClass"], read["Metadata"]) == (body, "STANDARD_IA", {"mtime": "1"})


def test_names_of_the_source_are_decoded_once(client: Any, bucket: str) -> None:
    for key in ("a b", "a+b", "a%20b", "ä/é?x=1", "a//b"):
        put(client, bucket, key, 10)
        copy(client, bucket, key, "target")
        assert client.get_object(Bucket=bucket, Key="target")["Body"].read() == content(10)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"CopySourceIfMatch": "ETAG"}, True),
        ({"CopySourceIfMatch": '"other"'}, False),
        ({"CopySourceIfNoneMatch": '"other"'}, True),
        ({"CopySourceIfNoneMatch": "ETAG"}, False),
        ({"CopySourceIfModifiedSince": EARLIER}, True),
        ({"CopySourceIfModifiedSince": LATER}, False),
        ({"CopySourceIfUnmodifiedSince": EARLIER}, False),
        ({"CopySourceIfUnmodifiedSince": LATER}, True),
    ],
)
def test_conditions_on_the_source(client: Any, bucket: str, condition: dict[str, Any], *, holds: bool) -> None:
    body = put(client, bucket, "one", 10)
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    given = {name: etag if value == "ETAG" else value for name, value in condition.items()}
    if holds:
        copy(client, bucket, "one", "two", **given)
        return
    with refused("PreconditionFailed", 412):
        copy(client, bucket, "one", "two", **given)
    with refused("NoSuchKey", 404):
        client.get_object(Bucket=bucket, Key="two")


def test_conditions_on_the_target(store: InProcessStore, client: Any, bucket: str) -> None:
    put(client, bucket, "one", 40_000)
    copy(client, bucket, "one", "two", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        copy(client, bucket, "one", "two", IfNoneMatch="*")
    assert refs_of(store, bucket, "one") == [2]


def test_sources_that_cannot_be_read(store: InProcessStore, client: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        copy(client, bucket, "nothing", "two")
    with refused("NoSuchBucket", 404):
        client.copy_object(Bucket=bucket, Key="k", CopySource="no-such-bucket/k")
    with refused("InvalidArgument", 400):
        client.copy_object(Bucket=bucket, Key="k", CopySource="nokey")
    put(client, bucket, "one", 10)
    with refused("InvalidArgument", 400):
        client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/one?versionId=7")
    other = store.client(*store.add_user("copier"))
    other.create_bucket(Bucket=f"{bucket}-other")
    with refused("AccessDenied", 403):
        other.copy_object(Bucket=f"{bucket}-other", Key="k", CopySource=f"{bucket}/one")
    with refused("AccessDenied", 403):
        copy(client, bucket, "one", "two", ExpectedSourceBucketOwner="somebody")


@pytest.mark.parametrize("size", [100, 40_000, 4 * MIB + 10])
def test_a_newly_asked_checksum_is_computed(client: Any, bucket: str, size: int) -> None:
    body = put(client, bucket, "one", size, ChecksumAlgorithm="SHA1")
    answer = copy(client, bucket, "one", "two", ChecksumAlgorithm="CRC32")["CopyObjectResult"]
    assert answer["ChecksumCRC32"] == b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    read = client.head_object(Bucket=bucket, Key="two", ChecksumMode="ENABLED")
    assert (read["ChecksumCRC32"], read["ChecksumType"]) == (answer["ChecksumCRC32"], "FULL_OBJECT")
    copy(client, bucket, "one", "three")
    kept = client.head_object(Bucket=bucket, Key="three", ChecksumMode="ENABLED")
    assert kept["ChecksumSHA1"] == b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize("size", [12_000, 4 * MIB + 5000])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 11_999), (5_000, 5_100), (9_000, 11_999)])
def test_a_part_copied_from_a_range(client: Any, bucket: str, size: int, first: int, last: int) -> None:
    body = put(client, bucket, "source", size)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = client.upload_part_copy(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "source"},
        CopySourceRange=f"bytes={first}-{last}",
    )["CopyPartResult"]
    wanted = body[first : last + 1]
    assert part["ETag"] == f'"{hashlib.md5(wanted, usedforsecurity=False).hexdigest()}"'
    client.delete_object(Bucket=bucket, Key="source")
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=listed)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == wanted


def test_part_copies_that_make_no_sense(client: Any, bucket: str) -> None:
    put(client, bucket, "source", 1000)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    given = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1}
    source = {"Bucket": bucket, "Key": "source"}
    with refused("InvalidRange", 416):
        client.upload_part_copy(CopySource=source, CopySourceRange="bytes=0-1000", **given)
    for wrong in ("bytes=2-1", "bytes=-5", "0-1", "bytes=0-1,3-4"):
        with refused("InvalidArgument", 400):
            client.upload_part_copy(CopySource=source, CopySourceRange=wrong, **given)
    with refused("NoSuchUpload", 404):
        client.upload_part_copy(CopySource=source, **given | {"UploadId": "0123456789abcdef"})
    with refused("NoSuchKey", 404):
        client.upload_part_copy(CopySource={"Bucket": bucket, "Key": "nothing"}, **given)
    assert "Parts" not in client.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_replacing_and_aborting_copied_parts_gives_their_references_back(
    store: InProcessStore, client: Any, bucket: str
) -> None:
    put(client, bucket, "source", PART)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    given = {"Bucket": bucket, "Key": "k", "UploadId": upload, "CopySource": {"Bucket": bucket, "Key": "source"}}
    for number in (1, 2, 2, 3):
        client.upload_part_copy(PartNumber=number, **given)
    assert refs_of(store, bucket, "source") == [4]
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    store.step(lambda coordinator: coordinator.upload_sweep())
    assert refs_of(store, bucket, "source") == [1]
