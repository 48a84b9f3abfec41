"""Turns changes of buckets into messages for the webhooks that want them: the first reader of the log of changes.

What was read, the messages that it makes and the reader's new position are one transaction, so a process that dies at
any moment has queued each change once or will read it again. A change is matched with the configuration that stands
when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable

from cyxcloud.core.ids import BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import accounts, buckets, changes, deliveries, webhooks
from cyxcloud.meta.changes import Change
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.deliveries import NewDelivery
from cyxcloud.meta.rows import BucketRow, Versioning
from cyxcloud.meta.writer import Writer
from cyxcloud.objects import bucket_config
from cyxcloud.objects.event_record import Source, record
from cyxcloud.objects.notification import NOTIFICATION, READER, NotificationConfig
from fleet.storeclock import CoordinatorClock

LOOK_SECONDS = 0.25
BATCH = 500


class Notifications:
    name = "notifications"

    def __init__(self, reader: Connection, writer: Writer, clock: CoordinatorClock) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock

    async def step(self, now: float) -> Did | Idle:
        behind = changes.behind(self._reader, READER)
        if not behind:
            return Idle(now + LOOK_SECONDS)
        made = 0
        for bucket in behind:
            made += await self._writer.submit(lambda conn, bucket=bucket: self._queue(conn, bucket), is_long=True)  # type: ignore[misc]
        return Did(made, "queueing notifications")

    def _queue(self, conn: Connection, bucket: BucketId) -> int:
        """The next changes of a bucket; gives how many messages they make."""
        after, row = changes.position(conn, bucket, READER), buckets.read_by_id(conn, bucket)
        if after is None or row is None:
            return 0
        found = changes.read(conn, bucket, after, BATCH)
        config = bucket_config.read(conn, bucket, NOTIFICATION) or NotificationConfig()
        known = frozenset(each.name for each in webhooks.read_all(conn))
        messages = list(_messages(found, config, _source(conn, row), known, self._clock.now_ms()))
        deliveries.add(conn, messages)
        changes.move(conn, bucket, READER, found[-1].seq if found else changes.last(conn, bucket))
        return len(messages)


def _messages(
    found: Iterable[Change], config: NotificationConfig, source: Source, known: frozenset[str], now_ms: int
) -> Iterable[NewDelivery]:
    for change in found:
        for rule in config.rules:
            if rule.webhook in known and rule.wants(change.event, change.key):
                body = record(change, source, rule.id)
                yield NewDelivery(rule.webhook, change.bucket, change.key, now_ms, body)


def _source(conn: Connection, bucket: BucketRow) -> Source:
    owner = accounts.read(conn, bucket.account)
    name = "" if owner is None else owner.canonical_id
    return Source(bucket.name, bucket.region, name, bucket.versioning is Versioning.ENABLED)
