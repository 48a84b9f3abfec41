"""Data keys as rows have them, page by page, to be wrapped anew under another wrapping key.

A changed key is written by compare-and-set on what was read: a row that has gone, moved from a part into a version, or
was wrapped by somebody else meanwhile stays as it is, and the next pass looks at it again. A segment's blob, offset and
length never change, so only the wrapping differs before and after, and a reader may have either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, func, select, tuple_, update
from sqlalchemy.sql.schema import Column, Table

from cyxcloud.core.ids import BlobId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema import part, segment, version
from cyxcloud.meta.statement import Statement, prepare


class Place(IntEnum):
    """The tables that hold segments, in the order in which a pass goes through them: a completion moves segments from
    parts to versions, so versions come last."""

    PART = 1
    SEGMENT = 2
    VERSION = 3


Cursor = tuple[int, int]
START: Cursor = (-1, -1)


class WrappedKey(NamedTuple):
    """`row` is the row's key: upload and number, owner and n, or version and 0."""

    row: Cursor
    blob: BlobId
    length: int
    dek: bytes
    key_id: int
    mode: int


@dataclass(frozen=True, slots=True)
class Change:
    before: WrappedKey
    dek: bytes
    key_id: int


class _Table:
    def __init__(self, table: Table, first: Column[int], second: Column[int] | None, prefix: str) -> None:
        c = table.c
        names = [f"{prefix}{name}" for name in ("blob", "length", "dek", "key_id", "mode")]
        key = (first,) if second is None else (first, second)
        after: tuple[BindParameter[int], ...] = (bindparam("after_first"), bindparam("after_second"))[: len(key)]
        beyond: ColumnElement[bool] = first > after[0] if second is None else tuple_(*key) > tuple_(*after)
        here = and_(*(column == bindparam(f"at_{n}") for n, column in enumerate(key)))
        self.width = len(key)
        self.page = prepare(select(*key, *(c[name] for name in names)).where(beyond).order_by(*key).limit(_at_most))
        self.change = prepare(
            update(table)
            .where(here, c[names[0]] == bindparam("of_blob"), c[names[2]] == bindparam("old_dek"))
            .values({names[2]: bindparam("new_dek"), names[3]: bindparam("new_key")})
        )
        self.count: Statement = prepare(select(func.count()).select_from(table))


_at_most: BindParameter[int] = bindparam("at_most")
_TABLES = {
    Place.PART: _Table(part, part.c.upload, part.c.number, "seg_"),
    Place.SEGMENT: _Table(segment, segment.c.owner, segment.c.n, ""),
    Place.VERSION: _Table(version, version.c.id, None, "seg_"),
}


def page(conn: Connection, place: Place, after: Cursor = START, limit: int = 1000) -> list[WrappedKey]:
    """Rows after the given one; those without a blob have length 0."""
    table = _TABLES[place]
    params = {"after_first": after[0], "at_most": limit} | ({"after_second": after[1]} if table.width == 2 else {})
    found = []
    for row in conn.rows(table.page, params):
        at = (row[0], row[1] if table.width == 2 else 0)
        blob, length, dek, key_id, mode = row[table.width :]
        found.append(WrappedKey(at, BlobId(blob or 0), length or 0, bytes(dek or b""), key_id or 0, mode or 0))
    return found


def change(conn: Connection, place: Place, changes: Sequence[Change]) -> int:
    """Carry out those whose row is as it was read; gives how many."""
    table = _TABLES[place]
    done = 0
    for each in changes:
        params = {
            "at_0": each.before.row[0],
            "of_blob": each.before.blob,
            "old_dek": each.before.dek,
            "new_dek": each.dek,
            "new_key": each.key_id,
        }
        if table.width == 2:
            params["at_1"] = each.before.row[1]
        done += conn.run(table.change, params)
    return done


def total(conn: Connection, places: Iterable[Place] = tuple(Place)) -> int:
    """Rows that a pass looks at (counts them: for progress, not for requests)."""
    return sum(row[0] for place in places for row in conn.rows(_TABLES[place].count))
