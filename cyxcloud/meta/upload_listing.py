"""Listing the uploads in progress of a bucket: by key, then by when they began, with keys rolled up at a delimiter.

There are few of them, so rows are read page by page and rolled up here; a folder is stepped over by a seek.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select, tuple_

from cyxcloud.core.ids import BucketId, UploadId
from cyxcloud.meta import uploads
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.listing import past_all
from cyxcloud.meta.rows import UploadRow
from cyxcloud.meta.schema import upload
from cyxcloud.meta.statement import prepare

_U = upload.c
_page = prepare(
    select(*uploads.FIELDS)
    .where(
        _U.bucket == bindparam("of_bucket"),
        _U.listed == 1,
        tuple_(_U.key, _U.created_at_ms, _U.id)
        >= tuple_(bindparam("from_key"), bindparam("from_ms"), bindparam("from_id")),
        _U.key < bindparam("end"),
    )
    .order_by(_U.key, _U.created_at_ms, _U.id)
    .limit(bindparam("at_most"))
)

# Where to go on: a key, and the time and id of an upload of it.
_Place = tuple[bytes, int, int]
_FIRST = (-1, -1)


@dataclass(frozen=True, slots=True)
class UploadListing:
    """Uploads and common prefixes, together at most the limit. When truncated, the next page goes on after `next_key`
    and, where the last entry is an upload, `next_upload`."""

    uploads: list[UploadRow]
    prefixes: list[bytes]
    truncated: bool
    next_key: bytes | None
    next_upload: UploadId | None


def page(
    conn: Connection,
    bucket: BucketId,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    after_key: bytes = b"",
    after_upload: UploadId | None = None,
    limit: int = 1000,
) -> UploadListing:
    """Entries after a key, or after one upload of that key."""
    listed: list[UploadRow] = []
    prefixes: list[bytes] = []
    if limit <= 0:
        return UploadListing(listed, prefixes, truncated=False, next_key=None, next_upload=None)
    place: _Place | None = _start(conn, prefix, delimiter, after_key, after_upload)
    while place is not None:
        room = limit - len(listed) - len(prefixes)
        rows = _read(conn, bucket, prefix, place, room + 1)
        place = None
        for row in rows:
            if room == 0:
                return _truncated(listed, prefixes)
            room -= 1
            folder = _folder(row.key, prefix, delimiter)
            if folder is not None:
                prefixes.append(folder)
                place = (past_all(folder), *_FIRST)
                break
            listed.append(row)
    return UploadListing(listed, prefixes, truncated=False, next_key=None, next_upload=None)


def _start(
    conn: Connection, prefix: bytes, delimiter: bytes, after_key: bytes, after_upload: UploadId | None
) -> _Place:
    first = (prefix, *_FIRST)
    if not after_key:
        return first
    folder = _folder(after_key, prefix, delimiter) if after_key.startswith(prefix) else None
    if folder is not None:
        return max(first, (past_all(folder), *_FIRST))
    row = None if after_upload is None else uploads.read(conn, after_upload)
    if row is None or row.key != after_key:
        return max(first, (after_key + b"\x00", *_FIRST))
    return max(first, (after_key, row.created_at_ms, row.id + 1))


def _read(conn: Connection, bucket: BucketId, prefix: bytes, place: _Place, limit: int) -> list[UploadRow]:
    params = {
        "of_bucket": bucket,
        "from_key": place[0],
        "from_ms": place[1],
        "from_id": place[2],
        "end": past_all(prefix),
        "at_most": limit,
    }
    return [uploads.row_of(row) for row in conn.rows(_page, params)]


def _folder(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if at < 0 else key[: at + len(delimiter)]


def _truncated(listed: list[UploadRow], prefixes: list[bytes]) -> UploadListing:
    last = listed[-1] if listed else None
    if last is None or (prefixes and prefixes[-1] > last.key):
        return UploadListing(listed, prefixes, truncated=True, next_key=prefixes[-1], next_upload=None)
    return UploadListing(listed, prefixes, truncated=True, next_key=last.key, next_upload=last.id)
