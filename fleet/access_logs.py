"""Puts the lines of access logs together as objects of the buckets that are to have them.

Lines of a bucket wait for the interval, counted from when the first of them was seen, and a moment longer while more
come, so that what belongs together stays together. The object is made in the transaction that removes its lines: after
a crash either both happened or neither. Lines that may not be delivered, by now, are dropped, as on S3.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import structlog

from cyxcloud.core.ids import BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import access_logs, bucket_work, buckets
from cyxcloud.meta.access_logs import LogRow
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BucketGone
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import acl, bucket_config, delivery_rights
from cyxcloud.objects.access_log import BY_EVENT, LOGGING, SERVICE, SIMPLE, UNDELIVERABLE, Logging, object_key
from cyxcloud.objects.acl import Grants
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.bucket_config import UnreadableConfig
from cyxcloud.objects.errors import ObjectsError
from cyxcloud.objects.lifecycle import DAY_MS
from cyxcloud.objects.store import Store
from fleet.objectstore import ObjectStore
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

# Half a kibibyte each: some megabytes an object, and a transaction that removes as many rows in some 50 ms.
LINES_AN_OBJECT = 5000
LOOK_SECONDS = 1.0
LOOKS_AN_INTERVAL = 8
# While lines come more closely than this the object waits for them, but no longer than that.
QUIET_SECONDS = 1.5
MOST_EXTRA_SECONDS = 4.0
CONTENT_TYPE = "text/plain"


@dataclass(slots=True)
class _Waiting:
    since: float
    last: int
    changed: float

    def is_due(self, now: float, interval: float) -> bool:
        over = now - self.since - interval
        return over >= MOST_EXTRA_SECONDS or (over >= 0 and now - self.changed >= QUIET_SECONDS)


class _Sourced(NamedTuple):
    source: BucketId
    row: LogRow


class _DeliveredElsewhere(Exception):
    """Another coordinator has made an object of these lines."""


class AccessLogs:
    name = "access-logs"

    def __init__(
        self, objects: ObjectStore, reader: Connection, clock: CoordinatorClock, interval_seconds: float
    ) -> None:
        self._objects, self._reader, self._clock, self._interval = objects, reader, clock, interval_seconds
        self._waiting: dict[BucketId, _Waiting] = {}

    async def step(self, now: float) -> Did | Idle:
        self._look(now)
        for bucket, waiting in self._waiting.items():
            if waiting.is_due(now, self._interval):
                return Did(await self._deliver(bucket), "delivering access logs")
        return Idle(now + min(LOOK_SECONDS, self._interval / LOOKS_AN_INTERVAL))

    def _look(self, now: float) -> None:
        found = dict(access_logs.waiting(self._reader))
        for bucket in self._waiting.keys() - found.keys():
            del self._waiting[bucket]
        for bucket, last in found.items():
            known = self._waiting.setdefault(bucket, _Waiting(now, last, now))
            if known.last != last:
                known.last, known.changed = last, now

    async def _deliver(self, first: BucketId) -> int:
        """An object's worth of lines. Gives how many were taken."""
        logging = self._logging(first)
        if logging is None:
            store = await self._objects.ready()
            del self._waiting[first]
            return await store.change(lambda conn: access_logs.remove_all(conn, first), is_long=True)
        lines: list[_Sourced] = []
        for source in self._together(first, logging):
            rows = access_logs.page(self._reader, source, LINES_AN_OBJECT - len(lines))
            lines += [_Sourced(source, row) for row in rows]
            if len(lines) == LINES_AN_OBJECT:
                break
            del self._waiting[source]
        lines.sort(key=lambda line: line.row.at_ms)
        for _, day in groupby(lines, lambda line: line.row.at_ms // DAY_MS if logging.date_source == BY_EVENT else 0):
            await self._put(logging, list(day))
        return len(lines)

    def _together(self, first: BucketId, logging: Logging) -> list[BucketId]:
        """What goes to one prefix of one bucket becomes one object, unless the key says whose it is."""
        if logging.date_source != SIMPLE:
            return [first]
        others = [bucket for bucket in self._waiting if bucket != first and self._logging(bucket) == logging]
        return [first, *others]

    def _logging(self, source: BucketId) -> Logging | None:
        try:
            return bucket_config.read(self._reader, source, LOGGING)
        except UnreadableConfig:
            log.exception("where access logs go cannot be read", bucket=source)
            return None

    async def _put(self, logging: Logging, lines: Sequence[_Sourced]) -> None:
        store = await self._objects.ready()
        at_ms = lines[0].row.at_ms if logging.date_source == BY_EVENT else self._clock.now_ms()
        target, allowed = buckets.read(self._reader, logging.target), {}
        unique = secrets.token_hex(8).upper()
        key = ""
        for source in {line.source for line in lines}:
            row = buckets.read_by_id(self._reader, source)
            if row is None or target is None:
                continue
            about = delivery_rights.source_of(store, row)
            key = object_key(logging, about, at_ms, unique)
            if delivery_rights.may_deliver(store, SERVICE, about, target, logging.prefix, key=key):
                allowed[source] = row
        kept = [line for line in lines if line.source in allowed]
        if target is None or len(kept) < len(lines):
            log.warning("access logs may not be delivered", target=logging.target, lines=len(lines) - len(kept))
            dropped = [line for line in lines if line.source not in allowed]
            await store.change(lambda conn: self._refused(conn, dropped), is_long=True)
        if target is not None and kept:
            await self._store(store, target, key, logging, kept)

    async def _store(
        self, store: Store, target: BucketRow, key: str, logging: Logging, lines: Sequence[_Sourced]
    ) -> None:
        def taken(conn: Connection) -> None:
            if _remove(conn, lines) != len(lines):
                raise _DeliveredElsewhere
            for source in {line.source for line in lines}:
                bucket_work.remove(conn, source, UNDELIVERABLE)

        owner = delivery_rights.source_of(store, target).account
        attributes = Attributes({"content-type": CONTENT_TYPE}, acl=_list(owner, logging))
        body = b"".join([line.row.line + b"\n" for line in lines])
        try:
            await self._objects.put_object(target, key.encode(), body, target.account, attributes, also=taken)
        except (BucketGone, _DeliveredElsewhere):
            return  # looked at anew in the next step
        except ObjectsError as refused:
            log.warning("access logs were not taken", target=target.name, reason=repr(refused))
            await store.change(lambda conn: self._refused(conn, lines), is_long=True)

    def _refused(self, conn: Connection, lines: Sequence[_Sourced]) -> None:
        """Dropped, and noted for who must not go on without a log."""
        _remove(conn, lines)
        for source in {line.source for line in lines}:
            bucket_work.put(conn, source, UNDELIVERABLE, self._clock.now_ms(), b"")


def _remove(conn: Connection, lines: Iterable[_Sourced]) -> int:
    return sum(access_logs.remove(conn, line.source, [line.row.id]) for line in lines)


def _list(owner: str, logging: Logging) -> Grants | None:
    """A log belongs to who owns the bucket that it is in, who may have others read it."""
    return acl.normal((*acl.private(owner), *logging.grants), owner)
