"""A change as S3 tells it to a destination (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from cyxcloud.core.ids import VersionId
from cyxcloud.meta.changes import Change

# Families of events that came later say so in the version of their record.
_VERSIONS = {
    "ReplicationTime": "2.2",
    "Replication": "2.2",
    "ObjectRestore": "2.3",
    "LifecycleExpiration": "2.3",
    "LifecycleTransition": "2.3",
    "IntelligentTiering": "2.3",
    "ObjectAcl": "2.3",
    "ObjectTagging": "2.3",
}
_FIRST_VERSION = "2.1"
_REMOVALS = frozenset({"ObjectRemoved", "LifecycleExpiration"})
# Of a delete marker: the ETag of nothing.
_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, slots=True)
class Source:
    """The bucket that an event is of."""

    name: str
    region: str
    owner: str
    is_versioned: bool


def record(change: Change, source: Source, configuration: str) -> bytes:
    """The whole message: one record."""
    return _encoded({"Records": [_record(change, source, configuration)]})


def _record(change: Change, source: Source, configuration: str) -> dict[str, Any]:
    cause = change.cause
    return {
        "eventVersion": _VERSIONS.get(change.event.partition(":")[0], _FIRST_VERSION),
        "eventSource": "aws:s3",
        "awsRegion": source.region,
        "eventTime": _iso(change.at_ms),
        "eventName": change.event,
        "userIdentity": {"principalId": cause.principal},
        "requestParameters": {"sourceIPAddress": cause.address},
        "responseElements": {"x-amz-request-id": cause.request_id, "x-amz-id-2": cause.request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {
                "name": source.name,
                "ownerIdentity": {"principalId": source.owner},
                "arn": f"arn:aws:s3:::{source.name}",
            },
            "object": _object(change, source),
        },
    }


def _object(change: Change, source: Source) -> dict[str, Any]:
    shown: dict[str, Any] = {"key": quote_plus(change.key, safe="/*")}
    family, _, kind = change.event.partition(":")
    if kind == "DeleteMarkerCreated":
        shown["eTag"] = _EMPTY_ETAG
    elif family not in _REMOVALS:
        shown |= {"size": change.size, "eTag": change.etag}
    if source.is_versioned or change.version is not None:
        shown["versionId"] = _version_text(change.version)
    return shown | {"sequencer": f"{change.seq:016X}"}


def event_of_test(bucket: str, now_ms: int, request_id: str) -> bytes:
    """What a destination gets when it is configured."""
    return _encoded(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _iso(now_ms),
            "Bucket": bucket,
            "RequestId": request_id,
            "HostId": request_id,
        }
    )


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _version_text(version: VersionId | None) -> str:
    return "null" if version is None else f"{version:016x}"
