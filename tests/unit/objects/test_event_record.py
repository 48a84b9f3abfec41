"""Messages against S3's documented structure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.changes import Change
from cyxcloud.objects.event_record import Source, event_of_test, record

SOURCE = Source("photos", "eu-central-1", "owner-id", is_versioned=False)
CHANGE = Change(
    BucketId(1),
    26,
    1_700_000_000_123,
    "ObjectCreated:Put",
    "my photos/ü+1.jpg".encode(),
    None,
    1024,
    "0123456789abcdef",
    Cause("ObjectCreated:Put", "user-id", "192.0.2.7", "REQ1"),
)


def shown(change: Change, source: Source = SOURCE) -> Any:
    (found,) = json.loads(record(change, source, "rule-1"))["Records"]
    return found


def test_record_of_a_put_to_the_letter() -> None:
    assert shown(CHANGE) == {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2023-11-14T22:13:20.123Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "user-id"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {"x-amz-request-id": "REQ1", "x-amz-id-2": "REQ1"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "rule-1",
            "bucket": {
                "name": "photos",
                "ownerIdentity": {"principalId": "owner-id"},
                "arn": "arn:aws:s3:::photos",
            },
            "object": {
                "key": "my+photos/%C3%BC%2B1.jpg",
                "size": 1024,
                "eTag": "0123456789abcdef",
                "sequencer": "000000000000001A",
            },
        },
    }


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("ObjectRemoved:Delete", {}),
        ("LifecycleExpiration:Delete", {}),
        ("ObjectRemoved:DeleteMarkerCreated", {"eTag": "d41d8cd98f00b204e9800998ecf8427e"}),
        ("ObjectTagging:Put", {"size": 1024, "eTag": "0123456789abcdef"}),
    ],
)
def test_record_shows_of_the_object_what_there_is(event: str, fields: dict[str, object]) -> None:
    found = shown(CHANGE._replace(event=event))["s3"]["object"]
    del found["key"], found["sequencer"]
    assert found == fields


def test_record_names_the_version_where_there_are_versions() -> None:
    versioned = replace(SOURCE, is_versioned=True)
    assert shown(CHANGE._replace(version=VersionId(0x12AB)))["s3"]["object"]["versionId"] == "00000000000012ab"
    assert shown(CHANGE, versioned)["s3"]["object"]["versionId"] == "null"


@pytest.mark.parametrize(
    ("event", "version"), [("ObjectAcl:Put", "2.3"), ("LifecycleTransition", "2.3"), ("ObjectCreated:Copy", "2.1")]
)
def test_record_of_a_later_family_says_so(event: str, version: str) -> None:
    assert shown(CHANGE._replace(event=event))["eventVersion"] == version


def test_event_of_test() -> None:
    assert json.loads(event_of_test("photos", 1_700_000_000_123, "R")) == {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2023-11-14T22:13:20.123Z",
        "Bucket": "photos",
        "RequestId": "R",
        "HostId": "R",
    }
