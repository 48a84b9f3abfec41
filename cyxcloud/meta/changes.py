"""What happened in buckets that somebody follows: one row a change, in the change's own transaction, in commit order.

A bucket is followed while it has a reader (LOGS_CHANGES); only then is anything written. Numbers come from the bucket's
counter, whose row stays locked until the commit: who holds a number commits before anybody gets the next, so a reader
that has seen one has seen all below it. It is taken late in a transaction, since all changes of the bucket wait for it.
A reader moves its own position in the transaction of what it did with the changes; rows go when the slowest reader is
past them, or by age.
"""

from __future__ import annotations

import json
from itertools import takewhile
from typing import NamedTuple

from sqlalchemy import and_, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta import bucket_config
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketFlags, NewVersion, VersionRow
from cyxcloud.meta.schema import change, change_counter, change_reader
from cyxcloud.meta.statement import prepare

FORMAT = b"\x01"

_C, _N, _R = change.c, change_counter.c, change_reader.c
_first = insert(change_counter).values(bucket=bindparam("of_bucket"), next_seq=2)
_take = prepare(
    _first.on_conflict_do_update(index_elements=["bucket"], set_={"next_seq": _N.next_seq + 1}).returning(_N.next_seq)
)
_last = prepare(select(_N.next_seq - 1).where(_N.bucket == bindparam("of_bucket")))
_insert = prepare(insert(change))
_read = prepare(
    select(change)
    .where(_C.bucket == bindparam("of_bucket"), _C.seq > bindparam("after"))
    .order_by(_C.seq)
    .limit(bindparam("at_most"))
)
_this_reader = and_(_R.bucket == bindparam("of_bucket"), _R.reader == bindparam("named"))
_begin = prepare(insert(change_reader).on_conflict_do_nothing())
_end = prepare(delete(change_reader).where(_this_reader))
_others = prepare(select(_R.reader).where(_R.bucket == bindparam("of_bucket")).limit(1))
_position = prepare(select(_R.position).where(_this_reader))
_move = prepare(update(change_reader).where(_this_reader).values(position=bindparam("to")))
_behind = prepare(
    select(_R.bucket)
    .join_from(change_reader, change_counter, _N.bucket == _R.bucket)
    .where(_R.reader == bindparam("named"), _R.position < _N.next_seq - 1)
    .limit(bindparam("at_most"))
)
_slowest = prepare(
    select(_R.bucket, func.min(_R.position))
    .where(_R.bucket > bindparam("after"))
    .group_by(_R.bucket)
    .order_by(_R.bucket)
    .limit(bindparam("at_most"))
)
_oldest = prepare(
    select(_C.seq, _C.at_ms).where(_C.bucket == bindparam("of_bucket")).order_by(_C.seq).limit(bindparam("at_most"))
)
_trim = prepare(delete(change).where(_C.bucket == bindparam("of_bucket"), _C.seq <= bindparam("to")))
_remove = prepare(delete(change).where(_C.bucket == bindparam("of_bucket")))
_remove_readers = prepare(delete(change_reader).where(_R.bucket == bindparam("of_bucket")))
_remove_counter = prepare(delete(change_counter).where(_N.bucket == bindparam("of_bucket")))


class Change(NamedTuple):
    """`version` is None for the null version; `size` and `etag` are those of the version that it is about."""

    bucket: BucketId
    seq: int
    at_ms: int
    event: str
    key: bytes
    version: VersionId | None
    size: int
    etag: str
    cause: Cause


def record(conn: Connection, flags: BucketFlags, version: NewVersion | VersionRow, cause: Cause, now_ms: int) -> None:
    """The change `cause.event` of this version of a locked chain, if anybody follows its bucket."""
    if not flags & BucketFlags.LOGS_CHANGES:
        return
    params = {
        "bucket": version.bucket,
        "seq": next_number(conn, version.bucket),
        "at_ms": now_ms,
        "event": cause.event,
        "key": version.key,
        "version": None if version.is_null else version.id,
        "size": version.size,
        "etag": version.etag,
        "details": FORMAT + json.dumps(cause[1:], separators=(",", ":")).encode(),
    }
    conn.run(_insert, params)


