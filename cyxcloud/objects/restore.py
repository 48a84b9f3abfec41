"""Making an archived version readable for some days. Its bytes are here as every other's: only a date is noted."""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.meta.cause import Cause
from cyxcloud.meta.rows import VersionRow
from cyxcloud.objects.amend import amend
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.lifecycle import due_ms
from cyxcloud.objects.store import Store

BEGUN, COMPLETED = "ObjectRestore:Post", "ObjectRestore:Completed"


async def restore(store: Store, version: VersionRow, days: int, cause: Cause) -> bool:
    """True where it was readable already, and has only another end now. Who follows the bucket is told that it began,
    and that it is over. Raises NoSuchKey, BucketGone."""
    was_restored = False

    def note(kept: Attributes) -> Attributes:
        nonlocal was_restored
        now_ms = store.clock.now_ms()
        was_restored = now_ms < kept.restored_until_ms
        return replace(kept, restored_until_ms=due_ms(now_ms, days, store.day_ms))

    await amend(store, version, note, cause=cause._replace(event=BEGUN))
    await amend(store, version, lambda kept: kept, cause=cause._replace(event=COMPLETED))
    return was_restored
