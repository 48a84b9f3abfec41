"""Segments of a version or part: the first stands in its owner's row, the others here under the owner's id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from cyxcloud.core.ids import UploadId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import PartRow, SegmentRow, VersionRow
from cyxcloud.meta.schema import part, segment
from cyxcloud.meta.statement import prepare

_S = segment.c
_FIELDS = (_S.blob, _S.offset, _S.length, _S.dek, _S.key_id, _S.mode, _S.cid)
_insert = prepare(insert(segment))
_of_owner = prepare(select(*_FIELDS).where(_S.owner == bindparam("owner")).order_by(_S.n))
_of_upload = prepare(
    select(part.c.number, *_FIELDS)
    .join(segment, _S.owner == part.c.id)
    .where(part.c.upload == bindparam("upload"))
    .order_by(part.c.number, _S.n)
)
_remove = prepare(delete(segment).where(_S.owner == bindparam("owner")))


def of(conn: Connection, row: VersionRow | PartRow) -> tuple[SegmentRow, ...]:
    """All segments of a version or part, in order."""
    if row.segment is None:
        return ()
    if row.segment_count == 1:
        return (row.segment,)
    return (row.segment, *(SegmentRow(*each) for each in conn.rows(_of_owner, {"owner": row.id})))


def of_parts(conn: Connection, upload: UploadId, rows: Sequence[PartRow]) -> dict[int, tuple[SegmentRow, ...]]:
    """All segments of these parts of one upload, by part number, in one statement."""
    found = {row.number: [row.segment] if row.segment else [] for row in rows}
    if any(row.segment_count > 1 for row in rows):
        for number, *fields in conn.rows(_of_upload, {"upload": upload}):
            if number in found:
                found[number].append(SegmentRow(*fields))
    return {number: tuple(segments) for number, segments in found.items()}


def add_rest(conn: Connection, owner: int, segments: Sequence[SegmentRow]) -> None:
    """Write all but the first, which its owner's row has."""
    conn.run_many(
        _insert,
        [
            {
                "owner": owner,
                "n": n,
                "blob": each.blob,
                "offset": each.offset,
                "length": each.length,
                "dek": each.dek,
                "key_id": each.key_id,
                "mode": each.mode,
                "cid": each.cid,
            }
            for n, each in enumerate(segments[1:], start=1)
        ],
    )


def remove_rest(conn: Connection, owner: int) -> None:
    conn.run(_remove, {"owner": owner})


def embedded(segments: Sequence[SegmentRow]) -> dict[str, Any]:
    """The columns that a version's or part's own row has of its segments."""
    if not segments:
        return dict(_NONE)
    first = segments[0]
    return {
        "seg_blob": first.blob,
        "seg_offset": first.offset,
        "seg_length": first.length,
        "seg_dek": first.dek,
        "seg_key_id": first.key_id,
        "seg_mode": first.mode,
        "seg_cid": first.cid,
        "segment_count": len(segments),
    }


def first_of(fields: Sequence[Any]) -> SegmentRow | None:
    """The embedded segment from its seven fetched columns."""
    return None if fields[0] is None else SegmentRow(*fields[:7])


_NONE: dict[str, Any] = {
    "seg_blob": None,
    "seg_offset": None,
    "seg_length": None,
    "seg_dek": None,
    "seg_key_id": None,
    "seg_mode": None,
    "seg_cid": None,
    "segment_count": 0,
}
