"""Snapshots of the metadata onto the nodes: every interval, and when somebody asks.

The first one of a store comes an interval after it was made, so that a store that is tried for a minute has none; one
that was restored is snapshotted at once, since what its nodes point to is what it was restored from. A snapshot that
fails is tried again with growing pauses, and the one before stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from aiohttp import web

from cyxcloud.core.clock import Clock
from cyxcloud.core.worker import Did, Idle, Runner
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.meta.snapshot_manifest import SUMMARY_BYTES, ManifestDamaged, Summary, read_summary
from cyxcloud.objects.session import BEAT_SECONDS
from cyxcloud.objects.store import Store
from fleet.objectstore import ObjectStore
from fleet.snapshot_taking import SnapshotTaker
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LastSnapshot:
    """What is told of a snapshot that was just taken."""

    sequence: int
    taken_at_ms: int
    full: bool
    database_bytes: int
    written_bytes: int
    seconds: float


class Snapshots:
    name = "snapshots"

    def __init__(
        self,
        *,
        store: ObjectStore,
        taker: Callable[[Store], SnapshotTaker],
        cluster: ClusterRow,
        interval_seconds: float,
        clock: CoordinatorClock,
        monotonic: Clock,
        state_path: Path,
    ) -> None:
        self._store, self._taker, self._clock, self._monotonic = store, taker, clock, monotonic
        self._interval_ms = int(interval_seconds * 1000)
        last = last_snapshot(state_path)
        known = last is not None and last.incarnation == cluster.incarnation
        since_ms = last.taken_at_ms if known and last is not None else cluster.created_at_ms
        self._due_ms = 0 if cluster.restored_at_ms is not None and not known else since_ms + self._interval_ms
        self.asked = self.answered = 0
        self.error = ""
        self.last: LastSnapshot | None = None

    def ask(self) -> int:
        """Take one at the next step; done when `answered` has reached the number given."""
        self.asked += 1
        return self.asked

    async def step(self, now: float) -> Did | Idle:
        store = await self._store.ready()
        if self.asked == self.answered and self._clock.now_ms() < self._due_ms:
            left = (self._due_ms - self._clock.now_ms()) / 1000
            return Idle(now + min(left, BEAT_SECONDS))
        answering, began = self.asked, self._monotonic.monotonic()
        try:
            async with self._store.kept():
                taken = await self._taker(store).take()
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            raise
        else:
            self.error = ""
        finally:
            self.answered = answering
        summary = taken.summary
        self._due_ms = summary.taken_at_ms + self._interval_ms
        seconds = round(self._monotonic.monotonic() - began, 3)
        self.last = LastSnapshot(
            summary.sequence,
            summary.taken_at_ms,
            taken.is_full,
            summary.database_bytes,
            taken.written_bytes,
            seconds,
        )
        log.info("snapshot taken", **asdict(self.last))
        return Did(1, "taking snapshots")


def taken_at_ms(state_path: Path) -> int | None:
    """When the newest snapshot was taken."""
    last = last_snapshot(state_path)
    return None if last is None else last.taken_at_ms


def last_snapshot(state_path: Path) -> Summary | None:
    """The newest snapshot that stands on the nodes, as far as this home knows."""
    try:
        with state_path.open("rb") as file:
            return read_summary(file.read(SUMMARY_BYTES))
    except (OSError, ManifestDamaged):
        return None


def routes(snapshots: Snapshots, runner: Runner) -> list[web.RouteDef]:
    """POST /snapshot takes one now and gives its number; GET /snapshot says which numbers are done."""

    async def ask(_: web.Request) -> web.Response:
        number = snapshots.ask()
        runner.wake(snapshots.name)
        return web.json_response({"number": number})

    async def tell(_: web.Request) -> web.Response:
        last = None if snapshots.last is None else asdict(snapshots.last)
        return web.json_response(
            {"asked": snapshots.asked, "answered": snapshots.answered, "error": snapshots.error, "last": last}
        )

    return [web.post("/snapshot", ask), web.get("/snapshot", tell)]