def next_number(conn: Connection, bucket_id: BucketId) -> int:
    """Held by this transaction until its end."""
    row = conn.one(_take, {"of_bucket": bucket_id})
    assert row is not None
    number: int = row[0] - 1
    return number


def read(conn: Connection, bucket_id: BucketId, after: int, limit: int) -> list[Change]:
    rows = conn.rows(_read, {"of_bucket": bucket_id, "after": after, "at_most": limit})
    return [Change._make((*row[:8], _cause(row[3], row[8]))) for row in rows]


def follow(conn: Connection, bucket_id: BucketId, reader: str) -> None:
    """From now on; one that follows already goes on where it is. Raises BucketGone."""
    bucket_config.set_flag(conn, bucket_id, BucketFlags.LOGS_CHANGES, on=True)
    conn.run(_begin, {"bucket": bucket_id, "reader": reader, "position": last(conn, bucket_id)})


def unfollow(conn: Connection, bucket_id: BucketId, reader: str) -> None:
    """With the last reader the bucket's changes are forgotten. Raises BucketGone."""
    if not conn.run(_end, {"of_bucket": bucket_id, "named": reader}):
        return
    if conn.one(_others, {"of_bucket": bucket_id}) is None:
        bucket_config.set_flag(conn, bucket_id, BucketFlags.LOGS_CHANGES, on=False)
        conn.run(_remove, {"of_bucket": bucket_id})


def position(conn: Connection, bucket_id: BucketId, reader: str) -> int | None:
    """The last change that it has seen; None where it does not follow the bucket."""
    row = conn.one(_position, {"of_bucket": bucket_id, "named": reader})
    return None if row is None else row[0]


def move(conn: Connection, bucket_id: BucketId, reader: str, to: int) -> None:
    conn.run(_move, {"of_bucket": bucket_id, "named": reader, "to": to})


def behind(conn: Connection, reader: str, limit: int = 100) -> list[BucketId]:
    """Buckets with changes that this reader has not seen."""
    return [row[0] for row in conn.rows(_behind, {"named": reader, "at_most": limit})]


def last(conn: Connection, bucket_id: BucketId) -> int:
    """The number of its newest change."""
    row = conn.one(_last, {"of_bucket": bucket_id})
    return 0 if row is None else row[0]


def slowest(conn: Connection, after: int, limit: int) -> list[tuple[BucketId, int]]:
    """Followed buckets by id, each with the change that all its readers have seen."""
    return [(row[0], row[1]) for row in conn.rows(_slowest, {"after": after, "at_most": limit})]


def is_due(conn: Connection, bucket_id: BucketId, *, seen: int, before_ms: int) -> bool:
    """Whether `trim` would remove anything."""
    return any(seq <= seen or at_ms < before_ms for seq, at_ms in conn.rows(_oldest, _first_of(bucket_id, 1)))


def trim(conn: Connection, bucket_id: BucketId, *, seen: int, before_ms: int, limit: int) -> int:
    """Removes at most `limit` of the oldest rows: those up to `seen`, and those from before a time. Who was not past
    these goes on behind them. Gives how many."""
    oldest = conn.rows(_oldest, _first_of(bucket_id, limit))
    gone = [seq for seq, _ in takewhile(lambda row: row[0] <= seen or row[1] < before_ms, oldest)]
    return conn.run(_trim, {"of_bucket": bucket_id, "to": gone[-1]}) if gone else 0


def remove_all(conn: Connection, bucket_id: BucketId) -> None:
    """The bucket goes."""
    for statement in (_remove, _remove_readers, _remove_counter):
        conn.run(statement, {"of_bucket": bucket_id})


def _first_of(bucket_id: BucketId, limit: int) -> dict[str, int]:
    return {"of_bucket": bucket_id, "at_most": limit}


def _cause(event: str, details: bytes) -> Cause:
    assert details[:1] == FORMAT, "details of a change of unknown format"
    return Cause(event, *json.loads(details[1:]))
