"""Removing objects: rows now, bytes after the grace. Nothing is waited for but the commit.

Where a bucket has versions, a removal that names none leaves a delete marker on top of the key's chain, which hides
what is below it; in a suspended bucket the marker is the null version and takes its place. One that names a version
takes it away for good, unless it is locked. Each key is one change under its chain's lock, whatever becomes of the
others of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import AccountId, BucketId, VersionId
from cyxcloud.meta import changes, heads, usage, versions
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.heads import Chain
from cyxcloud.meta.reads import VersionRef
from cyxcloud.meta.rows import BucketFlags, HeadRow, NewVersion, Versioning, VersionRow
from cyxcloud.objects import attributes
from cyxcloud.objects.conditions import NO_REMOVAL_CONDITIONS, RemovalConditions, check_removal
from cyxcloud.objects.errors import ObjectsError
from cyxcloud.objects.locking import refuse_locked
from cyxcloud.objects.store import Store

# More than these would hold the event loop up for milliseconds.
FEW_REMOVALS = 20


REMOVED = Cause("ObjectRemoved:Delete")


@dataclass(frozen=True, slots=True)
class Removal:
    """`named`: the version to be taken away; None asks for the object to be gone, as the bucket's versioning has it."""

    key: bytes
    conditions: RemovalConditions = NO_REMOVAL_CONDITIONS
    named: VersionRef | None = None
    bypasses_governance: bool = False


@dataclass(frozen=True, slots=True)
class Remover:
    """Where is removed, and whose the delete markers become. `cause` names the event of a version that goes; one of a
    marker is of the same family."""

    store: Store
    bucket: BucketId
    owner: AccountId
    cause: Cause = REMOVED

    @property
    def marks(self) -> Cause:
        return self.cause._replace(event=f"{self.cause.event.partition(':')[0]}:DeleteMarkerCreated")


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did. `version`: the marker that it left, or the version that it named, None where neither;
    `is_marker`: it left a marker, or took one away."""

    version: VersionRef | None = None
    is_marker: bool = False


NOTHING_TOLD = Removed()


async def delete_object(remover: Remover, removal: Removal) -> Removed:
    """Raises PreconditionFailed, ObjectLocked. Of what is not there it is a success, as on S3."""
    new_id = remover.store.new_version()
    return await remover.store.change(lambda conn: remove(conn, remover, removal, new_id))


async def delete_objects(remover: Remover, removals: Sequence[Removal]) -> list[Removed | ObjectsError]:
    """All in one transaction; a key whose condition fails does not stop the others."""
    new_ids = [remover.store.new_version() for _ in removals]

    def remove_all(conn: Connection) -> list[Removed | ObjectsError]:
        outcomes: list[Removed | ObjectsError] = []
        for removal, new_id in zip(removals, new_ids, strict=True):
            try:
                outcomes.append(remove(conn, remover, removal, new_id))
            except ObjectsError as refused:  # raised before anything of this key was changed
                outcomes.append(refused)
        return outcomes

    return await remover.store.change(remove_all, is_long=len(removals) > FEW_REMOVALS)


def remove(conn: Connection, remover: Remover, removal: Removal, new_id: VersionId) -> Removed:
    """In the caller's transaction. `new_id` becomes the marker's, or that of the change in the bucket's usage."""
    chain = heads.lock(conn, remover.bucket, removal.key)
    head = chain.head
    if removal.named is not None:
        return _remove_named(conn, remover, chain, removal, new_id)
    if removal.conditions is not NO_REMOVAL_CONDITIONS:
        if head is None:
            return NOTHING_TOLD
        check_removal(removal.conditions, head.etag, head.mtime_ms, head.size)
    if chain.versioning is not Versioning.OFF:
        return _leave_marker(conn, remover, chain, removal.key, new_id)
    if head is not None:
        _take(conn, remover, chain, head.version, new_id)
    return NOTHING_TOLD


def _remove_named(conn: Connection, remover: Remover, chain: Chain, removal: Removal, new_id: VersionId) -> Removed:
    assert removal.named is not None
    version = _named_in(conn, remover.bucket, chain.head, removal.named)
    if version is None:
        return Removed(removal.named)
    check_removal(removal.conditions, version.etag, version.mtime_ms, version.size)
    if BucketFlags.OBJECT_LOCK in chain.flags:
        now_ms = remover.store.clock.now_ms()
        refuse_locked(version, now_ms, bypasses_governance=removal.bypasses_governance)
    _take(conn, remover, chain, version.id, new_id)
    return Removed(removal.named, version.is_delete_marker)


def _named_in(conn: Connection, bucket: BucketId, head: HeadRow | None, named: VersionRef) -> VersionRow | None:
    """The version of this key that is meant; the null version has no other name."""
    if head is None:
        return None
    version_id = head.null_version if named.id is None else named.id
    version = None if version_id is None else versions.read(conn, version_id)
    if version is None or (version.bucket, version.key) != (bucket, head.key):
        return None
    return version if version.is_null == (named.id is None) else None


def _take(conn: Connection, remover: Remover, chain: Chain, version_id: VersionId, delta_id: VersionId) -> None:
    assert chain.head is not None
    is_sole = chain.versioning is Versioning.OFF
    removed = versions.remove(conn, remover.bucket, chain.head, version_id, is_sole=is_sole)
    assert removed is not None, "it was seen under the chain's lock"
    remover.store.release(conn, removed.segments)
    usage.add(conn, remover.bucket, delta_id, objects=-1, size_bytes=-removed.version.size)
    if chain.flags:
        changes.record(conn, chain.flags, removed.version, remover.cause, remover.store.clock.now_ms())


def _leave_marker(conn: Connection, remover: Remover, chain: Chain, key: bytes, new_id: VersionId) -> Removed:
    is_null = chain.versioning is Versioning.SUSPENDED
    marker = NewVersion(
        id=new_id,
        bucket=remover.bucket,
        key=key,
        is_null=is_null,
        is_delete_marker=True,
        size=0,
        etag="",
        mtime_ms=remover.store.clock.now_ms(),
        account=remover.owner,
        storage_class="",
        checksum=0,
        content_cid=None,
        attributes=attributes.EMPTY.encode(),
        segments=(),
    )
    replaced = versions.insert_current(conn, marker, chain.head)
    if replaced is None:
        usage.add(conn, remover.bucket, new_id, objects=1, size_bytes=0)
    else:
        remover.store.release(conn, replaced.segments)
        usage.add(conn, remover.bucket, new_id, objects=0, size_bytes=-replaced.version.size)
    if chain.flags:
        changes.record(conn, chain.flags, marker, remover.marks, marker.mtime_ms)
    return Removed(VersionRef(None if is_null else new_id), is_marker=True)
