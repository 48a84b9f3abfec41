"""The hot reads: a bucket by name with one of a key's versions and, when it is small, its body, in one statement.

One statement sees one moment, so an inline body, which goes with its last reference, is there whenever its version is.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, select

from cyxcloud.core.ids import VersionId
from cyxcloud.meta import buckets, versions
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import BucketRow, VersionRow
from cyxcloud.meta.schema import bucket, head, inline, version
from cyxcloud.meta.statement import Statement, prepare

_BUCKET_COLUMNS = len(bucket.c)
_VERSION_END = _BUCKET_COLUMNS + len(version.c)


class ObjectRead(NamedTuple):
    """`bucket` None: no such bucket. `version` None: no such key or version. `body` is the ciphertext of a single
    inline segment's blob, None where the content lies in chunks, is empty, has several segments, or was not asked
    for."""

    bucket: BucketRow | None
    version: VersionRow | None
    body: bytes | None


class VersionRef(NamedTuple):
    """A version that a request names, as opposed to the current one. `id` None: the null version."""

    id: VersionId | None


NULL_VERSION = VersionRef(None)
_NOTHING = ObjectRead(None, None, None)
_at_head = and_(head.c.bucket == bucket.c.id, head.c.key == bindparam("at_key"))


def _through_head(wanted: ColumnElement[int]) -> Select[tuple[object, ...]]:
    return (
        select(*bucket.c, *version.c)
        .join_from(bucket, head, _at_head, isouter=True)
        .join(version, version.c.id == wanted, isouter=True)
        .where(bucket.c.name == bindparam("bucket_name"))
    )


_by_id = (
    select(*bucket.c, *version.c)
    .join_from(
        bucket,
        version,
        and_(
            version.c.id == bindparam("version_id"),
            version.c.bucket == bucket.c.id,
            version.c.key == bindparam("at_key"),
        ),
        isouter=True,
    )
    .where(bucket.c.name == bindparam("bucket_name"))
)


def _with_body(query: Select[tuple[object, ...]]) -> Statement:
    small = and_(inline.c.blob == version.c.seg_blob, version.c.segment_count == 1)
    return prepare(query.add_columns(inline.c.body).join(inline, small, isouter=True))


_current = prepare(_through_head(head.c.version))
_current_body = _with_body(_through_head(head.c.version))
_null = prepare(_through_head(head.c.null_version))
_null_body = _with_body(_through_head(head.c.null_version))
_exact = prepare(_by_id)
_exact_body = _with_body(_by_id)


def read_object(conn: Connection, bucket_name: str, key: bytes, *, with_body: bool = True) -> ObjectRead:
    """The current version, which may be a delete marker."""
    statement = _current_body if with_body else _current
    return _found(conn.one(statement, {"bucket_name": bucket_name, "at_key": key}))


def read_null(conn: Connection, bucket_name: str, key: bytes, *, with_body: bool = True) -> ObjectRead:
    """The null version, current or not."""
    statement = _null_body if with_body else _null
    return _found(conn.one(statement, {"bucket_name": bucket_name, "at_key": key}))


def read_version(
    conn: Connection, bucket_name: str, key: bytes, version_id: VersionId, *, with_body: bool = True
) -> ObjectRead:
    statement = _exact_body if with_body else _exact
    params = {"bucket_name": bucket_name, "at_key": key, "version_id": version_id}
    return _found(conn.one(statement, params))


def _found(row: Row | None) -> ObjectRead:
    if row is None:
        return _NOTHING
    found_bucket = buckets.row_of(row)
    if row[_BUCKET_COLUMNS] is None:
        return ObjectRead(found_bucket, None, None)
    body = row[_VERSION_END] if len(row) > _VERSION_END else None
    return ObjectRead(found_bucket, versions.row_of(row[_BUCKET_COLUMNS:_VERSION_END]), body)
