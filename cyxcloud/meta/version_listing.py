"""Listing all versions of a bucket's keys, delete markers too: by key in byte order, of a key the newest first.

As in listing.py a page is an index range, and where whole folders rolled up one recursive statement steps from entry to
entry: its cost depends on the page alone. Which version is current needs no look at the heads: it is the first of its
key. A page may go on after a version that was removed meanwhile (clients delete what they have listed); it then begins
with the first one that is left of the key, so that none is ever passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Integer, LargeBinary, Select, bindparam, case, func, literal, select
from sqlalchemy.sql.elements import ColumnElement

from cyxcloud.core.ids import AccountId, BucketId, VersionId
from cyxcloud.meta import heads, versions
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.listing import beyond, cut, past_all
from cyxcloud.meta.reads import VersionRef
from cyxcloud.meta.schema import version
from cyxcloud.meta.statement import prepare

_V = version.c
_COLUMNS = (
    _V.key,
    _V.id,
    _V.is_null,
    _V.is_delete_marker,
    _V.size,
    _V.etag,
    _V.mtime_ms,
    _V.account,
    _V.storage_class,
    _V.checksum,
    _V.seq,
)
_SEQ = len(_COLUMNS) - 1
_BY_CHAIN = "INDEXED BY version_chain"
_of_bucket = _V.bucket == bindparam("of_bucket")
_end = bindparam("end", type_=LargeBinary)
_start = bindparam("start", type_=LargeBinary)
_range = prepare(
    select(*_COLUMNS)
    .with_hint(version, _BY_CHAIN, "sqlite")
    .where(_of_bucket, _V.key >= _start, _V.key < _end)
    .order_by(_V.key, _V.seq.desc())
    .limit(bindparam("at_most"))
)
_rest_of_key = prepare(
    select(*_COLUMNS)
    .with_hint(version, _BY_CHAIN, "sqlite")
    .where(_of_bucket, _V.key == _start, _V.seq < bindparam("below"))
    .order_by(_V.key, _V.seq.desc())
    .limit(bindparam("at_most"))
)


class ListedVersion(NamedTuple):
    """A tuple, since a page has a thousand of them."""

    key: bytes
    id: VersionId
    is_null: int
    is_delete_marker: int
    size: int
    etag: str
    mtime_ms: int
    account: AccountId
    storage_class: str
    checksum: int
    seq: int
    is_latest: bool


@dataclass(frozen=True, slots=True)
class VersionListing:
    """Versions and common prefixes, together at most the limit. When truncated, the next page goes on after `next_key`
    and, where the last entry is a version, `next_version` of it."""

    versions: list[ListedVersion]
    prefixes: list[bytes]
    truncated: bool
    next_key: bytes = b""
    next_version: VersionRef | None = None


class _Place(NamedTuple):
    """Where a page begins: the first key, and below which sequence number of it; None: with its newest version."""

    key: bytes
    below: int | None = None


def _first_from(start: ColumnElement[bytes]) -> ColumnElement[int]:
    each = version.alias("first")
    return (
        select(each.c.id)
        .with_hint(each, _BY_CHAIN, "sqlite")
        .where(each.c.bucket == bindparam("of_bucket"), each.c.key >= start, each.c.key < _end)
        .order_by(each.c.key, each.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )


def _older_than(key: ColumnElement[bytes], seq: ColumnElement[int]) -> ColumnElement[int]:
    each = version.alias("older")
    return (
        select(each.c.id)
        .with_hint(each, _BY_CHAIN, "sqlite")
        .where(each.c.bucket == bindparam("of_bucket"), each.c.key == key, each.c.seq < seq)
        .order_by(each.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )


def _steps() -> Select[Any]:
    begin = func.coalesce(
        _older_than(bindparam("last_key", type_=LargeBinary), bindparam("below")), _first_from(_start)
    )
    walk = select(begin.label("id"), literal(1, Integer).label("n")).cte("walk", recursive=True)
    here = version.alias("here").c
    # After a version the older ones of its key, then what follows; after a folder what follows it.
    following = func.coalesce(
        case((cut(here.key) == 0, _older_than(here.key, here.seq))), _first_from(beyond(here.key))
    )
    walk = walk.union_all(
        select(following, walk.c.n + 1)
        .join_from(walk, here.key.table, here.id == walk.c.id)
        .where(walk.c.n < bindparam("at_most"))
    )
    return select(*_COLUMNS).join_from(walk, version, _V.id == walk.c.id).order_by(walk.c.n)


_skipping = prepare(_steps())


def page(
    conn: Connection,
    bucket: BucketId,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    after_key: bytes = b"",
    after_version: VersionRef | None = None,
    limit: int = 1000,
) -> VersionListing:
    """The first `limit` entries after a key, or after one version of that key."""
    if limit <= 0:
        return VersionListing([], [], truncated=False)
    roll = _Roll(prefix, delimiter, limit)
    place = _begin(conn, bucket, roll, after_key, after_version)
    if place.below is not None:
        roll.last_key, roll.last_seq = place.key, place.below
    rows = _read(conn, bucket, place, past_all(prefix), limit + 1)
    roll.take(rows)
    if len(rows) > limit and not roll.truncated:
        params = {
            "of_bucket": bucket,
            "last_key": roll.last_key,
            "below": roll.last_seq,
            "start": max(roll.skip_to, roll.last_key + b"\x00"),
            "end": past_all(prefix),
            "at_most": limit + 1 - roll.count,
            "after_prefix": len(prefix) + 1,
            "prefix_length": len(prefix),
            "delimiter": delimiter,
            "past_folder": past_all(delimiter),
            "nul": b"\x00",
        }
        roll.take(conn.rows(_skipping, params))
    return roll.listing()


def _begin(
    conn: Connection, bucket: BucketId, roll: _Roll, after_key: bytes, after_version: VersionRef | None
) -> _Place:
    prefix = roll.prefix
    if not after_key:
        return _Place(prefix)
    folder = roll.folder_of(after_key) if after_key.startswith(prefix) else None
    if folder is not None:
        return _Place(max(prefix, past_all(folder)))
    if after_version is None:
        return _Place(max(prefix, after_key + b"\x00"))
    if after_key < prefix:
        return _Place(prefix)
    return _Place(after_key, _seq_of(conn, bucket, after_key, after_version))


def _seq_of(conn: Connection, bucket: BucketId, key: bytes, named: VersionRef) -> int | None:
    version_id = named.id
    if version_id is None:
        head = heads.read(conn, bucket, key)
        version_id = None if head is None else head.null_version
    row = None if version_id is None else versions.read(conn, version_id)
    return row.seq if row is not None and (row.bucket, row.key) == (bucket, key) else None


def _read(conn: Connection, bucket: BucketId, place: _Place, end: bytes, limit: int) -> list[Row]:
    params = {"of_bucket": bucket, "start": place.key, "end": end, "at_most": limit}
    if place.below is None:
        return conn.rows(_range, params)
    rows = conn.rows(_rest_of_key, {**params, "below": place.below}) if place.key < end else []
    if len(rows) < limit:
        params.update(start=place.key + b"\x00", at_most=limit - len(rows))
        rows = rows + conn.rows(_range, params)
    return rows


@dataclass(slots=True)
class _Roll:
    """Rolls rows in order up into entries until one more than the limit is seen."""

    prefix: bytes
    delimiter: bytes
    limit: int
    versions: list[ListedVersion] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    truncated: bool = False
    last_key: bytes = b""
    last_seq: int = 0
    """Of the version before: the next one of the same key is not its latest. No key is empty."""
    skip_to: bytes = b""
    """Where the folder ends that was rolled up last; no row before it is an entry."""

    @property
    def count(self) -> int:
        return len(self.versions) + len(self.prefixes)

    def take(self, rows: list[Row]) -> None:
        for row in rows:
            key = row[0]
            if key < self.skip_to:
                continue
            if self.count == self.limit:
                self.truncated = True
                return
            folder = self.folder_of(key) if self.delimiter else None
            if folder is None:
                self.versions.append(ListedVersion._make((*row, key != self.last_key)))
                self.last_key, self.last_seq = key, row[_SEQ]
            else:
                self.prefixes.append(folder)
                self.skip_to = past_all(folder)
                self.last_seq = 0

    def folder_of(self, key: bytes) -> bytes | None:
        at = key.find(self.delimiter, len(self.prefix)) if self.delimiter else -1
        return None if at < 0 else key[: at + len(self.delimiter)]

    def listing(self) -> VersionListing:
        if not self.truncated:
            return VersionListing(self.versions, self.prefixes, truncated=False)
        last = self.versions[-1] if self.versions else None
        if last is None or (self.prefixes and self.prefixes[-1] > last.key):
            return VersionListing(self.versions, self.prefixes, truncated=True, next_key=self.prefixes[-1])
        named = VersionRef(None if last.is_null else last.id)
        return VersionListing(self.versions, self.prefixes, truncated=True, next_key=last.key, next_version=named)
