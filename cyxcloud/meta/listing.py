"""Listing the current objects of a bucket in byte order of their keys.

An entry is an object, or a common prefix that stands for all keys that share everything up to the first delimiter
after the listed prefix. A page holds the entries greater than `after`. Without a delimiter it is one range of the
index. With one, the range is read first, since most folders are small; where it does not fill the page because whole
folders rolled up, one recursive statement steps from entry to entry, seeking past each folder, so that its cost
depends on the page alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, LargeBinary, Select, and_, bindparam, case, cast, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import GenericFunction

from cyxcloud.core.ids import BucketId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import ListedObject, Listing
from cyxcloud.meta.schema import head
from cyxcloud.meta.statement import prepare

# Keys are at most 1,024 bytes long, so this is greater than each of them, and what it is appended to greater than
# each key that starts so.
BEYOND_KEYS = b"\xff" * 1025


class _Position(GenericFunction[int]):
    """Where a byte string first occurs in another, from 1; 0 when it does not."""

    type = Integer()
    inherit_cache = True
    name = "cyx_position"


@compiles(_Position, "sqlite")
def _instr(element: Any, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(_Position, "postgresql")
def _position(element: Any, compiler: Any, **options: Any) -> str:
    where, what = (compiler.process(each, **options) for each in element.clauses)
    return f"position({what} in {where})"


_H = head.c
_COLUMNS = (_H.key, _H.size, _H.etag, _H.mtime_ms, _H.account, _H.storage_class, _H.checksum)
_start = bindparam("start", type_=LargeBinary)
_end = bindparam("end", type_=LargeBinary)
_in_range = and_(_H.bucket == bindparam("of_bucket"), _H.live == 1, _H.key >= _start, _H.key < _end)
# SQLite would rather walk the primary key, and every delete marker on the way.
_BY_LIVE = "INDEXED BY head_live"
_range = prepare(
    select(*_COLUMNS).with_hint(head, _BY_LIVE, "sqlite").where(_in_range).order_by(_H.key).limit(bindparam("at_most"))
)


def cut(key: ColumnElement[bytes]) -> ColumnElement[int]:
    """Where the delimiter begins in what follows the prefix, from 1; 0: nowhere."""
    return _Position(
        func.substr(key, bindparam("after_prefix", type_=Integer), type_=LargeBinary),
        bindparam("delimiter", type_=LargeBinary),
    )


def _joined(left: ColumnElement[bytes], right: ColumnElement[bytes]) -> ColumnElement[bytes]:
    # SQLite makes TEXT of any concatenation, and TEXT sorts below every key.
    return cast(left.op("||")(right), LargeBinary)


def beyond(key: ColumnElement[bytes]) -> ColumnElement[bytes]:
    """The least possible key of the next entry."""
    folder = func.substr(key, 1, bindparam("prefix_length", type_=Integer) + cut(key) - 1, type_=LargeBinary)
    return case(
        (cut(key) > 0, _joined(folder, bindparam("past_folder", type_=LargeBinary))),
        else_=_joined(key, bindparam("nul", type_=LargeBinary)),
    )


def _first_from(start: ColumnElement[bytes]) -> ColumnElement[bytes]:
    each = head.alias("each")
    return (
        select(each.c.key)
        .with_hint(each, _BY_LIVE, "sqlite")
        .where(each.c.bucket == bindparam("of_bucket"), each.c.live == 1, each.c.key >= start, each.c.key < _end)
        .order_by(each.c.key)
        .limit(1)
        .scalar_subquery()
    )


def _steps() -> Select[Any]:
    walk = select(_first_from(_start).label("key"), literal(1).label("n")).cte("walk", recursive=True)
    walk = walk.union_all(
        select(_first_from(beyond(walk.c.key)), walk.c.n + 1).where(
            walk.c.key.is_not(None), walk.c.n < bindparam("at_most")
        )
    )
    return (
        select(*_COLUMNS)
        .join_from(walk, head, and_(_H.bucket == bindparam("of_bucket"), _H.key == walk.c.key))
        .order_by(walk.c.n)
    )


_skipping = prepare(_steps())


def page(
    conn: Connection,
    bucket: BucketId,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    after: bytes = b"",
    limit: int = 1000,
) -> Listing:
    """The first `limit` entries greater than `after`."""
    if limit <= 0:
        return Listing([], [], truncated=False, last=None)
    roll = _Roll(prefix, delimiter, limit)
    start = max(prefix, roll.least_after(after))
    end = past_all(prefix)
    params = {"of_bucket": bucket, "start": start, "end": end, "at_most": limit + 1}
    rows = conn.rows(_range, params)
    complete = len(rows) <= limit
    roll.take(rows)
    if not complete and not roll.truncated:
        params.update(
            start=roll.next_start,
            at_most=limit + 1 - roll.count,
            after_prefix=len(prefix) + 1,
            prefix_length=len(prefix),
            delimiter=delimiter,
            past_folder=past_all(delimiter),
            nul=b"\x00",
        )
        roll.take(conn.rows(_skipping, params))
    return Listing(roll.objects, roll.prefixes, roll.truncated, roll.last)


def past_all(prefix: bytes) -> bytes:
    """A byte string greater than every key that starts with the prefix, and than no other key greater than those."""
    stem = prefix.rstrip(b"\xff")
    if not stem:
        return prefix + BEYOND_KEYS
    return stem[:-1] + bytes([stem[-1] + 1])


class _Roll:
    """Rolls rows in key order up into entries until one more than the limit is seen."""

    def __init__(self, prefix: bytes, delimiter: bytes, limit: int) -> None:
        self._from = len(prefix)
        self._prefix = prefix
        self._delimiter = delimiter
        self._limit = limit
        self.objects: list[ListedObject] = []
        self.prefixes: list[bytes] = []
        self.count = 0
        self.truncated = False
        self.last: bytes | None = None
        self.next_start = b""

    def least_after(self, after: bytes) -> bytes:
        """The least key that may belong to an entry greater than `after`."""
        folder = self._folder_of(after) if after.startswith(self._prefix) else None
        if folder is not None:
            return past_all(folder)
        return after + b"\x00" if after else b""

    def take(self, rows: list[Row]) -> None:
        if not self._delimiter:
            self._take_plain(rows)
            return
        for row in rows:
            key = row[0]
            if key < self.next_start:
                continue
            folder = self._folder_of(key)
            if self.count == self._limit:
                self.truncated = True
                return
            self.count += 1
            if folder is None:
                self.objects.append(ListedObject._make(row))
                self.last = key
                self.next_start = key + b"\x00"
            else:
                self.prefixes.append(folder)
                self.last = folder
                self.next_start = past_all(folder)

    def _take_plain(self, rows: list[Row]) -> None:
        self.truncated = len(rows) > self._limit
        self.objects = list(map(ListedObject._make, rows[: self._limit]))
        self.count = len(self.objects)
        self.last = self.objects[-1].key if self.objects else None

    def _folder_of(self, key: bytes) -> bytes | None:
        """The common prefix that the key rolls up into, or None."""
        if not self._delimiter:
            return None
        at = key.find(self._delimiter, self._from)
        return None if at < 0 else key[: at + len(self._delimiter)]
