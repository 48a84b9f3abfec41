"""DeleteObjects: many keys in one transaction, each with an outcome of its own."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import content, keys_of, raw, refused

HELLO_ETAG = f'"{hashlib.md5(b"hello", usedforsecurity=False).hexdigest()}"'


def delete(client: Any, bucket: str, *entries: dict[str, Any], quiet: bool = False) -> Any:
    return client.delete_objects(Bucket=bucket, Delete={"Objects": list(entries), "Quiet": quiet})


def test_deletes_what_is_there_and_what_is_not(client: Any, bucket: str) -> None:
    for key in ("a", "b", "c"):
        client.put_object(Bucket=bucket, Key=key, Body=content(20_000))
    answer = delete(client, bucket, {"Key": "a"}, {"Key": "nothing"}, {"Key": "c"})
    assert [each["Key"] for each in answer["Deleted"]] == ["a", "nothing", "c"]
    assert "Errors" not in answer
    assert keys_of(client.list_objects_v2(Bucket=bucket)) == ["b"]


def test_quiet_tells_failures_alone(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"hello")
    answer = delete(client, bucket, {"Key": "a"}, {"Key": "b", "VersionId": "77"}, quiet=True)
    assert "Deleted" not in answer
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("b", "NoSuchVersion")]


def test_each_condition_counts_for_its_key_alone(client: Any, bucket: str) -> None:
    for key in ("etag", "other", "size", "big", "old"):
        client.put_object(Bucket=bucket, Key=key, Body=b"hello")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    answer = delete(
        client,
        bucket,
        {"Key": "etag", "ETag": HELLO_ETAG},
        {"Key": "other", "ETag": '"other"'},
        {"Key": "size", "Size": 5},
        {"Key": "big", "Size": 6},
        {"Key": "old", "LastModifiedTime": yesterday},
        {"Key": "nothing", "ETag": '"other"'},
    )
    assert [each["Key"] for each in answer["Deleted"]] == ["etag", "size", "nothing"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [
        (key, "PreconditionFailed") for key in ("other", "big", "old")
    ]
    assert keys_of(client.list_objects_v2(Bucket=bucket)) == ["big", "old", "other"]


def test_a_thousand_keys_are_the_most(client: Any, bucket: str) -> None:
    assert len(delete(client, bucket, *({"Key": f"{n}"} for n in range(1000)))["Deleted"]) == 1000
    with refused("MalformedXML", 400):
        delete(client, bucket, *({"Key": f"{n}"} for n in range(1001)))


def test_a_digest_is_demanded_and_checked(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"hello")
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    refusals: list[tuple[dict[str, str], str]] = [
        ({}, "InvalidRequest"),
        ({"content-md5": wrong}, "BadDigest"),
        ({"content-md5": "x"}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
    ]
    for headers, code in refusals:
        answer = raw(store, "POST", f"/{bucket}", body, headers, query=(("delete", ""),))
        assert (answer.status, answer.code) == (400, code)
    assert keys_of(client.list_objects_v2(Bucket=bucket)) == ["a"]
    right = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    assert raw(store, "POST", f"/{bucket}", body, {"content-md5": right}, query=(("delete", ""),)).status == 200
    assert keys_of(client.list_objects_v2(Bucket=bucket)) == []
