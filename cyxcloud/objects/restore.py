"""Making an archived version readable for some days. Its bytes are here as every other's: only a date is noted."""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.objects.amend import amend
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.lifecycle import due_ms
from cyxcloud.objects.store import Store


async def restore(store: Store, bucket: BucketId, key: bytes, version: VersionId, days: int) -> bool:
    """True where it was readable already, and has only another end now. Raises NoSuchKey, BucketGone."""
    was_restored = False

    def note(kept: Attributes) -> Attributes:
        nonlocal was_restored
        now_ms = store.clock.now_ms()
        was_restored = now_ms < kept.restored_until_ms
        return replace(kept, restored_until_ms=due_ms(now_ms, days, store.day_ms))

    await amend(store, bucket, key, note, named=version)
    return was_restored
