"""The rows as values: what repositories take and give (pure).

Field order is column order where a row is built from a fetched tuple. Times are milliseconds of the store clock,
ETags are without quotes, `attributes` is a versioned blob that the caller encodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from typing import NamedTuple

from cyxcloud.core.ids import AccountId, BlobId, BucketId, NodeId, NodeNumber, PlacementId, UploadId, VersionId
from cyxcloud.meta.cause import OF_THE_STORE, Cause


class Versioning(IntEnum):
    OFF = 0
    ENABLED = 1
    SUSPENDED = 2


class UploadState(IntEnum):
    """OPEN takes parts. COMPLETING is frozen by one write session. COMPLETED remembers its answer until it is swept.
    ABORTED and COMPLETED uploads may still own parts, which a worker removes in pages."""

    OPEN = 1
    COMPLETING = 2
    COMPLETED = 3
    ABORTED = 4


class PlacementState(IntEnum):
    """OPEN is in the pool for new chunks; CLOSED is only read; REPLACED has a successor."""

    OPEN = 1
    CLOSED = 2
    REPLACED = 3


# The states of a node row. A full node is READ_ONLY; one that is DOWN may return with what it holds; of one that is
# LOST its host says that the folder is gone or another's; one that is GONE was replaced and never comes back.
UP, READ_ONLY, DOWN, LOST, GONE = "up", "read-only", "down", "lost", "gone"
READABLE = frozenset({UP, READ_ONLY})
# What a node is trusted with. VETTING: a small share of new shards; SUSPENDED: none, but it is read and audited;
# DISQUALIFIED: nothing any more, what it held is made anew.
VETTING, TRUSTED, SUSPENDED, DISQUALIFIED = "vetting", "trusted", "suspended", "disqualified"


class SegmentRow(NamedTuple):
    """A range of a blob. A segment of length 0 refers to no blob row and counts no reference."""

    blob: BlobId
    offset: int
    length: int
    dek: bytes
    key_id: int
    mode: int
    cid: bytes


class BucketFlags(IntFlag):
    """What a change of a key has to know of its bucket, beside its versioning."""

    NONE = 0
    OBJECT_LOCK = 1
    LOGS_CHANGES = 2
    QUOTA = 4


# An enum's own look-up by value costs more than all else of a row.
VERSIONING = {int(each): each for each in Versioning}
BUCKET_FLAGS = {value: BucketFlags(value) for value in range(2 * max(BucketFlags))}


class BucketRow(NamedTuple):
    """Every change of the row or of the bucket's configurations raises `revision`."""

    id: BucketId
    name: str
    account: AccountId
    region: str
    created_at_ms: int
    versioning: Versioning
    revision: int
    flags: BucketFlags = BucketFlags.NONE


class HeadRow(NamedTuple):
    """What the current version of a key shows in a listing, and where its chain stands. `live` is false under a delete
    marker; `next_seq` is given to the next version of the key."""

    key: bytes
    version: VersionId
    null_version: VersionId | None
    live: bool
    size: int
    etag: str
    mtime_ms: int
    account: AccountId
    storage_class: str
    checksum: int
    next_seq: int


class NewVersion(NamedTuple):
    """A version to be made current. `checksum` is the caller's code for what a listing shows; segments in order, none
    for a delete marker."""

    id: VersionId
    bucket: BucketId
    key: bytes
    is_null: bool
    is_delete_marker: bool
    size: int
    etag: str
    mtime_ms: int
    account: AccountId
    storage_class: str
    checksum: int
    content_cid: bytes | None
    attributes: bytes
    segments: tuple[SegmentRow, ...]
    cause: Cause = OF_THE_STORE


class VersionRow(NamedTuple):
    """`segment` is the first of `segment_count`; the others come from `segments.of`."""

    id: VersionId
    bucket: BucketId
    key: bytes
    seq: int
    is_null: bool
    is_delete_marker: bool
    size: int
    etag: str
    mtime_ms: int
    account: AccountId
    storage_class: str
    checksum: int
    content_cid: bytes | None
    attributes: bytes
    segment: SegmentRow | None
    segment_count: int


