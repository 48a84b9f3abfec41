"""Tags of objects and buckets."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, content, raw, refused


def tag_set(**tags: str) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def tags_of(client: Any, bucket: str, key: str = "key") -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def test_put_object_tagging_replaces_the_set(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body", Metadata={"m": "1"}, Tagging="a=1&b=2")
    assert tags_of(client, bucket) == {"a": "1", "b": "2"}
    client.put_object_tagging(Bucket=bucket, Key="key", Tagging=tag_set(c="3"))
    assert tags_of(client, bucket) == {"c": "3"}
    answer = client.head_object(Bucket=bucket, Key="key")
    assert answer["Metadata"] == {"m": "1"}
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "1"
    assert client.get_object(Bucket=bucket, Key="key")["TagCount"] == 1


def test_delete_object_tagging_leaves_the_object(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body", Tagging="a=1")
    assert client.delete_object_tagging(Bucket=bucket, Key="key")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags_of(client, bucket) == {}
    answer = client.get_object(Bucket=bucket, Key="key")
    assert answer["Body"].read() == b"body"
    assert "TagCount" not in answer


def test_put_object_without_tags_drops_the_former_ones(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"1", Tagging="a=1")
    client.put_object(Bucket=bucket, Key="key", Body=b"2")
    assert tags_of(client, bucket) == {}


def test_tagging_of_a_key_that_is_not_there(client: Any, bucket: str) -> None:
    for call in (client.get_object_tagging, client.delete_object_tagging):
        with refused("NoSuchKey", 404):
            call(Bucket=bucket, Key="none")
    with refused("NoSuchKey", 404):
        client.put_object_tagging(Bucket=bucket, Key="none", Tagging=tag_set(a="1"))


def test_put_object_with_illegal_tags_stores_nothing(client: Any, bucket: str) -> None:
    many = "&".join(f"k{number}=" for number in range(11))
    for tagging, code in (("a?=1", "InvalidTag"), ("a=1&a=2", "InvalidArgument"), (many, "BadRequest")):
        with refused(code, 400):
            client.put_object(Bucket=bucket, Key="key", Body=b"body", Tagging=tagging)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_put_object_tagging_refused_keeps_the_set(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body", Tagging="a=1")
    with refused("BadRequest", 400):
        client.put_object_tagging(Bucket=bucket, Key="key", Tagging=tag_set(**dict.fromkeys("abcdefghijk", "")))
    with refused("InvalidTag", 400):
        client.put_object_tagging(Bucket=bucket, Key="key", Tagging=tag_set(a="v" * 257))
    assert tags_of(client, bucket) == {"a": "1"}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<Tagging/>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tags/>",
    ],
)
def test_put_tagging_refuses_another_document(store: InProcessStore, client: Any, bucket: str, document: bytes) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body")
    for path in (f"/{bucket}/key", f"/{bucket}"):
        answer = raw(store, "PUT", path, document, {"content-md5": md5(document)}, query=(("tagging", ""),))
        assert (answer.status, answer.code) == (400, "MalformedXML")


def test_put_tagging_demands_a_digest(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body")
    document = b"<Tagging><TagSet/></Tagging>"
    for path in (f"/{bucket}/key", f"/{bucket}"):
        answer = raw(store, "PUT", path, document, query=(("tagging", ""),))
        assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_copy_keeps_the_tags_unless_told(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=b"body", Tagging="a=1")
    source = {"Bucket": bucket, "Key": "key"}
    client.copy_object(Bucket=bucket, Key="kept", CopySource=source, MetadataDirective="REPLACE")
    client.copy_object(Bucket=bucket, Key="new", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2")
    client.copy_object(Bucket=bucket, Key="none", CopySource=source, TaggingDirective="REPLACE")
    assert [tags_of(client, bucket, key) for key in ("kept", "new", "none")] == [{"a": "1"}, {"b": "2"}, {}]
    with refused("InvalidArgument", 400):
        client.copy_object(Bucket=bucket, Key="other", CopySource=source, TaggingDirective="MERGE")


def test_multipart_object_has_the_tags_it_was_begun_with(client: Any, bucket: str) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key="key", Tagging="a=1&b=")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=content(PART))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload=parts)
    assert tags_of(client, bucket) == {"a": "1", "b": ""}


def test_bucket_tagging(client: Any, bucket: str) -> None:
    with refused("NoSuchTagSet", 404):
        client.get_bucket_tagging(Bucket=bucket)
    answer = client.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(Hello="World"))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "Hello", "Value": "World"}]
    many = {f"k{number}": "" for number in range(51)}
    with refused("BadRequest", 400):
        client.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(**many))
    many.popitem()
    client.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(**many))
    assert len(client.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 50
    client.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        client.get_bucket_tagging(Bucket=bucket)


def test_create_bucket_with_tags(client: Any) -> None:
    client.create_bucket(
        Bucket="born-with-tags", CreateBucketConfiguration={"Tags": [{"Key": "team", "Value": "storage"}]}
    )
    assert client.get_bucket_tagging(Bucket="born-with-tags")["TagSet"] == [{"Key": "team", "Value": "storage"}]
    with refused("InvalidTag", 400):
        client.create_bucket(Bucket="born-without", CreateBucketConfiguration={"Tags": [{"Key": "a?", "Value": ""}]})
    with refused("404", 404):
        client.head_bucket(Bucket="born-without")


def md5(document: bytes) -> str:
    return b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()
