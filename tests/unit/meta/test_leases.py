from __future__ import annotations

import pytest

from cyxcloud.meta import cluster, leases
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import LeaseLost
from cyxcloud.meta.leases import Held, LeaseRow, Watch
from cyxcloud.meta.postgres import PostgresWriter
from cyxcloud.meta.writer import Writer

Writes = Writer | PostgresWriter
NAME = "mover/07"


def take(writer: Writes, holder: str, seen: LeaseRow | None) -> Held | None:
    return writer.call(lambda conn: leases.take(conn, NAME, holder, seen))


def taken(writer: Writes, conn: Connection, holder: str) -> Held:
    held = take(writer, holder, leases.read(conn, NAME))
    assert held is not None
    return held


def test_take_of_a_new_lease_is_won_by_one(writer: Writes, conn: Connection) -> None:
    assert take(writer, "a", None) == Held(NAME, "a", 1)
    assert take(writer, "b", None) is None
    assert leases.read(conn, NAME) == LeaseRow(NAME, "a", 1, 1)


def test_take_raises_the_fence_and_is_won_by_one(writer: Writes, conn: Connection) -> None:
    taken(writer, conn, "a")
    seen = leases.read(conn, NAME)
    assert take(writer, "b", seen) == Held(NAME, "b", 2)
    assert take(writer, "c", seen) is None


def test_take_fails_when_the_holder_has_beaten_since(writer: Writes, conn: Connection) -> None:
    held = taken(writer, conn, "a")
    seen = leases.read(conn, NAME)
    assert writer.call(lambda at: leases.keep(at, held))
    assert take(writer, "b", seen) is None
    assert leases.read(conn, NAME) == LeaseRow(NAME, "a", 1, 2)


def test_keep_says_when_it_was_taken(writer: Writes, conn: Connection) -> None:
    old = taken(writer, conn, "a")
    new = taken(writer, conn, "a")
    assert not writer.call(lambda at: leases.keep(at, old)), "the fence tells two lives of one holder apart"
    assert writer.call(lambda at: leases.keep(at, new))


def test_a_transaction_of_a_paused_holder_leaves_nothing(writer: Writes, conn: Connection) -> None:
    old = taken(writer, conn, "a")
    taken(writer, conn, "b")

    def act(at: Connection) -> None:
        cluster.bump(at, Epoch.TOPOLOGY)
        leases.check(at, old)

    with pytest.raises(LeaseLost):
        writer.call(act)
    assert cluster.epochs(conn).topology == 0


def test_check_passes_for_the_holder(writer: Writes, conn: Connection) -> None:
    held = taken(writer, conn, "a")
    writer.call(lambda at: leases.check(at, held))
    assert writer.call(lambda at: leases.still_held(at, [held, Held("mover/08", "a", 1)])) == {NAME}


def test_release_lets_the_next_one_in_at_once(writer: Writes, conn: Connection) -> None:
    held = taken(writer, conn, "a")
    assert writer.call(lambda at: leases.release(at, held))
    row = leases.read(conn, NAME)
    assert row is not None
    assert Watch(30).expired(row, 0.0)
    assert take(writer, "b", row) == Held(NAME, "b", 2)
    assert not writer.call(lambda at: leases.release(at, held))


def test_read_all_gives_those_of_a_prefix(writer: Writes, conn: Connection) -> None:
    taken(writer, conn, "a")
    writer.call(lambda at: leases.take(at, "coordinator", "a", None))
    assert [row.name for row in leases.read_all(conn)] == ["coordinator", NAME]
    assert [row.name for row in leases.read_all(conn, "mover/")] == [NAME]


# Watching


def test_a_lease_expires_when_its_beat_stood_still() -> None:
    watch = Watch(10)
    assert not watch.expired(LeaseRow(NAME, "a", 1, 1), 100.0), "it may have been beaten a moment ago"
    assert not watch.expired(LeaseRow(NAME, "a", 1, 1), 109.9)
    assert watch.expired(LeaseRow(NAME, "a", 1, 1), 110.0)


@pytest.mark.parametrize("row", [LeaseRow(NAME, "a", 1, 2), LeaseRow(NAME, "b", 2, 1)], ids=["beat", "holder"])
def test_a_beat_or_a_new_holder_starts_the_wait_anew(row: LeaseRow) -> None:
    watch = Watch(10)
    watch.expired(LeaseRow(NAME, "a", 1, 1), 100.0)
    assert not watch.expired(row, 111.0)
    assert not watch.expired(row, 120.9)
    assert watch.expired(row, 121.0)
