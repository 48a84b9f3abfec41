"""Setting a bucket's inventories. One that is changed begins a new report, of which it forgets the old one's place."""

from __future__ import annotations

from cyxcloud.meta import bucket_config, bucket_work
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import bucket_config as configs
from cyxcloud.objects.inventory import INVENTORY, MAX_CONFIGS, Inventories, InventoryConfig, work_name
from cyxcloud.objects.store import Store


class TooManyInventories(Exception):
    """The bucket has as many as it may have."""


async def configure(store: Store, bucket: BucketRow, config: InventoryConfig) -> None:
    """Raises TooManyInventories, BucketGone."""

    def change(conn: Connection) -> None:
        before = _read(conn, bucket)
        after = before.with_one(config)
        if len(after.configs) > MAX_CONFIGS:
            raise TooManyInventories
        if before.find(config.id) != config:
            bucket_work.remove(conn, bucket.id, work_name(config.id))
        bucket_config.put(conn, bucket.id, INVENTORY.name, INVENTORY.encode(after))

    await store.change(change)


async def forget(store: Store, bucket: BucketRow, config_id: str) -> bool:
    """False when there was none. Raises BucketGone."""

    def change(conn: Connection) -> bool:
        before = _read(conn, bucket)
        if before.find(config_id) is None:
            return False
        after = before.without(config_id)
        bucket_work.remove(conn, bucket.id, work_name(config_id))
        if after.configs:
            bucket_config.put(conn, bucket.id, INVENTORY.name, INVENTORY.encode(after))
        else:
            bucket_config.remove(conn, bucket.id, INVENTORY.name)
        return True

    return await store.change(change)


def _read(conn: Connection, bucket: BucketRow) -> Inventories:
    """In the transaction: another change may have come since."""
    return configs.read(conn, bucket.id, INVENTORY) or Inventories()
