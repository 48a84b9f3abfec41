"""Changing what a version carries beside its bytes: tags, locks, ACLs.

One transaction under the chain's lock reads the version as it is now, decides and writes, so two changes of a version
never undo each other. Without a named version the one that is current then is changed.
"""

from __future__ import annotations

from collections.abc import Callable

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta import heads, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import VersionRow
from cyxcloud.objects import attributes as attributes_codec
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.store import Store

Change = Callable[[Attributes], Attributes]


async def amend(
    store: Store, bucket: BucketId, key: bytes, change: Change, *, named: VersionId | None = None
) -> VersionRow:
    """The version as it became. Raises NoSuchKey where it is gone, BucketGone, and what `change` raises."""
    return await store.change(lambda conn: _amend(conn, bucket, key, change, named))


def _amend(conn: Connection, bucket: BucketId, key: bytes, change: Change, named: VersionId | None) -> VersionRow:
    head = heads.lock(conn, bucket, key).head
    if head is None:
        raise NoSuchKey
    version = versions.read(conn, head.version if named is None else named)
    if version is None or (version.bucket, version.key) != (bucket, key) or version.is_delete_marker:
        raise NoSuchKey
    changed = change(attributes_codec.decode(version.attributes)).encode()
    if changed != version.attributes:
        versions.set_attributes(conn, version.id, changed)
    return version._replace(attributes=changed)
