from __future__ import annotations

from cyxcloud.core.ids import BucketId
from cyxcloud.meta import access_logs
from cyxcloud.meta.access_logs import LogRow
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer

FIRST, SECOND = BucketId(3), BucketId(1 << 60)
ROWS = [LogRow(number, number * 10, b"line %d" % number) for number in (2, 1, 3)]


def fill(conn: Connection) -> None:
    access_logs.append(conn, [(FIRST, row) for row in ROWS] + [(SECOND, ROWS[0])])


def test_lines_wait_by_bucket(writer: Writer, conn: Connection) -> None:
    assert access_logs.waiting(conn) == []
    for _ in range(2):  # as one who does not know whether it was done
        writer.call(fill)
    assert access_logs.waiting(conn) == [(FIRST, 3), (SECOND, 2)]
    assert access_logs.page(conn, FIRST, 10) == sorted(ROWS)
    assert access_logs.page(conn, FIRST, 2) == sorted(ROWS)[:2]


def test_remove_tells_how_many_were_there(writer: Writer, conn: Connection) -> None:
    writer.call(fill)
    assert writer.call(lambda c: access_logs.remove(c, FIRST, [1, 2])) == 2
    assert writer.call(lambda c: access_logs.remove(c, FIRST, [2, 3])) == 1
    assert access_logs.waiting(conn) == [(SECOND, 2)]
    assert writer.call(lambda c: access_logs.remove_all(c, SECOND)) == 1
    assert access_logs.waiting(conn) == []
