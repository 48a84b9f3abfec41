"""Storing an object: take the body in, then make it the key's current version in one transaction.

Crash story: before the commit the body's shards belong to no row and go with their session; after it everything is
durable. Once the commit has been handed to the writer it happens whether or not the client still listens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cyxcloud.core.ids import AccountId, BucketId, VersionId
from cyxcloud.meta import changes, heads, usage, versions
from cyxcloud.meta.cause import OF_THE_STORE, Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.quotas import Sum
from cyxcloud.meta.rows import BucketFlags, NewVersion, SegmentRow, Versioning
from cyxcloud.objects import intake, locking, quota
from cyxcloud.objects.attributes import Attributes, Checksum, checksum_code
from cyxcloud.objects.body import Body
from cyxcloud.objects.conditions import NO_WRITE_CONDITIONS, WriteConditions, check_write
from cyxcloud.objects.encryption import BY_KEYRING, Sealing
from cyxcloud.objects.store import Store
from cyxcloud.shards import cid

STANDARD = "STANDARD"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a version goes and whose it becomes. `bucket` was authorised; it is looked at again in the transaction."""

    bucket: BucketId
    key: bytes
    account: AccountId
    conditions: WriteConditions = NO_WRITE_CONDITIONS
    storage_class: str = STANDARD
    cause: Cause = OF_THE_STORE
    sealing: Sealing = BY_KEYRING


@dataclass(frozen=True, slots=True)
class Stored:
    """What the answer to a write shows. CID and `layout` name the content; `version` is None without versioning."""

    etag: str
    size: int
    mtime_ms: int
    content_cid: bytes
    layout: tuple[int, ...]
    checksum: Checksum | None = None
    version: VersionId | None = None


async def put_object(
    store: Store,
    target: Target,
    body: Body,
    attributes: Attributes,
    *,
    also: Callable[[Connection], None] | None = None,
) -> Stored:
    """`also` is done in the same transaction. Raises PreconditionFailed, NoSuchKey (If-Match on nothing), BucketGone,
    QuorumLost, and what the body and `also` raise."""
    taken = await intake.take(store, body, target.sealing, store.topology.profile_of(target.storage_class))
    checksum = taken.digests.checksum
    if checksum is not None or target.sealing.encryption is not None:
        attributes = replace(attributes, checksum=checksum, encryption=target.sealing.encryption)
    new = new_version(store, target, (taken.segment,), taken.etag, attributes)

    def commit(conn: Connection) -> Versioning:
        intake.insert(conn, store, taken)
        if also is not None:
            also(conn)
        return make_current(conn, store, new, target.conditions)

    try:
        versioning = await store.change(commit)
    except BaseException:
        await intake.discard(store, taken)
        raise
    return stored(new, attributes.checksum, versioning)


def new_version(
    store: Store,
    target: Target,
    segments: tuple[SegmentRow, ...],
    etag: str,
    attributes: Attributes,
) -> NewVersion:
    """The row of a version made of these segments; whether it is a null version is decided under the key's lock."""
    return NewVersion(
        id=store.new_version(),
        bucket=target.bucket,
        key=target.key,
        is_null=True,
        is_delete_marker=False,
        size=sum(each.length for each in segments),
        etag=etag,
        mtime_ms=store.clock.now_ms(),
        account=target.account,
        storage_class=target.storage_class,
        checksum=checksum_code(attributes.checksum),
        content_cid=cid.object_cid([(each.cid, each.length) for each in segments]),
        attributes=attributes.encode(),
        segments=segments,
        cause=target.cause,
    )


def make_current(conn: Connection, store: Store, new: NewVersion, conditions: WriteConditions) -> Versioning:
    """In the caller's transaction: conditions, chain, references, usage. The new version's own references are held.
    Raises QuotaExceeded, too."""
    chain = heads.lock(conn, new.bucket, new.key)
    head = chain.head
    check_write(conditions, head.etag if head is not None and head.live else None)
    if chain.versioning is Versioning.ENABLED:
        new = new._replace(is_null=False)
    if chain.flags and BucketFlags.OBJECT_LOCK in chain.flags:
        assert not new.is_null, "versioning cannot be suspended where versions may be locked"
        new = locking.with_default(conn, new)
    replaced = versions.insert_current(conn, new, head)
    objects, size_bytes = 1, new.size
    if replaced is not None:
        store.release(conn, replaced.segments)
        objects -= 1
        size_bytes -= replaced.version.size
    if chain.flags and BucketFlags.QUOTA in chain.flags:
        quota.check(conn, new.bucket, Sum(objects, size_bytes))
    usage.add(conn, new.bucket, new.id, objects=objects, size_bytes=size_bytes)
    if chain.flags:
        changes.record(conn, chain.flags, new, new.cause, store.clock.now_ms())
    return chain.versioning


def stored(new: NewVersion, checksum: Checksum | None, versioning: Versioning) -> Stored:
    assert new.content_cid is not None
    layout = tuple(each.length for each in new.segments)
    version = new.id if versioning is Versioning.ENABLED else None
    return Stored(new.etag, new.size, new.mtime_ms, new.content_cid, layout, checksum, version)