class ListedObject(NamedTuple):
    """A tuple, since a page has a thousand of them and a dataclass takes five times as long to make."""

    key: bytes
    size: int
    etag: str
    mtime_ms: int
    account: AccountId
    storage_class: str
    checksum: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects and common prefixes, each in byte order, together at most the limit; `last` is the greatest of both,
    from which the next page goes on when `truncated`."""

    objects: list[ListedObject]
    prefixes: list[bytes]
    truncated: bool
    last: bytes | None


class BlobRow(NamedTuple):
    id: BlobId
    refs: int
    size: int
    k: int
    m: int
    codec: int
    chunk_count: int


class ChunkRow(NamedTuple):
    n: int
    root: bytes
    placement: PlacementId


@dataclass(frozen=True, slots=True)
class NewUpload:
    id: UploadId
    bucket: BucketId
    key: bytes
    account: AccountId
    created_at_ms: int
    attributes: bytes


@dataclass(frozen=True, slots=True)
class UploadRow:
    """`holder` is the session that froze it, `request` the fingerprint of its completion, `answer` what was
    answered."""

    id: UploadId
    bucket: BucketId
    key: bytes
    account: AccountId
    state: UploadState
    created_at_ms: int
    changed_at_ms: int
    holder: int | None
    request: bytes | None
    answer: bytes | None
    attributes: bytes


@dataclass(frozen=True, slots=True)
class NewPart:
    upload: UploadId
    number: int
    id: int
    size: int
    etag: str
    mtime_ms: int
    attributes: bytes
    segments: tuple[SegmentRow, ...]


@dataclass(frozen=True, slots=True)
class PartRow:
    upload: UploadId
    number: int
    id: int
    size: int
    etag: str
    mtime_ms: int
    attributes: bytes
    segment: SegmentRow | None
    segment_count: int


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: AccountId
    canonical_id: str
    display_name: str
    email: str
    is_root: bool
    created_at_ms: int
    quota_bytes: int | None = None
    quota_objects: int | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`secret` is sealed by the keyring."""

    access_key: str
    account: AccountId
    secret: bytes
    enabled: bool
    created_at_ms: int
    description: str


class KmsKeyRow(NamedTuple):
    """A named key of SSE-KMS; `secret` is sealed by the keyring."""

    number: int
    name: str
    state: str
    created_at_ms: int
    description: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class SessionRow:
    number: int
    role: str
    opened_at_ms: int
    beat: int
    closed_at_ms: int | None
    oldest_read_ms: int | None = None  # at the last beat, when its oldest read began; that beat's time if none ran


@dataclass(frozen=True, slots=True)
class NodeRow:
    """`since_ms`: when its state last changed. `leaving`: what it holds is to be moved to others. Of a node on another
    box `public_key` is known, `address` is where its host listens (empty: it dials) and `standing` what it is trusted
    with."""

    number: NodeNumber
    node_id: NodeId
    name: str
    endpoint: str
    host: str
    disk: str
    zone: str
    operator: str
    state: str
    reason: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    shard_count: int
    seen_at_ms: int
    joined_at_ms: int
    since_ms: int = 0
    leaving: bool = False
    address: str = ""
    region: str = ""
    public_key: bytes | None = None
    standing: str = TRUSTED

    @property
    def is_remote(self) -> bool:
        """On another box: known by its certificate, not by a folder here."""
        return self.public_key is not None


@dataclass(frozen=True, slots=True)
class PlacementRow:
    id: PlacementId
    k: int
    m: int
    nodes: tuple[NodeNumber, ...]
    state: PlacementState
    successor: PlacementId | None


@dataclass(frozen=True, slots=True)
class RepairRow:
    blob: BlobId
    chunk: int
    shard_index: int
    reason: str
    found_at_ms: int


class PlacedRepair(NamedTuple):
    """A repair entry with where its chunk lies."""

    blob: BlobId
    chunk: int
    shard_index: int
    placement: PlacementId


@dataclass(frozen=True, slots=True)
class StrayRow:
    """A shard on a node where no chunk row places it, to be ordered gone at its due time."""

    node: NodeNumber
    blob: BlobId
    chunk: int
    shard_index: int
    due_at_ms: int
    sequence: int | None = None  # of the order that names it; the row goes with the node's receipt


class ReconcileState(StrEnum):
    """DONE: what was found waits in the trash. COUNTED: nothing may go before the restored store is adopted. HELD: so
    much was found that an operator has to say whether it may go."""

    DONE = "done"
    COUNTED = "counted"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class ReconcileRow:
    """What the last whole pass found on a node. `allowed`: an operator lets the next one go on, however much it
    finds."""

    node: NodeNumber
    state: ReconcileState
    unreferenced_bytes: int
    unreferenced_shards: int
    began_at_ms: int
    allowed: bool = False


@dataclass(frozen=True, slots=True)
class DueBlob:
    """A blob without references whose grace is over, with where its chunks lie."""

    blob: BlobId
    size: int
    k: int
    m: int
    chunks: tuple[ChunkRow, ...]


@dataclass(frozen=True, slots=True)
class DeleteOrder:
    """An order signed by the coordinator, and the node's receipt once it has answered."""

    node: NodeNumber
    sequence: int
    issued_at_ms: int
    expires_at_ms: int
    body: bytes
    signature: bytes
    settled_at_ms: int | None = None
    receipt: bytes | None = None
    receipt_signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class ClusterRow:
    cluster_id: bytes
    incarnation: bytes
    format: int
    created_at_ms: int
    adopted: bool = True  # False after a restore, until an operator confirms it: nothing is reconciled away before
    restored_at_ms: int | None = None
    newest_key: int = 1  # no row names a later wrapping key: a keyring without it is too old for this database
    settled_key: int = 1  # every row was found under this one


@dataclass(frozen=True, slots=True)
class UsageRow:
    bucket: BucketId
    objects: int
    bytes: int
