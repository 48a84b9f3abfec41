from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cyxcloud.core.ids import AccountId, BucketId, UploadId
from cyxcloud.meta import accounts, parts, quotas, usage
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.postgres import PostgresDatabase, PostgresWriter
from cyxcloud.meta.quotas import Sum
from cyxcloud.meta.rows import AccountRow, NewPart
from cyxcloud.meta.writer import Writer
from cyxcloud.objects import quota
from cyxcloud.objects.errors import QuotaExceeded
from cyxcloud.objects.quota import Quota
from tests.unit.meta.build import ACCOUNT, BUCKET, add_bucket, bucket_row

OTHER = BucketId(12)


def set_up(conn: Connection) -> None:
    accounts.create(conn, AccountRow(ACCOUNT, "canonical", "name", "", False, 1))
    add_bucket(conn)
    add_bucket(conn, OTHER, "other")


def test_sums_count_what_is_folded_and_what_is_not(writer: Writer | PostgresWriter, conn: Connection) -> None:
    writer.call(set_up)
    writer.call(lambda conn: usage.add(conn, BUCKET, 1, objects=2, size_bytes=20))
    assert writer.call(usage.fold) == 1
    writer.call(lambda conn: usage.add(conn, BUCKET, 2, objects=1, size_bytes=5))
    writer.call(lambda conn: usage.add(conn, OTHER, 3, objects=4, size_bytes=1))
    assert quotas.of_bucket(conn, BUCKET) == Sum(3, 25)
    assert quotas.of_account(conn, ACCOUNT) == Sum(7, 26)
    assert quotas.of_account(conn, AccountId(99)) == Sum(0, 0)


def test_parts_are_summed_but_for_the_one_that_is_replaced(writer: Writer | PostgresWriter, conn: Connection) -> None:
    upload = UploadId(5)
    for number in (1, 2):
        row = NewPart(upload, number, 10 + number, number * 100, "e" * 32, 1, b"\x01", ())
        writer.call(lambda conn, row=row: parts.put(conn, row))  # type: ignore[misc]
    assert quotas.of_parts(conn, upload, but=0) == 300
    assert quotas.of_parts(conn, upload, but=2) == 100


def test_two_at_once_never_pass_the_limit_together(either: Database | PostgresDatabase) -> None:
    writer = either.writer()
    writer.start()

    def fill(number: int) -> bool:
        def add(conn: Connection) -> None:
            quota.check(conn, BUCKET, Sum(1, 1))
            usage.add(conn, BUCKET, number, objects=1, size_bytes=1)

        try:
            writer.call(add)
        except QuotaExceeded:
            return False
        return True

    try:
        writer.call(set_up)
        writer.call(lambda conn: quota.set_account(conn, ACCOUNT, Quota(objects=10)))
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(fill, range(40))) == 10
        writer.call(lambda conn: quota.set_bucket(conn, bucket_row(), Quota(objects=12)))
        writer.call(lambda conn: quota.set_account(conn, ACCOUNT, Quota()))
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(fill, range(100, 140))) == 2
    finally:
        writer.close()
