"""Buckets: made, found, listed and removed. A bucket's name is global; everything below it is keyed by its id."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.meta import access_logs, bucket_config, bucket_work, buckets, changes, heads, quotas, uploads, usage
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketFlags, BucketRow, Versioning
from cyxcloud.objects.errors import BucketExists, BucketNotEmpty, BucketOwned, NoSuchBucket
from cyxcloud.objects.ownership import BUCKET_ACL
from cyxcloud.objects.store import Store


def find(store: Store, name: str) -> BucketRow | None:
    return buckets.read(store.reader, name) if store.buckets is None else store.buckets.find(name)


def page(
    store: Store, account: AccountId, *, prefix: str = "", after: str = "", limit: int = 1000
) -> tuple[list[BucketRow], bool]:
    """An account's buckets by name, and whether more follow."""
    return buckets.page(store.reader, account, prefix=prefix, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a bucket has from its first moment: configurations by name, as they are stored, and flags."""

    configured: tuple[tuple[str, bytes], ...] = ()
    versioning: Versioning = Versioning.OFF
    flags: BucketFlags = BucketFlags.NONE


PLAIN = Setup()


async def create(store: Store, name: str, account: AccountId, region: str, setup: Setup = PLAIN) -> BucketRow:
    """Raises BucketOwned where the caller has it already, with the same list; BucketExists where another account does,
    or it has another list, which is not what was asked for."""
    row = BucketRow(
        id=BucketId(secrets.randbits(63)),
        name=name,
        account=account,
        region=region,
        created_at_ms=store.clock.now_ms(),
        versioning=setup.versioning,
        revision=1,
        flags=setup.flags,
    )

    def make(conn: Connection) -> None:
        if buckets.create(conn, _limited(conn, row)):
            for named, value in setup.configured:
                bucket_config.put(conn, row.id, named, value)
            return
        there = buckets.read(conn, name)
        if there is None or there.account != account:
            raise BucketExists
        same_list = bucket_config.read(conn, there.id, BUCKET_ACL.name) == dict(setup.configured).get(BUCKET_ACL.name)
        raise BucketOwned if same_list else BucketExists

    await store.change(make)
    return row


def _limited(conn: Connection, row: BucketRow) -> BucketRow:
    """A bucket of an account with a quota is under it from the first."""
    return row._replace(flags=row.flags | BucketFlags.QUOTA) if quotas.is_limited(conn, row.account) else row


async def delete(store: Store, bucket: BucketRow) -> None:
    """Raises BucketNotEmpty, NoSuchBucket. Unfinished uploads do not keep a bucket: they are aborted with it."""

    def remove(conn: Connection) -> None:
        if buckets.lock(conn, bucket.id) is None:
            raise NoSuchBucket
        if heads.any_in(conn, bucket.id):
            raise BucketNotEmpty
        uploads.abort_all(conn, bucket.id, store.clock.now_ms())
        usage.remove(conn, bucket.id)
        bucket_config.remove_all(conn, bucket.id)
        bucket_work.remove_all(conn, bucket.id)
        access_logs.remove_all(conn, bucket.id)
        changes.remove_all(conn, bucket.id)
        buckets.remove(conn, bucket.id)

    await store.change(remove)
