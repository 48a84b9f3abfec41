"""Parts of an upload. The caller holds the upload's lock and has seen the state that allows the change.

A completion moves segments: it makes the version from the parts it chose, takes all part rows away (`take_all`) without
touching references, and releases only the segments of parts that it did not choose.
"""

from __future__ import annotations

from sqlalchemy import Select, and_, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import UploadId
from cyxcloud.meta import segments
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import NewPart, PartRow, SegmentRow
from cyxcloud.meta.schema import part, segment
from cyxcloud.meta.statement import prepare

_P = part.c
_this = and_(_P.upload == bindparam("of_upload"), _P.number == bindparam("at_number"))
_insert = prepare(insert(part))
_read = prepare(select(part).where(_this))
_all = prepare(select(part).where(_P.upload == bindparam("of_upload")).order_by(_P.number))
_page = prepare(
    select(part)
    .where(_P.upload == bindparam("of_upload"), _P.number > bindparam("after"))
    .order_by(_P.number)
    .limit(bindparam("at_most"))
)
_remove = prepare(delete(part).where(_this).returning(*_P))


def _owners() -> Select[tuple[int]]:
    return select(_P.id).where(_P.upload == bindparam("of_upload"), _P.segment_count > 1)


_remove_segments = prepare(delete(segment).where(segment.c.owner.in_(_owners())))
_remove_all = prepare(delete(part).where(_P.upload == bindparam("of_upload")))


def put(conn: Connection, new: NewPart) -> tuple[SegmentRow, ...]:
    """Store a part; the segments of the one it replaces are returned, to be released."""
    replaced = _take(conn, new.upload, new.number)
    columns = segments.embedded(new.segments)
    columns.update(
        upload=new.upload,
        number=new.number,
        id=new.id,
        size=new.size,
        etag=new.etag,
        mtime_ms=new.mtime_ms,
        attributes=new.attributes,
    )
    conn.run(_insert, columns)
    if len(new.segments) > 1:
        segments.add_rest(conn, new.id, new.segments)
    return replaced


def read(conn: Connection, upload: UploadId, number: int) -> PartRow | None:
    row = conn.one(_read, {"of_upload": upload, "at_number": number})
    return None if row is None else row_of(row)


def all_of(conn: Connection, upload: UploadId) -> list[PartRow]:
    """All parts by number (S3 allows 10,000)."""
    return [row_of(row) for row in conn.rows(_all, {"of_upload": upload})]


def page(conn: Connection, upload: UploadId, *, after: int = 0, limit: int = 1000) -> tuple[list[PartRow], bool]:
    """Parts with a number above `after`, and whether more follow."""
    rows = conn.rows(_page, {"of_upload": upload, "after": after, "at_most": limit + 1})
    return [row_of(row) for row in rows[:limit]], len(rows) > limit


def take_all(conn: Connection, upload: UploadId) -> None:
    """Remove all part rows and their segment rows; references stay with whoever has the segments now."""
    conn.run(_remove_segments, {"of_upload": upload})
    conn.run(_remove_all, {"of_upload": upload})


def take_page(conn: Connection, upload: UploadId, limit: int = 500) -> tuple[SegmentRow, ...]:
    """Remove some parts of an ended upload; their segments are to be released. Empty when none is left."""
    rows, _more = page(conn, upload, limit=limit)
    taken: list[SegmentRow] = []
    for row in rows:
        taken.extend(_take(conn, upload, row.number))
    return tuple(taken)


def row_of(row: Row) -> PartRow:
    """From all columns of the table, in its order."""
    upload, number, part_id, size, etag, mtime_ms, attributes, *rest = row
    first = segments.first_of(rest)
    return PartRow(upload, number, part_id, size, etag, mtime_ms, attributes, first, rest[7])


def _take(conn: Connection, upload: UploadId, number: int) -> tuple[SegmentRow, ...]:
    removed = conn.one(_remove, {"of_upload": upload, "at_number": number})
    if removed is None:
        return ()
    row = row_of(removed)
    gone = segments.of(conn, row)
    if row.segment_count > 1:
        segments.remove_rest(conn, row.id)
    return gone
