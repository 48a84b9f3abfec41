"""Quotas: how many bytes and objects a bucket, and all buckets of an account, may hold.

Every version counts with its own size, delete markers count as objects of no bytes. What adds is refused in the
transaction that would add it, so a limit is never passed; what takes away, or puts less in the place of more, never is.
A bucket's flag QUOTA says that one of the two limits is set: without it nothing is looked at. An upload's parts are no
object yet; they are refused early where the object that they would make could not be.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.ids import AccountId, BucketId, UploadId
from cyxcloud.meta import bucket_config as rows
from cyxcloud.meta import buckets, heads, quotas
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.quotas import HeldAccount, Sum
from cyxcloud.meta.rows import BucketFlags, BucketRow, Versioning
from cyxcloud.objects import bucket_config
from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.errors import QuotaExceeded
from cyxcloud.objects.store import Store


@dataclass(frozen=True, slots=True)
class Quota:
    """None is no limit."""

    bytes: int | None = None
    objects: int | None = None

    @property
    def is_set(self) -> bool:
        return self.bytes is not None or self.objects is not None


@dataclass(frozen=True, slots=True)
class PartOf:
    upload: UploadId
    number: int


QUOTA = ConfigKey("quota", Quota)
NOTHING = Sum(0, 0)


def check(conn: Connection, bucket: BucketId, added: Sum) -> None:
    """In the transaction that adds this to a bucket with the flag QUOTA. Raises QuotaExceeded."""
    if added.objects <= 0 and added.bytes <= 0:
        return
    held = quotas.hold(conn, bucket)
    assert held is not None, "the bucket is locked, and its account stays"
    _check(conn, bucket, held, added)


def check_early(store: Store, bucket: BucketRow, key: bytes, size_bytes: int, part: PartOf | None = None) -> None:
    """Before a body is read that could not be kept; of a part, with the other parts of its upload that are there.
    Raises QuotaExceeded."""
    if not bucket.flags or BucketFlags.QUOTA not in bucket.flags:
        return
    held = quotas.look(store.reader, bucket.id)
    if held is None:
        return
    if part is not None:
        size_bytes += quotas.of_parts(store.reader, part.upload, but=part.number)
    replaced = _replaced(store, bucket, key)
    _check(store.reader, bucket.id, held, Sum(1 - replaced.objects, size_bytes - replaced.bytes))


def _replaced(store: Store, bucket: BucketRow, key: bytes) -> Sum:
    """What a new version would take the place of, as far as the head tells."""
    head = None if bucket.versioning is Versioning.ENABLED else heads.read(store.reader, bucket.id, key)
    if head is None or head.null_version is None:
        return NOTHING
    return Sum(1, head.size if head.null_version == head.version else 0)


def refuse(whose: str, quota: Quota, used: Sum, added: Sum) -> None:
    """Raises QuotaExceeded where this would pass a limit (pure)."""
    if quota.bytes is not None and added.bytes > 0 and used.bytes + added.bytes > quota.bytes:
        raise QuotaExceeded(whose, "bytes", used.bytes, quota.bytes, added.bytes)
    if quota.objects is not None and added.objects > 0 and used.objects + added.objects > quota.objects:
        raise QuotaExceeded(whose, "objects", used.objects, quota.objects, added.objects)


def _check(conn: Connection, bucket: BucketId, held: HeldAccount, added: Sum) -> None:
    of_bucket = bucket_config.read(conn, bucket, QUOTA)
    if of_bucket is not None and of_bucket.is_set:
        refuse(f"bucket {held.bucket_name}", of_bucket, quotas.of_bucket(conn, bucket), added)
    of_account = Quota(held.quota_bytes, held.quota_objects)
    if of_account.is_set:
        refuse(f"user {held.canonical_id}", of_account, quotas.of_account(conn, held.account), added)


def set_bucket(conn: Connection, bucket: BucketRow, quota: Quota) -> None:
    """Raises BucketGone."""
    if quota.is_set:
        rows.put(conn, bucket.id, QUOTA.name, QUOTA.encode(quota))
    else:
        rows.remove(conn, bucket.id, QUOTA.name)
    _set_flag(conn, bucket.id, is_account_limited=account_quota(conn, bucket).is_set)


def set_account(conn: Connection, account: AccountId, quota: Quota) -> None:
    """With the flag of all its buckets; those that are made later get it when they are made."""
    changed = quotas.set_account(conn, account, quota.bytes, quota.objects)
    assert changed, "accounts are never removed"
    for bucket in quotas.buckets_of(conn, account):
        _set_flag(conn, bucket, is_account_limited=quota.is_set)


def account_quota(conn: Connection, bucket: BucketRow) -> Quota:
    held = quotas.hold(conn, bucket.id)
    return Quota() if held is None else Quota(held.quota_bytes, held.quota_objects)


def _set_flag(conn: Connection, bucket: BucketId, *, is_account_limited: bool) -> None:
    row = buckets.read_by_id(conn, bucket)
    if row is None:
        return
    of_bucket = bucket_config.read(conn, bucket, QUOTA)
    on = is_account_limited or (of_bucket is not None and of_bucket.is_set)
    if on != (BucketFlags.QUOTA in row.flags):
        rows.set_flag(conn, bucket, BucketFlags.QUOTA, on=on)
