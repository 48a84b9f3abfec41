"""Versions of a key: a chain ordered by a sequence number given under the head's lock, never by a clock.

Callers hold the key's lock (`heads.lock`) and pass the head that it gave. Functions that take rows away return their
segments; the caller shares what it won before and releases these after, in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, insert, select, update

from cyxcloud.core.ids import AccountId, BucketId, VersionId
from cyxcloud.meta import heads, segments
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import HeadRow, NewVersion, SegmentRow, VersionRow
from cyxcloud.meta.schema import version
from cyxcloud.meta.statement import prepare

_V = version.c
FIELDS = tuple(version.c)
_insert = prepare(insert(version))
_same_chain = and_(_V.bucket == bindparam("of_bucket"), _V.key == bindparam("at_key"))
_read = prepare(select(version).where(_V.id == bindparam("version")))
_newest = prepare(select(version).where(_same_chain).order_by(_V.seq.desc()).limit(1))
_remove = prepare(delete(version).where(_V.id == bindparam("version"), _same_chain).returning(*FIELDS))
_by_content = prepare(
    select(version)
    .where(_V.account == bindparam("of_account"), _V.content_cid == bindparam("cid"))
    .limit(bindparam("at_most"))
)
_set_attributes = prepare(
    update(version).where(_V.id == bindparam("version")).values(attributes=bindparam("attributes"))
)


@dataclass(frozen=True, slots=True)
class Removed:
    """A version that was taken away and the segments to be released for it."""

    version: VersionRow
    segments: tuple[SegmentRow, ...]


def insert_current(conn: Connection, new: NewVersion, head: HeadRow | None) -> Removed | None:
    """Make a new version current. A null version takes the place of the key's older one, which is returned."""
    replaced = None
    if new.is_null and head is not None and head.null_version is not None:
        replaced = _take(conn, new.bucket, new.key, head.null_version)
    seq = 1 if head is None else head.next_seq
    conn.run(_insert, _columns(new, seq))
    if len(new.segments) > 1:
        segments.add_rest(conn, new.id, new.segments)
    heads.put(conn, new.bucket, _head_over(new, head, seq), is_new=head is None)
    return replaced


def remove(
    conn: Connection, bucket: BucketId, head: HeadRow, version_id: VersionId, *, is_sole: bool = False
) -> Removed | None:
    """Take one version out of the chain of a locked key; None when the key has no such version. `is_sole` where the
    key cannot have another, its bucket never having been versioned."""
    removed = _take(conn, bucket, head.key, version_id)
    if removed is None:
        return None
    if is_sole:
        heads.remove(conn, bucket, head.key)
        return removed
    null_version = None if head.null_version == version_id else head.null_version
    if head.version == version_id:
        _uncover(conn, bucket, head, null_version)
    elif null_version != head.null_version:
        heads.clear_null(conn, bucket, head.key)
    return removed


def read(conn: Connection, version_id: VersionId) -> VersionRow | None:
    row = conn.one(_read, {"version": version_id})
    return None if row is None else row_of(row)


def by_content(conn: Connection, account: AccountId, cid: bytes, limit: int = 1) -> list[VersionRow]:
    """Versions of an account with this content."""
    params = {"of_account": account, "cid": cid, "at_most": limit}
    return [row_of(row) for row in conn.rows(_by_content, params)]


def set_attributes(conn: Connection, version_id: VersionId, attributes: bytes) -> bool:
    return conn.run(_set_attributes, {"version": version_id, "attributes": attributes}) == 1


def row_of(row: Row) -> VersionRow:
    """From all columns of the table, in its order."""
    return VersionRow(
        id=row[0],
        bucket=row[1],
        key=row[2],
        seq=row[3],
        is_null=bool(row[4]),
        is_delete_marker=bool(row[5]),
        size=row[6],
        etag=row[7],
        mtime_ms=row[8],
        account=row[9],
        storage_class=row[10],
        checksum=row[11],
        content_cid=row[12],
        attributes=row[13],
        segment=segments.first_of(row[14:21]),
        segment_count=row[21],
    )


def _take(conn: Connection, bucket: BucketId, key: bytes, version_id: VersionId) -> Removed | None:
    rows = conn.rows(_remove, {"version": version_id, "of_bucket": bucket, "at_key": key})
    if not rows:
        return None
    row = row_of(rows[0])
    gone = segments.of(conn, row)
    if row.segment_count > 1:
        segments.remove_rest(conn, row.id)
    return Removed(row, gone)


def _uncover(conn: Connection, bucket: BucketId, head: HeadRow, null_version: VersionId | None) -> None:
    """The current version is gone: the newest of the others becomes current, or the key ends."""
    row = conn.one(_newest, {"of_bucket": bucket, "at_key": head.key})
    if row is None:
        heads.remove(conn, bucket, head.key)
        return
    below = row_of(row)
    heads.put(
        conn,
        bucket,
        HeadRow(
            key=head.key,
            version=below.id,
            null_version=null_version,
            live=not below.is_delete_marker,
            size=below.size,
            etag=below.etag,
            mtime_ms=below.mtime_ms,
            account=below.account,
            storage_class=below.storage_class,
            checksum=below.checksum,
            next_seq=head.next_seq,
        ),
        is_new=False,
    )


def _head_over(new: NewVersion, head: HeadRow | None, seq: int) -> HeadRow:
    older_null = None if head is None else head.null_version
    return HeadRow(
        key=new.key,
        version=new.id,
        null_version=new.id if new.is_null else older_null,
        live=not new.is_delete_marker,
        size=new.size,
        etag=new.etag,
        mtime_ms=new.mtime_ms,
        account=new.account,
        storage_class=new.storage_class,
        checksum=new.checksum,
        next_seq=seq + 1,
    )


def _columns(new: NewVersion, seq: int) -> dict[str, object]:
    columns = segments.embedded(new.segments)
    columns.update(
        id=new.id,
        bucket=new.bucket,
        key=new.key,
        seq=seq,
        is_null=int(new.is_null),
        is_delete_marker=int(new.is_delete_marker),
        size=new.size,
        etag=new.etag,
        mtime_ms=new.mtime_ms,
        account=new.account,
        storage_class=new.storage_class,
        checksum=new.checksum,
        content_cid=new.content_cid,
        attributes=new.attributes,
    )
    return columns
