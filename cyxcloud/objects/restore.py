"""Making an archived version readable for some days. Its bytes are here as every other's: only a date is noted."""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta import heads, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.objects import attributes
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.lifecycle import due_ms
from cyxcloud.objects.store import Store


async def restore(store: Store, bucket: BucketId, key: bytes, version: VersionId, days: int) -> bool:
    """True where it was readable already, and has only another end now. Raises NoSuchKey, BucketGone."""

    def note(conn: Connection) -> bool:
        heads.lock(conn, bucket, key)
        row = versions.read(conn, version)
        if row is None:
            raise NoSuchKey
        now_ms = store.clock.now_ms()
        kept = attributes.decode(row.attributes)
        restored = replace(kept, restored_until_ms=due_ms(now_ms, days, store.day_ms))
        versions.set_attributes(conn, version, restored.encode())
        return now_ms < kept.restored_until_ms

    return await store.change(note)
