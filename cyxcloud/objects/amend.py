"""Changing what a version carries beside its bytes: tags, locks, ACLs.

One transaction under the chain's lock reads the version as it is now, decides and writes, so two changes of a version
never undo each other. It is the very version that was authorised which is changed, though another may have become
current since.
"""

from __future__ import annotations

from collections.abc import Callable

from cyxcloud.meta import changes, heads, versions
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import VersionRow
from cyxcloud.objects import attributes as attributes_codec
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.store import Store

Change = Callable[[Attributes], Attributes]


async def amend(store: Store, version: VersionRow, change: Change, *, cause: Cause | None = None) -> None:
    """`cause` is told to who follows the bucket. Raises NoSuchKey where the version is gone, BucketGone, and what
    `change` raises."""
    await store.change(lambda conn: _amend(conn, store, version, change, cause))


def _amend(conn: Connection, store: Store, seen: VersionRow, change: Change, cause: Cause | None) -> None:
    chain = heads.lock(conn, seen.bucket, seen.key)
    version = versions.read(conn, seen.id)
    if version is None:
        raise NoSuchKey
    changed = change(attributes_codec.decode(version.attributes)).encode()
    if changed != version.attributes:
        versions.set_attributes(conn, version.id, changed)
    if chain.flags and cause is not None:
        changes.record(conn, chain.flags, version, cause, store.clock.now_ms())
