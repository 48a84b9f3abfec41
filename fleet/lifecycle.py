"""Lifecycle rules at work: goes through the buckets that have some, again and again, and does what is due.

A step looks at a bounded number of versions, wherever it is in the pass, and pauses, so that a big bucket takes time
instead of the machine. Where it is in a bucket that took more than one step is noted after each, and a coordinator that
starts anew goes on there. Everything that is done is decided again in its own transaction, so repeating harms nothing.
"""

from __future__ import annotations

import base64
import json
from collections import deque

import structlog

from cyxcloud.core.ids import BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import bucket_config, bucket_work, buckets
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BucketGone
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import lifecycle, lifecycle_work
from cyxcloud.objects.bucket_config import UnreadableConfig
from cyxcloud.objects.delete import Remover
from cyxcloud.objects.lifecycle import LIFECYCLE, Rules
from cyxcloud.objects.lifecycle_work import START, Asked, Due, Place
from fleet.objectstore import ObjectStore
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

# Looked at in one step, some ten milliseconds; with the pause at most some ten thousand a second.
VERSIONS_A_STEP = 1000
PAUSE_SECONDS = 0.05
CHANGES_A_COMMIT = 50
BUCKETS_A_PAGE = 1000
# Days end at midnight; what is due is done some hours after, and with shortened days within an eighth of one.
PASS_SECONDS = 3 * 3600.0
PASSES_A_DAY = 8
_FORMAT = 1


class Lifecycle:
    name = "lifecycle"

    def __init__(self, objects: ObjectStore, reader: Connection, clock: CoordinatorClock, day_seconds: float) -> None:
        self._objects, self._reader, self._clock = objects, reader, clock
        self._day_ms = int(day_seconds * 1000)
        self._pass_seconds = min(PASS_SECONDS, day_seconds / PASSES_A_DAY)
        self._waiting: deque[tuple[BucketId, bytes]] = deque()
        self._after = -1
        self._place: Place | None = None

    async def step(self, now: float) -> Did | Idle:
        left = VERSIONS_A_STEP
        while left > 0:
            if not self._waiting and not self._more():
                return Idle(now + self._pass_seconds)
            left -= await self._bucket(*self._waiting[0], left)
        return Idle(now + PAUSE_SECONDS)

    def _more(self) -> bool:
        """More buckets of this pass; without any it is over."""
        self._waiting.extend(
            bucket_config.having(self._reader, LIFECYCLE.name, after=self._after, limit=BUCKETS_A_PAGE)
        )
        self._after = self._waiting[-1][0] if self._waiting else -1
        return bool(self._waiting)

    async def _bucket(self, bucket_id: BucketId, config: bytes, limit: int) -> int:
        """Goes on in a bucket; how many versions were looked at, and one for the bucket itself."""
        rules, bucket = self._rules(bucket_id, config), buckets.read_by_id(self._reader, bucket_id)
        if rules is None or bucket is None:
            self._next()
            return 1
        try:
            return 1 + await self._work(bucket, rules, limit)
        except BucketGone:
            self._next()
            return 1

    async def _work(self, bucket: BucketRow, rules: Rules, limit: int) -> int:
        asked = Asked(rules, self._clock.now_ms(), self._day_ms)
        if self._place is None:
            self._place = self._noted(bucket.id)
            if lifecycle.aborts(rules):
                await self._abort(bucket.id, asked)
        page = lifecycle_work.look(self._reader, bucket.id, asked, self._place, limit)
        for at in range(0, len(page.due), CHANGES_A_COMMIT):
            await self._carry_out(bucket, page.due[at : at + CHANGES_A_COMMIT])
        if page.after is not None:
            await self._note(bucket.id, page.after)
            self._place = page.after
        else:
            await self._done(bucket.id)
            self._next()
        return page.looked_at

    async def _carry_out(self, bucket: BucketRow, due: tuple[Due, ...]) -> None:
        store = await self._objects.ready()
        remover = Remover(store, bucket.id, bucket.account, lifecycle_work.EXPIRED)
        changes = [(each, store.new_version()) for each in due]
        changed = await store.change(lambda conn: lifecycle_work.carry_out(conn, remover, changes), is_long=True)
        log.debug("lifecycle", bucket=bucket.name, changed=changed)

    async def _abort(self, bucket: BucketId, asked: Asked) -> None:
        stale = lifecycle_work.stale_uploads(self._reader, bucket, asked)
        for at in range(0, len(stale), CHANGES_A_COMMIT):
            few = stale[at : at + CHANGES_A_COMMIT]
            store = await self._objects.ready()
            await store.change(lambda conn, few=few: lifecycle_work.abort(conn, bucket, few, asked.now_ms))  # type: ignore[misc]

    def _rules(self, bucket: BucketId, config: bytes) -> Rules | None:
        try:
            return LIFECYCLE.decode(config)
        except UnreadableConfig:
            log.exception("lifecycle rules cannot be read", bucket=bucket)
            return None

    def _next(self) -> None:
        self._waiting.popleft()
        self._place = None

    def _noted(self, bucket: BucketId) -> Place:
        kept = bucket_work.read(self._reader, bucket, self.name)
        return START if kept is None else _decoded(kept[1])

    async def _note(self, bucket: BucketId, place: Place) -> None:
        store, now_ms = await self._objects.ready(), self._clock.now_ms()
        await store.change(lambda conn: bucket_work.put(conn, bucket, self.name, now_ms, _encoded(place)))

    async def _done(self, bucket: BucketId) -> None:
        if bucket_work.read(self._reader, bucket, self.name) is not None:
            store = await self._objects.ready()
            await store.change(lambda conn: bucket_work.remove(conn, bucket, self.name))


def _encoded(place: Place) -> bytes:
    key = base64.b64encode(place.key).decode()
    return json.dumps([_FORMAT, key, place.seq, place.newer, place.mtime_ms]).encode()


def _decoded(state: bytes) -> Place:
    """A state of another version begins the bucket anew."""
    written, key, seq, newer, mtime_ms = json.loads(state)
    return Place(base64.b64decode(key), seq, newer, mtime_ms) if written == _FORMAT else START
