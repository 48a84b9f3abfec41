"""Buckets. Every change of a row, and of a bucket's configurations, raises `revision`, by which what was parsed of them
may be kept."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import BUCKET_FLAGS, VERSIONING, BucketFlags, BucketRow, Versioning
from cyxcloud.meta.schema import bucket
from cyxcloud.meta.statement import prepare

# Greater than every name: bucket names are ASCII.
_BEYOND = "\x7f"

_B = bucket.c
_insert = prepare(insert(bucket).on_conflict_do_nothing())
_by_name = prepare(select(bucket).where(_B.name == bindparam("at_name")))
_by_id = prepare(select(bucket).where(_B.id == bindparam("bucket")))
_lock = prepare(select(bucket).where(_B.id == bindparam("bucket")).with_for_update())
_page = prepare(
    select(bucket)
    .where(
        _B.account == bindparam("of_account"),
        _B.name > bindparam("after"),
        _B.name >= bindparam("start"),
        _B.name < bindparam("beyond"),
    )
    .order_by(_B.name)
    .limit(bindparam("at_most"))
)
_change = prepare(
    update(bucket)
    .where(_B.id == bindparam("of_bucket"), _B.revision == bindparam("at_revision"))
    .values(versioning=bindparam("versioning"), flags=bindparam("flags"), revision=_B.revision + 1)
)
_remove = prepare(delete(bucket).where(_B.id == bindparam("bucket")))


def create(conn: Connection, row: BucketRow) -> bool:
    """False when the name is taken."""
    conn.changed_buckets = True
    params = {
        "id": row.id,
        "name": row.name,
        "account": row.account,
        "region": row.region,
        "created_at_ms": row.created_at_ms,
        "versioning": int(row.versioning),
        "revision": row.revision,
        "flags": int(row.flags),
    }
    return conn.run(_insert, params) == 1


def read(conn: Connection, name: str) -> BucketRow | None:
    row = conn.one(_by_name, {"at_name": name})
    return None if row is None else row_of(row)


def read_by_id(conn: Connection, bucket_id: BucketId) -> BucketRow | None:
    row = conn.one(_by_id, {"bucket": bucket_id})
    return None if row is None else row_of(row)


def lock(conn: Connection, bucket_id: BucketId) -> BucketRow | None:
    """Read it so that no key in it changes until the transaction ends: before deleting it."""
    row = conn.one(_lock, {"bucket": bucket_id})
    return None if row is None else row_of(row)


def page(
    conn: Connection, account: AccountId, *, prefix: str = "", after: str = "", limit: int = 1000
) -> tuple[list[BucketRow], bool]:
    """An account's buckets by name, and whether more follow."""
    params = {
        "of_account": account,
        "after": after,
        "start": prefix,
        "beyond": prefix + _BEYOND,
        "at_most": limit + 1,
    }
    rows = conn.rows(_page, params)
    return [row_of(row) for row in rows[:limit]], len(rows) > limit


def change(conn: Connection, old: BucketRow, *, versioning: Versioning, flags: BucketFlags) -> bool:
    """Compare-and-set of what may change; False when the row is no longer `old`."""
    conn.changed_buckets = True
    params = {
        "of_bucket": old.id,
        "at_revision": old.revision,
        "versioning": int(versioning),
        "flags": int(flags),
    }
    return conn.run(_change, params) == 1


def remove(conn: Connection, bucket_id: BucketId) -> bool:
    """The caller holds `lock` and has seen that the bucket is empty."""
    conn.changed_buckets = True
    return conn.run(_remove, {"bucket": bucket_id}) == 1


def row_of(row: Row) -> BucketRow:
    return BucketRow(row[0], row[1], row[2], row[3], row[4], VERSIONING[row[5]], row[6], BUCKET_FLAGS[row[7]])
