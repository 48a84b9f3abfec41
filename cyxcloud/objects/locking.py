"""Object lock in the transactions that it guards: making a version, removing one, locking a bucket.

A bucket's flag OBJECT_LOCK says that its versions may be locked. It is set with versioning on and never taken back, so
no null version is ever replaced under it. Crash story: the lock of a version is in the version's own row, written by
the transaction that makes the version; there is no moment at which it is there unlocked.
"""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.meta import bucket_config as rows
from cyxcloud.meta import buckets
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketFlags, BucketRow, NewVersion, Versioning, VersionRow
from cyxcloud.objects import attributes, bucket_config, lock
from cyxcloud.objects.errors import NoSuchBucket, ObjectLocked, VersioningOff
from cyxcloud.objects.lock import OBJECT_LOCK, ObjectLock
from cyxcloud.objects.store import Store


def with_default(conn: Connection, new: NewVersion) -> NewVersion:
    """A new version of a bucket that locks, with the bucket's default retention unless it has one of its own."""
    config = bucket_config.read(conn, new.bucket, OBJECT_LOCK)
    if config is None or config.default is None:
        return new
    present = attributes.decode(new.attributes)
    locked = lock.begun_with(present.lock, config.default, new.mtime_ms)
    return new._replace(attributes=replace(present, lock=locked).encode())


def refuse_locked(version: VersionRow, now_ms: int, *, bypasses_governance: bool) -> None:
    """Before a version is taken away. Raises ObjectLocked."""
    if version.is_delete_marker:
        return
    found = attributes.decode(version.attributes).lock
    if lock.is_locked(found, now_ms, bypasses_governance=bypasses_governance):
        raise ObjectLocked


async def configure(store: Store, bucket: BucketRow, config: ObjectLock) -> None:
    """Turns object lock on where it is not yet. Raises VersioningOff, NoSuchBucket."""
    encoded = OBJECT_LOCK.encode(config)

    def change(conn: Connection) -> None:
        row = buckets.lock(conn, bucket.id)
        if row is None:
            raise NoSuchBucket
        if row.versioning is not Versioning.ENABLED:
            raise VersioningOff
        rows.put(conn, bucket.id, OBJECT_LOCK.name, encoded)
        if BucketFlags.OBJECT_LOCK not in row.flags:
            rows.set_flag(conn, bucket.id, BucketFlags.OBJECT_LOCK, on=True)

    await store.change(change)
