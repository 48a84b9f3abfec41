"""The files of an inventory report, in S3's layout (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus
from uuid import NAMESPACE_OID, uuid5

from cyxcloud.core.ids import AccountId
from cyxcloud.meta.inventory import Listed
from cyxcloud.objects import attributes as codec
from cyxcloud.objects.acl import FULL_CONTROL, Grant
from cyxcloud.objects.attributes import EMPTY, Attributes
from cyxcloud.objects.inventory import ALL, CSV, OPTIONAL_FIELDS, InventoryConfig

_VERSION = "2016-11-30"
_OF_VERSIONS = ("VersionId", "IsLatest", "IsDeleteMarker")
# Of a delete marker these are empty.
_OF_CONTENT = frozenset(OPTIONAL_FIELDS) - {"LastModifiedDate", "ObjectOwner", "ReplicationStatus"}


@dataclass(frozen=True, slots=True)
class DataFile:
    key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Report:
    """One report of a bucket. `owner_of` gives the canonical id of an account."""

    bucket: str
    config: InventoryConfig
    started_ms: int
    is_versioned: bool
    owner_of: Callable[[AccountId], str]

    @property
    def columns(self) -> list[str]:
        versions = _OF_VERSIONS if self.config.versions == ALL else ()
        return ["Bucket", "Key", *versions, *(name for name in OPTIONAL_FIELDS if name in self.config.fields)]

    @property
    def _folder(self) -> str:
        prefix = f"{self.config.prefix.rstrip('/')}/" if self.config.prefix else ""
        return f"{prefix}{self.bucket}/{self.config.id}"

    def data_key(self, number: int) -> str:
        """The same whenever this file of this report is made again."""
        name = uuid5(NAMESPACE_OID, f"{self.bucket}/{self.config.id}/{self.started_ms}/{number}")
        return f"{self._folder}/data/{name}.csv.gz"

    @property
    def manifest_key(self) -> str:
        return f"{self._folder}/{self._moment:%Y-%m-%dT%H-%MZ}/manifest.json"

    @property
    def checksum_key(self) -> str:
        return f"{self._folder}/{self._moment:%Y-%m-%dT%H-%MZ}/manifest.checksum"

    @property
    def symlink_key(self) -> str:
        return f"{self._folder}/hive/dt={self._moment:%Y-%m-%d-%H-%M}/symlink.txt"

    @property
    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self.started_ms / 1000, UTC)

    def manifest(self, files: Sequence[DataFile]) -> bytes:
        document = {
            "sourceBucket": self.bucket,
            "destinationBucket": self.config.destination,
            "version": _VERSION,
            "creationTimestamp": str(self.started_ms),
            "fileFormat": CSV,
            "fileSchema": ", ".join(self.columns),
            "files": [{"key": each.key, "size": each.size, "MD5checksum": each.md5} for each in files],
        }
        return json.dumps(document, indent=2).encode()

    def symlink(self, files: Sequence[DataFile]) -> bytes:
        return "\n".join([f"s3://{self.config.bucket}/{each.key}" for each in files]).encode()

    def line(self, row: Listed, *, is_latest: bool) -> bytes:
        attributes = EMPTY if row.is_delete_marker else codec.decode(row.attributes)
        entry = _Entry(row, attributes, self.owner_of(row.account))
        cells = [self.bucket, quote_plus(row.key, safe="/*")]
        if self.config.versions == ALL:
            cells += [self._version(row), _boolean(is_latest), _boolean(row.is_delete_marker)]
        cells += [
            "" if row.is_delete_marker and name in _OF_CONTENT else make(entry)
            for name, make in _CELLS.items()
            if name in self.config.fields
        ]
        return (",".join([_quoted(cell) for cell in cells]) + "\n").encode()

    def _version(self, row: Listed) -> str:
        if row.is_null:
            return "null" if self.is_versioned else ""
        return f"{row.id:016x}"


@dataclass(frozen=True, slots=True)
class _Entry:
    row: Listed
    attributes: Attributes
    owner: str


def _quoted(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def _boolean(value: object) -> str:
    return "true" if value else "false"


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_multipart(entry: _Entry) -> str:
    return _boolean(bool(entry.attributes.parts) or "-" in entry.row.etag)


def _encryption(entry: _Entry) -> str:
    kept = entry.attributes.encryption
    if kept is None:
        return "SSE-S3"
    return "SSE-C" if kept.is_customer else "SSE-KMS"


def _bucket_key(entry: _Entry) -> str:
    kept = entry.attributes.encryption
    return "ENABLED" if kept is not None and kept.bucket_key else "DISABLED"


def _retain_until(entry: _Entry) -> str:
    lock = entry.attributes.lock
    return _iso(lock.until_ms) if lock is not None and lock.mode else ""


def _legal_hold(entry: _Entry) -> str:
    lock = entry.attributes.lock
    return "On" if lock is not None and lock.legal_hold else "Off"


def _access_list(entry: _Entry) -> str:
    grants = entry.attributes.acl
    if grants is None:
        grants = (Grant(entry.owner, FULL_CONTROL),)
    document = {"version": "2022-11-10", "status": "AVAILABLE", "grants": [_grant(each) for each in grants]}
    return base64.b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()


def _grant(grant: Grant) -> dict[str, Any]:
    if grant.is_group:
        return {"uri": grant.grantee, "type": "Group", "permission": grant.permission}
    return {"canonicalId": grant.grantee, "type": "CanonicalUser", "permission": grant.permission}


_CELLS: Mapping[str, Callable[[_Entry], str]] = {
    "Size": lambda entry: str(entry.row.size),
    "LastModifiedDate": lambda entry: _iso(entry.row.mtime_ms),
    "ETag": lambda entry: entry.row.etag,
    "StorageClass": lambda entry: entry.row.storage_class,
    "IsMultipartUploaded": _is_multipart,
    "ReplicationStatus": lambda _entry: "",
    "EncryptionStatus": _encryption,
    "ObjectLockRetainUntilDate": _retain_until,
    "ObjectLockMode": lambda entry: "" if entry.attributes.lock is None else entry.attributes.lock.mode,
    "ObjectLockLegalHoldStatus": _legal_hold,
    "IntelligentTieringAccessTier": lambda _entry: "",
    "BucketKeyStatus": _bucket_key,
    "ChecksumAlgorithm": lambda entry: "" if entry.attributes.checksum is None else entry.attributes.checksum.algorithm,
    "ObjectAccessControlList": _access_list,
    "ObjectOwner": lambda entry: entry.owner,
}
assert tuple(_CELLS) == OPTIONAL_FIELDS
