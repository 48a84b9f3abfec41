"""A process's write session: the number that leads all its ids, and the writer that commits only while it is open."""

from __future__ import annotations

import secrets
from functools import partial

from cyxcloud.core.ids import SESSION_BITS, SessionNumber
from cyxcloud.meta import sessions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer

# How often a living writer moves its beat; the coordinator closes a session whose beat stood still for ten minutes.
BEAT_SECONDS = 30.0


async def open_session(writer: Writer, role: str, now_ms: int) -> SessionNumber:
    """A number that no session has had before, so that no id is ever given twice."""
    while True:
        number = SessionNumber(1 + secrets.randbelow((1 << SESSION_BITS) - 1))
        if await writer.submit(partial(_create, number=number, role=role, now_ms=now_ms)):
            return number


def _create(conn: Connection, *, number: SessionNumber, role: str, now_ms: int) -> bool:
    return sessions.create(conn, number, role, now_ms)


async def beat(writer: Writer, number: SessionNumber, oldest_read_ms: int | None = None) -> bool:
    """False when the session was closed: the process has to open another. `oldest_read_ms`: when the oldest read began
    that it runs; the time of the beat where it runs none."""
    return await writer.submit(lambda conn: sessions.beat(conn, number, oldest_read_ms))
