"""What the gateway's XML documents say, apart from how XML says it: requests as read, answers to be written (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cyxcloud.meta.rows import ListedObject
from cyxcloud.objects.attributes import Checksum, PartInfo
from s3gw.errors import Code

# Requests.


@dataclass(frozen=True, slots=True)
class DeleteEntry:
    """One key of a batch delete; the last three are conditions on what is deleted. `etag` without quotes."""

    key: bytes
    version_id: str | None = None
    etag: str | None = None
    modified_ms: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    entries: tuple[DeleteEntry, ...]
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """`checksums`: algorithm as S3 spells it -> base64."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompleteDocument:
    parts: tuple[CompletedPart, ...]


@dataclass(frozen=True, slots=True)
class CreateBucketDocument:
    location: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


# Answers. What comes by the thousand is a tuple, which costs a third of a dataclass and may be a database row as it is.


class BucketLine(NamedTuple):
    name: str
    created_ms: int
    region: str


class UploadLine(NamedTuple):
    key: bytes
    upload_id: str
    initiated_ms: int
    storage_class: str
    checksum_algorithm: str
    checksum_type: str
    owner: Owner
    initiator: Owner


class PartLine(NamedTuple):
    number: int
    size: int
    etag: str
    modified_ms: int
    checksum: Checksum | None


class DeletedLine(NamedTuple):
    key: bytes
    version_id: str | None
    delete_marker_version_id: str | None
    """The marker that this delete made, or the one that it removed; None where none was involved."""


class FailedLine(NamedTuple):
    key: bytes
    version_id: str | None
    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Owner:
    id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One page of a listing; `url_encode` is encoding-type=url. `owners` are
    written into the lines: one for each of them, or one for all."""

    bucket: str
    prefix: str
    delimiter: str
    max_keys: int
    truncated: bool
    lines: Sequence[ListedObject]
    common_prefixes: Sequence[bytes] = ()
    url_encode: bool = False
    owners: Sequence[Owner] = ()


class VersionLine(NamedTuple):
    """A delete marker has no size, ETag or class."""

    key: bytes
    version_id: str
    is_marker: bool
    is_latest: bool
    modified_ms: int
    etag: str
    size: int
    storage_class: str
    checksum: int
    owner: Owner


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions and delete markers in their order, as one list."""

    bucket: str
    prefix: str
    delimiter: str
    key_marker: str
    version_id_marker: str
    max_keys: int
    truncated: bool
    lines: Sequence[VersionLine]
    common_prefixes: Sequence[bytes] = ()
    next_key_marker: bytes = b""
    next_version_id_marker: str = ""
    url_encode: bool = False


@dataclass(frozen=True, slots=True)
class UploadPage:
    bucket: str
    prefix: str
    delimiter: str
    key_marker: str
    upload_id_marker: str
    max_uploads: int
    truncated: bool
    lines: Sequence[UploadLine]
    common_prefixes: Sequence[bytes] = ()
    next_key_marker: bytes = b""
    next_upload_id_marker: str = ""
    url_encode: bool = False


@dataclass(frozen=True, slots=True)
class PartPage:
    bucket: str
    key: bytes
    upload_id: str
    owner: Owner
    initiator: Owner
    storage_class: str
    part_number_marker: int
    max_parts: int
    truncated: bool
    lines: Sequence[PartLine]
    checksum_algorithm: str = ""
    checksum_type: str = ""


@dataclass(frozen=True, slots=True)
class AttributesPage:
    """Of GetObjectAttributes; what was not asked for is None. `parts_count` is set for multipart objects only."""

    etag: str | None = None
    checksum: Checksum | None = None
    storage_class: str | None = None
    size: int | None = None
    parts_count: int | None = None
    parts: Sequence[PartInfo] = ()
    part_number_marker: int = 0
    max_parts: int = 1000
    truncated: bool = False
