"""What lifecycle rules look at: the versions of a bucket in the order of its keys, newest first, and what lies above
one in its chain."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import and_, bindparam, select, update

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta import heads
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import HeadRow
from cyxcloud.meta.schema import version
from cyxcloud.meta.statement import prepare

_V = version.c
_COLUMNS = (
    _V.id,
    _V.key,
    _V.seq,
    _V.is_delete_marker,
    _V.size,
    _V.mtime_ms,
    _V.storage_class,
    _V.attributes,
)
_chain = and_(_V.bucket == bindparam("of_bucket"), _V.key == bindparam("at_key"))
_order = (_V.key, _V.seq.desc())
_rest = prepare(
    select(*_COLUMNS).where(_chain, _V.seq < bindparam("below")).order_by(*_order).limit(bindparam("at_most"))
)
_range = prepare(
    select(*_COLUMNS)
    .where(_V.bucket == bindparam("of_bucket"), _V.key >= bindparam("start"), _V.key < bindparam("end"))
    .order_by(*_order)
    .limit(bindparam("at_most"))
)
_newer = prepare(
    select(_V.mtime_ms).where(_chain, _V.seq > bindparam("above")).order_by(_V.seq).limit(bindparam("at_most"))
)
_two = prepare(select(_V.id).where(_chain).limit(2))
_set_class = prepare(
    update(version).where(_V.id == bindparam("version")).values(storage_class=bindparam("storage_class"))
)


class Scanned(NamedTuple):
    id: VersionId
    key: bytes
    seq: int
    is_delete_marker: bool
    size: int
    mtime_ms: int
    storage_class: str
    attributes: bytes


def rest_of_chain(conn: Connection, bucket: BucketId, key: bytes, below_seq: int, limit: int) -> list[Scanned]:
    params = {"of_bucket": bucket, "at_key": key, "below": below_seq, "at_most": limit}
    return [Scanned._make(row) for row in conn.rows(_rest, params)]


def versions(conn: Connection, bucket: BucketId, start: bytes, end: bytes, limit: int) -> list[Scanned]:
    """Those of keys from `start` and below `end`."""
    params = {"of_bucket": bucket, "start": start, "end": end, "at_most": limit}
    return [Scanned._make(row) for row in conn.rows(_range, params)]


def newer(conn: Connection, bucket: BucketId, key: bytes, above_seq: int, limit: int) -> list[int]:
    """When the versions above one were made, from its successor on."""
    params = {"of_bucket": bucket, "at_key": key, "above": above_seq, "at_most": limit}
    return [row[0] for row in conn.rows(_newer, params)]


def is_sole(conn: Connection, bucket: BucketId, key: bytes) -> bool:
    return len(conn.rows(_two, {"of_bucket": bucket, "at_key": key})) == 1


def set_storage_class(
    conn: Connection, bucket: BucketId, head: HeadRow, version_id: VersionId, storage_class: str
) -> None:
    """Of a version of a locked key, and of what listings show where it is the current one."""
    conn.run(_set_class, {"version": version_id, "storage_class": storage_class})
    if head.version == version_id:
        heads.put(conn, bucket, head._replace(storage_class=storage_class), is_new=False)
