"""ListObjectVersions over HTTP: order, pages, markers, owners, what is latest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import prefixes_of, raw


@pytest.fixture
def versioned(client: Any, bucket: str) -> str:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def put(client: Any, bucket: str, key: str, body: bytes = b"body") -> str:
    version: str = client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "null")
    return version


def listed(answer: Any) -> list[tuple[str, str, bool]]:
    return [(each["Key"], each["VersionId"], each["IsLatest"]) for each in answer.get("Versions", [])]


def test_versions_stand_newest_first_with_what_each_is(client: Any, bucket: str) -> None:
    put(client, bucket, "a", b"null")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    newest = put(client, bucket, "a", b"newest")
    marker = client.delete_object(Bucket=bucket, Key="b")["VersionId"]
    answer = client.list_object_versions(Bucket=bucket)
    assert listed(answer) == [("a", newest, True), ("a", "null", False)]
    assert [each["Size"] for each in answer["Versions"]] == [6, 4]
    head = client.head_object(Bucket=bucket, Key="a")
    first = answer["Versions"][0]
    assert (first["ETag"], first["LastModified"].replace(microsecond=0)) == (head["ETag"], head["LastModified"])
    (shown,) = answer["DeleteMarkers"]
    assert (shown["Key"], shown["VersionId"], shown["IsLatest"]) == ("b", marker, True)
    owner = client.list_buckets()["Owner"]
    assert shown["Owner"] == first["Owner"] == owner
    assert not answer["IsTruncated"]


def test_pages_meet_each_version_once(client: Any, versioned: str) -> None:
    wanted = []
    for key in ("a", "b/1", "b/2", "c"):
        mine = [put(client, versioned, key) for _ in range(3)]
        wanted += [(key, version, n == 0) for n, version in enumerate(reversed(mine))]
    client.delete_object(Bucket=versioned, Key="c")
    seen, markers = [], 0
    for page in client.get_paginator("list_object_versions").paginate(
        Bucket=versioned, PaginationConfig={"PageSize": 2}
    ):
        seen += listed(page)
        markers += len(page.get("DeleteMarkers", []))
    assert seen == [*wanted[:9], *((key, version, False) for key, version, _ in wanted[9:])]
    assert markers == 1


def test_delimiter_rolls_up_and_pages_go_on_after_a_prefix(client: Any, versioned: str) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        put(client, versioned, key)
        put(client, versioned, key)
    page = client.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=3)
    assert ([each[0] for each in listed(page)], prefixes_of(page)) == (["a", "a"], ["b/"])
    assert (page["NextKeyMarker"], page.get("NextVersionIdMarker")) == ("b/", None)
    page = client.list_object_versions(Bucket=versioned, Delimiter="/", KeyMarker="b/")
    assert ([each[0] for each in listed(page)], prefixes_of(page)) == (["c", "c"], [])
    assert [each[0] for each in listed(client.list_object_versions(Bucket=versioned, Prefix="b/1"))] == ["b/1", "b/1"]


def test_keys_are_url_encoded_on_request(client: Any, versioned: str) -> None:
    """boto3 asks for it and decodes."""
    put(client, versioned, "a\x01 &+ü")
    page = client.list_object_versions(Bucket=versioned, KeyMarker="a\x01")
    assert (page["Versions"][0]["Key"], page["KeyMarker"]) == ("a\x01 &+ü", "a\x01")


def test_emptying_a_bucket_while_paging_leaves_nothing(client: Any, versioned: str) -> None:
    for _ in range(7):
        put(client, versioned, "k")
    key, version, more = "", "", True
    while more:
        named = {"KeyMarker": key, "VersionIdMarker": version} if key else {}
        page = client.list_object_versions(Bucket=versioned, MaxKeys=2, **named)
        for each in page["Versions"]:
            client.delete_object(Bucket=versioned, Key=each["Key"], VersionId=each["VersionId"])
        key, version, more = page.get("NextKeyMarker"), page.get("NextVersionIdMarker"), page["IsTruncated"]
    client.delete_bucket(Bucket=versioned)


@pytest.mark.parametrize(
    "query",
    [
        (("version-id-marker", "null"),),
        (("key-marker", "k"), ("version-id-marker", "")),
        (("key-marker", "k"), ("version-id-marker", "what")),
        (("max-keys", "-1"),),
        (("encoding-type", "base64"),),
    ],
)
def test_parameters_that_make_no_sense(
    store: InProcessStore, versioned: str, query: tuple[tuple[str, str], ...]
) -> None:
    answer = raw(store, "GET", f"/{versioned}", query=(("versions", ""), *query))
    assert (answer.status, answer.code) == (400, "InvalidArgument")
