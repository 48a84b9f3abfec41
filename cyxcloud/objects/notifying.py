"""Setting who is told of a bucket's changes. In one transaction with it the bucket becomes one whose changes are
logged, or stops being one, and every destination that was not there before gets a test event."""

from __future__ import annotations

from cyxcloud.meta import bucket_config, changes, deliveries, webhooks
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.deliveries import NewDelivery
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import bucket_config as configs
from cyxcloud.objects.event_record import event_of_test
from cyxcloud.objects.notification import (
    NOTIFICATION,
    READER,
    InvalidNotification,
    NotificationConfig,
    check,
    unknown,
)
from cyxcloud.objects.store import Store


async def configure(
    store: Store, bucket: BucketRow, config: NotificationConfig, request_id: str, *, validates: bool = True
) -> None:
    """`validates`: destinations that there are none are refused. Raises InvalidNotification, BucketGone."""
    check(config.rules)
    message = event_of_test(bucket.name, store.clock.now_ms(), request_id)

    def change(conn: Connection) -> None:
        known = frozenset(each.name for each in webhooks.read_all(conn))
        lost = unknown(config.rules, known)
        if validates and lost:
            raise InvalidNotification(f"Unable to validate the following destination configurations: {', '.join(lost)}")
        before = configs.read(conn, bucket.id, NOTIFICATION) or NotificationConfig()
        if config.rules:
            bucket_config.put(conn, bucket.id, NOTIFICATION.name, NOTIFICATION.encode(config))
            changes.follow(conn, bucket.id, READER)
        else:
            bucket_config.remove(conn, bucket.id, NOTIFICATION.name)
            changes.unfollow(conn, bucket.id, READER)
        new = {rule.webhook for rule in config.rules} - {rule.webhook for rule in before.rules}
        now_ms = store.clock.now_ms()
        deliveries.add(conn, [NewDelivery(name, bucket.id, b"", now_ms, message) for name in sorted(new & known)])

    await store.change(change)
