"""ListObjects, ListObjectsV2 and ListBuckets: order, pages, prefixes and odd keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import keys_of, prefixes_of, refused

TREE = ["a", "a/1", "a/2", "a/b/1", "b", "b/", "foo+1/x", "foo/x", "z"]
ODD = ["%41", "&<>\"'", "+", " ", "\n\r\t", "\x01\x7f", "ä€😀", "a//b", "./..", "/lead", "\ue000\U0010ffff"]


def fill(client: Any, bucket: str, keys: list[str]) -> None:
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())


def pages_v1(client: Any, bucket: str, size: int, **given: Any) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    prefixes: list[str] = []
    marker = ""
    while True:
        page = client.list_objects(Bucket=bucket, MaxKeys=size, Marker=marker, **given)
        keys, prefixes = keys + keys_of(page), prefixes + prefixes_of(page)
        if not page["IsTruncated"]:
            return keys, prefixes
        assert len(keys_of(page)) + len(prefixes_of(page)) == size
        marker = page["NextMarker"] if "Delimiter" in given else keys_of(page)[-1]


def pages_v2(client: Any, bucket: str, size: int, **given: Any) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    prefixes: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.list_objects_v2(Bucket=bucket, MaxKeys=size, **given, **token)
        assert page["KeyCount"] == len(keys_of(page)) + len(prefixes_of(page)) <= size
        keys, prefixes = keys + keys_of(page), prefixes + prefixes_of(page)
        if not page["IsTruncated"]:
            return keys, prefixes
        token = {"ContinuationToken": page["NextContinuationToken"]}


@pytest.mark.parametrize("pages", [pages_v1, pages_v2])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_join_to_the_whole(client: Any, bucket: str, pages: Any, size: int) -> None:
    fill(client, bucket, TREE)
    by_bytes = sorted(TREE, key=str.encode)
    assert pages(client, bucket, size) == (by_bytes, [])
    assert pages(client, bucket, size, Prefix="a") == (["a", "a/1", "a/2", "a/b/1"], [])
    assert pages(client, bucket, size, Delimiter="/") == (["a", "b", "z"], ["a/", "b/", "foo+1/", "foo/"])
    assert pages(client, bucket, size, Delimiter="/", Prefix="a/") == (["a/1", "a/2"], ["a/b/"])
    assert pages(client, bucket, size, Delimiter="o+1/") == (
        [key for key in by_bytes if key != "foo+1/x"],
        ["foo+1/"],
    )
    assert pages(client, bucket, size, Prefix="nothing") == ([], [])


def test_odd_keys_come_back_as_they_are(client: Any, bucket: str) -> None:
    fill(client, bucket, ODD)
    by_bytes = sorted(ODD, key=str.encode)
    assert pages_v1(client, bucket, 3) == (by_bytes, [])
    assert pages_v2(client, bucket, 3) == (by_bytes, [])
    for key in ODD:
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        assert keys_of(client.list_objects_v2(Bucket=bucket, Prefix=key)) == [key]
        assert keys_of(client.list_objects_v2(Bucket=bucket, StartAfter=key)) == by_bytes[by_bytes.index(key) + 1 :]


def test_page_sizes(client: Any, bucket: str) -> None:
    fill(client, bucket, ["a", "b"])
    for call in (client.list_objects, client.list_objects_v2):
        page = call(Bucket=bucket, MaxKeys=0)
        assert (keys_of(page), page["IsTruncated"], page["MaxKeys"]) == ([], False, 0)
        assert call(Bucket=bucket, MaxKeys=5000)["MaxKeys"] == 1000
        with refused("InvalidArgument", 400):
            call(Bucket=bucket, MaxKeys=-1)
        with refused("NoSuchBucket", 404):
            call(Bucket="no-such-bucket")


def test_a_token_survives_the_key_it_stands_at(client: Any, bucket: str) -> None:
    fill(client, bucket, ["a", "b", "c"])
    page = client.list_objects_v2(Bucket=bucket, MaxKeys=2)
    client.delete_object(Bucket=bucket, Key="b")
    token = page["NextContinuationToken"]
    assert keys_of(client.list_objects_v2(Bucket=bucket, ContinuationToken=token)) == ["c"]
    with refused("InvalidArgument", 400):
        client.list_objects_v2(Bucket=bucket, ContinuationToken="made-up")
    whole = client.list_objects_v2(Bucket=bucket, ContinuationToken="")
    assert (whole["ContinuationToken"], keys_of(whole)) == ("", ["a", "c"])


def test_what_a_listing_says_of_objects(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", StorageClass="STANDARD_IA")
    head = client.head_object(Bucket=bucket, Key="k")
    line = client.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]
    assert (line["ETag"], line["Size"], line["StorageClass"]) == (head["ETag"], 5, "STANDARD_IA")
    assert line["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert line["Owner"]["DisplayName"] == "root"
    assert "Owner" not in client.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert "Owner" in client.list_objects(Bucket=bucket)["Contents"][0]


def test_buckets_of_an_account(store: InProcessStore, client: Any, bucket: str) -> None:
    other = store.client(*store.add_user("lister"))
    assert other.list_buckets()["Buckets"] == []
    names = [f"{bucket}-list-{n}" for n in range(5)]
    for name in names:
        other.create_bucket(Bucket=name)
    assert [each["Name"] for each in other.list_buckets()["Buckets"]] == names
    first = other.list_buckets(MaxBuckets=2)
    rest = other.list_buckets(MaxBuckets=5, ContinuationToken=first["ContinuationToken"])
    assert [each["Name"] for each in first["Buckets"] + rest["Buckets"]] == names
    assert "ContinuationToken" not in rest
    found = other.list_buckets(Prefix=f"{bucket}-list-3", BucketRegion="us-east-1")["Buckets"]
    assert [each["Name"] for each in found] == [names[3]]
    assert bucket in [each["Name"] for each in client.list_buckets()["Buckets"]]
