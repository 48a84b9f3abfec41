"""Whether a bucket keeps the versions of its keys. Once it has kept them it can only be suspended.

The row is taken so that no key of the bucket changes meanwhile: each change of a chain sees the one state or the other.
"""

from __future__ import annotations

from cyxcloud.meta import buckets
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketFlags, BucketRow, Versioning
from cyxcloud.objects.errors import NoSuchBucket, VersioningHeld
from cyxcloud.objects.store import Store


async def configure(store: Store, bucket: BucketRow, versioning: Versioning) -> None:
    """Raises NoSuchBucket, and VersioningHeld where object lock needs the versions."""
    assert versioning is not Versioning.OFF, "there is no way back to a bucket without versions"

    def change(conn: Connection) -> None:
        row = buckets.lock(conn, bucket.id)
        if row is None:
            raise NoSuchBucket
        if BucketFlags.OBJECT_LOCK in row.flags and versioning is not Versioning.ENABLED:
            raise VersioningHeld
        changed = buckets.change(conn, row, versioning=versioning, flags=row.flags)
        assert changed, "the row is locked"

    await store.change(change)
