"""A process's write session: the number that leads all its ids, and the writer that commits only while it is open."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from cyxcloud.core.ids import SESSION_BITS, SessionNumber
from cyxcloud.meta import sessions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import SessionClosed
from cyxcloud.meta.outcome import Request, T
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


class HeldSession:
    """A session that background work keeps: opened when it is first needed, beaten, opened anew once it was closed."""

    def __init__(self, writer: Writer, role: str, now_ms: Callable[[], int]) -> None:
        self._writer, self._role, self._now_ms = writer, role, now_ms
        self.number: SessionNumber | None = None
        self._now = self._beat_at = 0.0

    async def keep(self, now: float) -> bool:
        """Beats it where that is due; False when it was found closed."""
        self._now = now
        if self.number is None or now < self._beat_at:
            return True
        self._beat_at = now + BEAT_SECONDS
        if await beat(self._writer, self.number):
            return True
        self.number = None
        return False

    async def open(self) -> SessionNumber:
        if self.number is None:
            self.number = await open_session(self._writer, self._role, self._now_ms())
            self._beat_at = self._now + BEAT_SECONDS
        return self.number

    def doubt(self) -> None:
        """Something failed: it is looked at again before anything else."""
        self._beat_at = 0.0

    async def submit(self, request: Request[T]) -> T:
        """In a transaction that holds only while the session is open."""
        number = await self.open()
        try:
            return await self._writer.bound_to(number).submit(request, is_long=True)
        except SessionClosed:
            self.number = None
            raise
