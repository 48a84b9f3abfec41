"""Write sessions: one row for each life of a writer process; `beat` moves while it lives.

Closing is for ever. Every commit checks that its session is open (`lock_open`); so once a session is closed, nothing
that it wrote and did not commit can become referenced, and may be swept.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import SessionNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import SessionRow
from cyxcloud.meta.schema import session
from cyxcloud.meta.statement import prepare

_S = session.c
_still_open = _S.closed_at_ms.is_(None)
_insert = prepare(insert(session).on_conflict_do_nothing())
_lock_open = prepare(select(_S.number).where(_S.number == bindparam("at"), _still_open).with_for_update(read=True))
_beat = prepare(
    update(session)
    .where(_S.number == bindparam("at"), _still_open)
    .values(beat=_S.beat + 1, oldest_read_ms=bindparam("reads_since_ms"))
)
_close = prepare(
    update(session).where(_S.number == bindparam("at"), _still_open).values(closed_at_ms=bindparam("now_ms"))
)
_close_lapsed = prepare(
    update(session)
    .where(_S.number == bindparam("at"), _S.beat == bindparam("seen"), _still_open)
    .values(closed_at_ms=bindparam("now_ms"))
)
_read = prepare(select(session).where(_S.number == bindparam("at")))
_all_open = prepare(select(session).where(_still_open).order_by(_S.number))
_all = prepare(select(session).order_by(_S.number))


def create(conn: Connection, number: SessionNumber, role: str, now_ms: int) -> bool:
    """False when the number was used before, by any session ever: draw another."""
    params = {
        "number": number,
        "role": role,
        "opened_at_ms": now_ms,
        "beat": 0,
        "closed_at_ms": None,
        "oldest_read_ms": None,
    }
    return conn.run(_insert, params) == 1


def lock_open(conn: Connection, number: SessionNumber) -> bool:
    """Whether it is open; it stays so until the transaction ends."""
    return conn.one(_lock_open, {"at": number}) is not None


def beat(conn: Connection, number: SessionNumber, oldest_read_ms: int | None = None) -> bool:
    """A sign of life, with when the oldest read began that runs now; False when it was closed."""
    return conn.run(_beat, {"at": number, "reads_since_ms": oldest_read_ms}) == 1


def close(conn: Connection, number: SessionNumber, now_ms: int) -> bool:
    """False when it was closed before."""
    return conn.run(_close, {"at": number, "now_ms": now_ms}) == 1


def close_lapsed(conn: Connection, seen: Iterable[tuple[SessionNumber, int]], now_ms: int) -> list[SessionNumber]:
    """Close those whose beat is still the one seen long ago; gives the closed ones."""
    return [
        number
        for number, beat_seen in seen
        if conn.run(_close_lapsed, {"at": number, "seen": beat_seen, "now_ms": now_ms}) == 1
    ]


def read(conn: Connection, number: SessionNumber) -> SessionRow | None:
    row = conn.one(_read, {"at": number})
    return None if row is None else SessionRow(*row)


def open_ones(conn: Connection) -> list[SessionRow]:
    return [SessionRow(*row) for row in conn.rows(_all_open)]


def read_all(conn: Connection) -> list[SessionRow]:
    return [SessionRow(*row) for row in conn.rows(_all)]
