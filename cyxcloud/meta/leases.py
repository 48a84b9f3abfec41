"""Leases: what one process at a time does (being the coordinator, a share of the mover's work).

The holder moves the lease's `beat`. Whoever wants it watches the beat by its own monotonic clock and may take it once
it stood still for so long; clocks of two machines are never compared, and no wall clock is asked. Each new holder has a
higher `fence`, and whatever a holder commits it commits with `check` in the same transaction. So a holder that was
paused, and does not know yet that it has been succeeded, changes nothing: whether its lease was taken is decided by the
database, not by anybody's clock. `take` compares with what the watcher saw; of two that take at once, one does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import LeaseLost
from cyxcloud.meta.schema_fleet import lease
from cyxcloud.meta.statement import prepare

NOBODY = ""

_L = lease.c
_this_holder = (_L.name == bindparam("of_lease"), _L.holder == bindparam("by"), _L.fence == bindparam("at_fence"))
_all = prepare(select(lease).order_by(_L.name))
_read = prepare(select(lease).where(_L.name == bindparam("of_lease")))
_first = prepare(insert(lease).on_conflict_do_nothing(index_elements=["name"]))
_take = prepare(
    update(lease)
    .where(
        _L.name == bindparam("of_lease"),
        _L.fence == bindparam("at_fence"),
        _L.beat == bindparam("at_beat"),
        _L.holder == bindparam("from_holder"),
    )
    .values(holder=bindparam("to_holder"), fence=_L.fence + 1, beat=_L.beat + 1)
)
_keep = prepare(update(lease).where(*_this_holder).values(beat=_L.beat + 1))
_release = prepare(update(lease).where(*_this_holder).values(holder=NOBODY))
_check = prepare(select(_L.fence).where(*_this_holder).with_for_update(read=True))


class LeaseRow(NamedTuple):
    """`holder` is empty where the last one let go of it."""

    name: str
    holder: str
    fence: int
    beat: int


class Held(NamedTuple):
    """What its holder keeps: good for as long as the row says the same."""

    name: str
    holder: str
    fence: int


class Watch:
    """Since when each lease's beat has stood still, by the observer's own monotonic clock (pure)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._seen: dict[str, tuple[int, int, float]] = {}

    def expired(self, row: LeaseRow, now: float) -> bool:
        """Whether it may be taken from its holder. The first look at a beat only starts the wait."""
        if row.holder == NOBODY:
            return True
        fence, beat, since = self._seen.get(row.name, (-1, -1, now))
        if (fence, beat) != (row.fence, row.beat):
            self._seen[row.name] = (row.fence, row.beat, now)
            return False
        return now - since >= self.seconds


def read(conn: Connection, name: str) -> LeaseRow | None:
    row = conn.one(_read, {"of_lease": name})
    return None if row is None else LeaseRow(*row)


def read_all(conn: Connection, prefix: str = "") -> list[LeaseRow]:
    """There are a few tens of them."""
    return [LeaseRow(*row) for row in conn.rows(_all) if row[0].startswith(prefix)]


def take(conn: Connection, name: str, holder: str, seen: LeaseRow | None) -> Held | None:
    """For whoever saw `seen` (None: no such row) and may take it; None when somebody else was first, or its holder
    lives after all."""
    assert holder != NOBODY
    if seen is None:
        first = {"name": name, "holder": holder, "fence": 1, "beat": 1}
        return Held(name, holder, 1) if conn.run(_first, first) == 1 else None
    assert seen.name == name
    known = {"of_lease": name, "at_fence": seen.fence, "at_beat": seen.beat, "from_holder": seen.holder}
    taken = conn.run(_take, {**known, "to_holder": holder}) == 1
    return Held(name, holder, seen.fence + 1) if taken else None


def keep(conn: Connection, held: Held) -> bool:
    """A sign of life; False when somebody else has it."""
    return conn.run(_keep, _params(held)) == 1


def release(conn: Connection, held: Held) -> bool:
    """The next one need not wait."""
    return conn.run(_release, _params(held)) == 1


def holds(conn: Connection, held: Held) -> bool:
    """Whether it is still this holder's; it stays so until the transaction ends."""
    return conn.one(_check, _params(held)) is not None


def check(conn: Connection, *held: Held) -> None:
    """First of all in every transaction of a holder: LeaseLost undoes it. In the order of their names, so that two
    transactions never wait for each other crosswise."""
    for each in sorted(held):
        if not holds(conn, each):
            raise LeaseLost(each.name)


def still_held(conn: Connection, held: Iterable[Held]) -> frozenset[str]:
    """The names of those that are still their holder's, until the transaction ends."""
    return frozenset(each.name for each in sorted(held) if holds(conn, each))


def _params(held: Held) -> dict[str, object]:
    return {"of_lease": held.name, "by": held.holder, "at_fence": held.fence}
