"""What a bucket's account may hold in all, and what is held now, to the byte, in a transaction that adds to it.

`hold` takes the account's row until the transaction ends, so of two that would each just fit the second sees the first.
Sums are read in one statement each: between two of them the worker that folds deltas could move some from where they
were not looked at yet to where they had been.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select, update

from cyxcloud.core.ids import AccountId, BucketId, UploadId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.schema import account, bucket, part, usage, usage_delta
from cyxcloud.meta.statement import prepare

_A, _B, _D, _U, _P = account.c, bucket.c, usage_delta.c, usage.c, part.c


class HeldAccount(NamedTuple):
    """The account whose bucket it is, and what it may hold; None where there is no limit."""

    bucket_name: str
    account: AccountId
    canonical_id: str
    quota_bytes: int | None
    quota_objects: int | None


class Sum(NamedTuple):
    objects: int
    bytes: int


def _sum(column: ColumnElement[int], condition: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.coalesce(func.sum(column), 0)).where(condition).scalar_subquery()


def _sums(folded: ColumnElement[bool], pending: ColumnElement[bool]) -> tuple[ColumnElement[int], ColumnElement[int]]:
    return (
        _sum(_U.objects, folded) + _sum(_D.objects, pending),
        _sum(_U.bytes, folded) + _sum(_D.bytes, pending),
    )


_of_its_buckets = select(_B.id).where(_B.account == bindparam("of_account"))
_owner = (
    select(_B.name, _A.id, _A.canonical_id, _A.quota_bytes, _A.quota_objects)
    .join_from(bucket, account, _A.id == _B.account)
    .where(_B.id == bindparam("of_bucket"))
)
_hold = prepare(_owner.with_for_update(of=account))
_look = prepare(_owner)
_of_bucket = prepare(select(*_sums(_U.bucket == bindparam("of_bucket"), _D.bucket == bindparam("of_bucket"))))
_of_account = prepare(select(*_sums(_U.bucket.in_(_of_its_buckets), _D.bucket.in_(_of_its_buckets))))
_of_parts = prepare(
    select(func.coalesce(func.sum(_P.size), 0)).where(
        _P.upload == bindparam("of_upload"), _P.number != bindparam("but")
    )
)
_limits = prepare(
    select(_A.quota_bytes, _A.quota_objects).where(_A.id == bindparam("of_account")).with_for_update(read=True)
)
_set = prepare(
    update(account)
    .where(_A.id == bindparam("of_account"))
    .values(quota_bytes=bindparam("to_bytes"), quota_objects=bindparam("to_objects"))
)
_buckets = prepare(_of_its_buckets.order_by(_B.id))


def hold(conn: Connection, bucket_id: BucketId) -> HeldAccount | None:
    return _held(conn.one(_hold, {"of_bucket": bucket_id}))


def look(conn: Connection, bucket_id: BucketId) -> HeldAccount | None:
    """The same of a moment ago, for an early word: nothing is taken."""
    return _held(conn.one(_look, {"of_bucket": bucket_id}))


def of_bucket(conn: Connection, bucket_id: BucketId) -> Sum:
    return _total(conn.one(_of_bucket, {"of_bucket": bucket_id}))


def of_account(conn: Connection, account_id: AccountId) -> Sum:
    """All its buckets together."""
    return _total(conn.one(_of_account, {"of_account": account_id}))


def of_parts(conn: Connection, upload: UploadId, *, but: int) -> int:
    """Bytes of the parts of an upload that is not completed yet, but for the one of this number."""
    row = conn.one(_of_parts, {"of_upload": upload, "but": but})
    assert row is not None
    return int(row[0])


def is_limited(conn: Connection, account_id: AccountId) -> bool:
    """Whether the account has a limit, which stays so until the transaction ends."""
    row = conn.one(_limits, {"of_account": account_id})
    return row is not None and (row[0], row[1]) != (None, None)


def set_account(conn: Connection, account_id: AccountId, quota_bytes: int | None, quota_objects: int | None) -> bool:
    """False when there is no such account."""
    params = {"of_account": account_id, "to_bytes": quota_bytes, "to_objects": quota_objects}
    return conn.run(_set, params) == 1


def buckets_of(conn: Connection, account_id: AccountId) -> list[BucketId]:
    return [BucketId(row[0]) for row in conn.rows(_buckets, {"of_account": account_id})]


def _held(row: Row | None) -> HeldAccount | None:
    return None if row is None else HeldAccount(*row)


def _total(row: Row | None) -> Sum:
    assert row is not None
    return Sum(int(row[0]), int(row[1]))
