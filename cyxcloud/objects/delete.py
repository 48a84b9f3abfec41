"""Removing objects: rows now, bytes after the grace. Nothing is waited for but the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import BucketId
from cyxcloud.meta import heads, usage, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import Versioning
from cyxcloud.objects.conditions import NO_REMOVAL_CONDITIONS, RemovalConditions, check_removal
from cyxcloud.objects.errors import ObjectsError
from cyxcloud.objects.store import Store

# More than these would hold the event loop up for milliseconds.
FEW_REMOVALS = 20


@dataclass(frozen=True, slots=True)
class Removal:
    key: bytes
    conditions: RemovalConditions = NO_REMOVAL_CONDITIONS


async def delete_object(store: Store, bucket: BucketId, removal: Removal) -> None:
    """Raises PreconditionFailed. Of a key that is not there it is a success, as on S3."""
    delta_id = store.ids.next()
    await store.change(lambda conn: _remove(conn, store, bucket, removal, delta_id))


async def delete_objects(store: Store, bucket: BucketId, removals: Sequence[Removal]) -> list[ObjectsError | None]:
    """All in one transaction; a key whose condition fails does not stop the others."""
    delta_ids = [store.ids.next() for _ in removals]

    def remove_all(conn: Connection) -> list[ObjectsError | None]:
        outcomes: list[ObjectsError | None] = []
        for removal, delta_id in zip(removals, delta_ids, strict=True):
            try:
                _remove(conn, store, bucket, removal, delta_id)
            except ObjectsError as refused:  # raised before anything of this key was changed
                outcomes.append(refused)
            else:
                outcomes.append(None)
        return outcomes

    return await store.change(remove_all, is_long=len(removals) > FEW_REMOVALS)


def _remove(conn: Connection, store: Store, bucket: BucketId, removal: Removal, delta_id: int) -> None:
    chain = heads.lock(conn, bucket, removal.key)
    head = chain.head
    if head is not None and head.live and removal.conditions is not NO_REMOVAL_CONDITIONS:
        check_removal(removal.conditions, head.etag, head.mtime_ms, head.size)
    assert chain.versioning is Versioning.OFF, "delete markers are not built yet, and versioning cannot be turned on"
    if head is None:
        return
    removed = versions.remove(conn, bucket, head, head.version, is_sole=True)
    assert removed is not None
    store.release(conn, removed.segments)
    usage.add(conn, bucket, delta_id, objects=-1, size_bytes=-removed.version.size)
