"""What an inventory lists: a bucket's current objects, or all its versions, in the order of keys, newest first."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import LargeBinary, and_, bindparam, select

from cyxcloud.core.ids import AccountId, BucketId, VersionId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.listing import BEYOND_KEYS
from cyxcloud.meta.schema import head, version
from cyxcloud.meta.statement import Statement, prepare

_V, _H = version.c, head.c
_COLUMNS = (
    _V.id,
    _V.key,
    _V.seq,
    _V.is_null,
    _V.is_delete_marker,
    _V.size,
    _V.etag,
    _V.mtime_ms,
    _V.account,
    _V.storage_class,
    _V.attributes,
)
_start, _end = bindparam("start", type_=LargeBinary), bindparam("end", type_=LargeBinary)
_order = (_V.key, _V.seq.desc())
_current = prepare(
    select(*_COLUMNS)
    .join_from(head, version, _V.id == _H.version)
    .with_hint(head, "INDEXED BY head_live", "sqlite")
    .where(_H.bucket == bindparam("of_bucket"), _H.live == 1, _H.key >= _start, _H.key < _end)
    .order_by(_H.key)
    .limit(bindparam("at_most"))
)
_all = prepare(
    select(*_COLUMNS)
    .where(_V.bucket == bindparam("of_bucket"), _V.key >= _start, _V.key < _end)
    .order_by(*_order)
    .limit(bindparam("at_most"))
)
_rest = prepare(
    select(*_COLUMNS)
    .where(and_(_V.bucket == bindparam("of_bucket"), _V.key == _start), _V.seq < bindparam("below"))
    .order_by(*_order)
    .limit(bindparam("at_most"))
)


class Listed(NamedTuple):
    id: VersionId
    key: bytes
    seq: int
    is_null: bool
    is_delete_marker: bool
    size: int
    etag: str
    mtime_ms: int
    account: AccountId
    storage_class: str
    attributes: bytes


class Place(NamedTuple):
    """The last row that was listed; no key is empty."""

    key: bytes = b""
    seq: int = 0


def current(conn: Connection, bucket: BucketId, prefix: bytes, after: Place, limit: int) -> list[Listed]:
    return _range(conn, _current, bucket, prefix, after, limit)


def all_versions(conn: Connection, bucket: BucketId, prefix: bytes, after: Place, limit: int) -> list[Listed]:
    """With delete markers. What became of a key above its last listed version since is not listed."""
    found: list[Listed] = []
    if after.key:
        params = {"of_bucket": bucket, "start": after.key, "below": after.seq, "at_most": limit}
        found = [_listed(row) for row in conn.rows(_rest, params)]
    if len(found) < limit:
        found += _range(conn, _all, bucket, prefix, after, limit - len(found))
    return found


def _range(  # noqa: PLR0917 - a statement and what it is asked with
    conn: Connection, statement: Statement, bucket: BucketId, prefix: bytes, after: Place, limit: int
) -> list[Listed]:
    start = after.key + b"\x00" if after.key else prefix
    params = {"of_bucket": bucket, "start": start, "end": prefix + BEYOND_KEYS, "at_most": limit}
    return [_listed(row) for row in conn.rows(statement, params)]


def _listed(row: Row) -> Listed:
    return Listed._make((*row[:3], bool(row[3]), bool(row[4]), *row[5:]))
