"""What each bucket holds. Requests append deltas, a worker folds them into one row a bucket: a row that every request
of a bucket updated would queue them all behind each other."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import UsageRow
from cyxcloud.meta.schema import bucket, usage, usage_delta
from cyxcloud.meta.statement import prepare

_D = usage_delta.c
_U = usage.c
_add = prepare(insert(usage_delta))
_page = prepare(select(_D.bucket, _D.id, _D.objects, _D.bytes).limit(bindparam("at_most")))
_drop = prepare(delete(usage_delta).where(_D.bucket == bindparam("of_bucket"), _D.id == bindparam("at")))
_sum = upsert(usage)
_fold = prepare(
    _sum.on_conflict_do_update(
        index_elements=["bucket"],
        set_={"objects": _U.objects + _sum.excluded.objects, "bytes": _U.bytes + _sum.excluded.bytes},
    )
)
_folded = prepare(select(_U.objects, _U.bytes).where(_U.bucket == bindparam("of_bucket")))
_pending = prepare(
    select(func.coalesce(func.sum(_D.objects), 0), func.coalesce(func.sum(_D.bytes), 0)).where(
        _D.bucket == bindparam("of_bucket")
    )
)
_of_account = prepare(
    select(_U.bucket, _U.objects, _U.bytes)
    .join_from(bucket, usage, _U.bucket == bucket.c.id)
    .where(bucket.c.account == bindparam("of_account"))
    .order_by(_U.bucket)
)
_remove = prepare(delete(usage).where(_U.bucket == bindparam("of_bucket")))
_remove_deltas = prepare(delete(usage_delta).where(_D.bucket == bindparam("of_bucket")))


def add(conn: Connection, bucket_id: BucketId, delta_id: int, *, objects: int, size_bytes: int) -> None:
    """One change of a bucket; `delta_id` is a fresh id of the writer's session (a new version's own will do)."""
    conn.run(_add, {"bucket": bucket_id, "id": delta_id, "objects": objects, "bytes": size_bytes})


def fold(conn: Connection, limit: int = 5000) -> int:
    """Move some deltas into the sums; gives how many, 0 when none was left."""
    sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    folded = 0
    for bucket_id, delta_id, objects, size_bytes in conn.rows(_page, {"at_most": limit}):
        # Another worker may have folded it since: only who deletes a delta counts it.
        if conn.run(_drop, {"of_bucket": bucket_id, "at": delta_id}):
            sums[bucket_id][0] += objects
            sums[bucket_id][1] += size_bytes
            folded += 1
    for bucket_id, (objects, size_bytes) in sorted(sums.items()):
        conn.run(_fold, {"bucket": bucket_id, "objects": objects, "bytes": size_bytes})
    return folded


def of_bucket(conn: Connection, bucket_id: BucketId) -> UsageRow:
    """Exact when read inside one snapshot: the sum and what is not folded yet."""
    folded = conn.one(_folded, {"of_bucket": bucket_id}) or (0, 0)
    pending = conn.one(_pending, {"of_bucket": bucket_id}) or (0, 0)
    return UsageRow(bucket_id, folded[0] + int(pending[0]), folded[1] + int(pending[1]))


def of_account(conn: Connection, account: AccountId) -> list[UsageRow]:
    """Folded sums of an account's buckets."""
    return [UsageRow(*row) for row in conn.rows(_of_account, {"of_account": account})]


def remove(conn: Connection, bucket_id: BucketId) -> None:
    """The bucket is gone."""
    conn.run(_remove, {"of_bucket": bucket_id})
    conn.run(_remove_deltas, {"of_bucket": bucket_id})
