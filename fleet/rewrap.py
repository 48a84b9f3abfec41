"""Wraps data keys anew under the current wrapping key after a rotation, in the background.

A pass goes through all rows in pages; what it finds under another key is unwrapped, wrapped again and written by
compare-and-set. Requests that began before the rotation may still commit the old wrapping behind it, so passes follow
each other until one finds nothing; only then the key is noted as settled, and a pass each day looks for stragglers.
Killed at any moment, rows are under the old key or the new one, both in the keyring for good; the next start begins a
pass anew and finds less to do. Customers' keys (SSE-C) are not ours to wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from cyxcloud.core import keywrap
from cyxcloud.core.keybundle import WrappingKeys
from cyxcloud.core.keywrap import Mode, WrongKey
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import cluster, rewrap
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rewrap import START, Change, Cursor, Place, WrappedKey
from cyxcloud.meta.writer import Writer

LOOK_SECONDS = 1.0
# About 5 ms of the coordinator's loop and of the writer's turn.
PAGE_ROWS = 250
# A gateway follows the epoch within a second; what it had begun by then is committed within this, but for rare ones.
SETTLE_SECONDS = 5.0
AGAIN_SECONDS = 86400.0
MODES = frozenset({Mode.SSE_S3})


@dataclass(slots=True)
class RewrapProgress:
    """Of the pass under way, or of the last one. `failed`: keys that do not open, which `meta check` names."""

    key: int
    running: bool = False
    seen: int = 0
    total: int = 0
    changed: int = 0
    failed: int = 0


class Rewrap:
    name = "rewrap"

    def __init__(
        self,
        load: Callable[[], WrappingKeys],
        reader: Connection,
        writer: Writer,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._load, self._reader, self._writer = load, reader, writer
        self._settle_seconds, self._page_rows = settle_seconds, page_rows
        self._keys = load()
        self._epoch: int | None = None
        self._since = self._began = 0.0
        self._again_at = float("-inf")
        self._at: tuple[Place, Cursor] | None = None  # in a pass
        self.progress = RewrapProgress(self._keys.current)

    async def step(self, now: float) -> Did | Idle:
        if self._at is None:
            return await self._look(now)
        place, after = self._at
        rows = rewrap.page(self._reader, place, after, self._page_rows)
        await self._wrap_anew(place, rows)
        if len(rows) == self._page_rows:
            self._at = place, rows[-1].row
        elif place is not Place.VERSION:
            self._at = Place(place + 1), START
        else:
            return await self._end_pass(now)
        return Did(len(rows), "wrapping data keys anew")

    @property
    def settled(self) -> bool:
        """Whether every row was found under the current key."""
        known = cluster.read(self._reader)
        return known is not None and known.settled_key == self._keys.current and self._at is None

    async def _look(self, now: float) -> Did | Idle:
        await self._follow(now)
        if now < self._again_at:
            return Idle(min(self._again_at, now + LOOK_SECONDS))
        self._at, self._began = (Place.PART, START), now
        self.progress = RewrapProgress(self._keys.current, running=True, total=rewrap.total(self._reader))
        return Did(0, "wrapping data keys anew")

    async def _follow(self, now: float) -> None:
        """Take over rotated keys. A rotation that died just before it told anybody is told at our start."""
        epoch = cluster.epochs(self._reader).keys
        if epoch == self._epoch:
            return
        self._keys, first = self._load(), self._epoch is None
        if first and not self.settled:
            epoch = await self._writer.submit(lambda conn: cluster.bump(conn, Epoch.KEYS))
        self._epoch, self._since = epoch, now
        self._again_at = now + AGAIN_SECONDS if self.settled else now

    async def _wrap_anew(self, place: Place, rows: Sequence[WrappedKey]) -> None:
        changes = []
        for row in rows:
            if row.length and row.mode in MODES and row.key_id != self._keys.current:
                dek = rewrapped(self._keys, row)
                if dek is None:
                    self.progress.failed += 1
                else:
                    changes.append(Change(row, dek, self._keys.current))
        if changes:
            await self._writer.submit(lambda conn: rewrap.change(conn, place, changes), is_long=True)
        self.progress.seen += len(rows)
        self.progress.changed += len(changes)

    async def _end_pass(self, now: float) -> Did | Idle:
        self._at = None
        self.progress.running = False
        if self.progress.changed:
            return Did(0, "wrapping data keys anew")
        ripe_at = self._since + self._settle_seconds
        if self._began < ripe_at:
            self._again_at = ripe_at
            return Idle(min(ripe_at, now + LOOK_SECONDS))
        key = self._keys.current
        if not self.progress.failed:
            await self._writer.submit(lambda conn: cluster.set_settled_key(conn, key))
        self._again_at = now + AGAIN_SECONDS
        return Idle(now + LOOK_SECONDS)


def rewrapped(keys: WrappingKeys, row: WrappedKey) -> bytes | None:
    """The data key under the current wrapping key (pure); None where it does not open."""
    old = keys.keys.get(row.key_id)
    if old is None:
        return None
    try:
        dek = keywrap.unwrap(old, row.blob, Mode(row.mode), row.dek)
    except WrongKey:
        return None
    return keywrap.wrap(keys.current_key, row.blob, Mode(row.mode), dek)


def routes(worker: Rewrap) -> list[web.RouteDef]:
    """GET /keys: how far wrapping anew is."""

    async def keys(_: web.Request) -> web.Response:
        progress = worker.progress
        return web.json_response(
            {
                "key": progress.key,
                "running": progress.running,
                "seen": progress.seen,
                "total": progress.total,
                "changed": progress.changed,
                "failed": progress.failed,
            }
        )

    return [web.get("/keys", keys)]
