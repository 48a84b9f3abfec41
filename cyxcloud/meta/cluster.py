"""The store itself: who it is, its clock, and the epochs by which processes learn that something changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.meta.schema import cluster, epoch, store_clock
from cyxcloud.meta.statement import prepare

_ONLY = 1


class Epoch(StrEnum):
    """TOPOLOGY: nodes and placements. ACCESS: accounts, access keys and named keys. KEYS: the wrapping keys in
    DIR/keys. TRUST: certificates that are denied. SNAPSHOT: the last snapshot begun; a database that says less than a
    pointer on the nodes is an old copy."""

    TOPOLOGY = "topology"
    ACCESS = "access"
    KEYS = "keys"
    TRUST = "trust"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Epochs:
    topology: int
    access: int
    keys: int = 0
    trust: int = 0


_create = prepare(insert(cluster).on_conflict_do_nothing())
_read = prepare(select(*(each for each in cluster.c if each.name != "one")))
_exists = prepare(select(cluster.c.one))
_restored = prepare(
    update(cluster).values(incarnation=bindparam("new_incarnation"), adopted=0, restored_at_ms=bindparam("now_ms"))
)
_adopt = prepare(update(cluster).values(adopted=1))
_newest_key = prepare(
    update(cluster).where(cluster.c.newest_key < bindparam("key_id")).values(newest_key=bindparam("key_id"))
)
_settled_key = prepare(
    update(cluster)
    .where(cluster.c.settled_key != bindparam("key_id"), cluster.c.newest_key == bindparam("key_id"))
    .values(settled_key=bindparam("key_id"))
)
_epochs = prepare(select(epoch.c.name, epoch.c.value))
_bump = prepare(
    insert(epoch)
    .values(name=bindparam("named"), value=1)
    .on_conflict_do_update(index_elements=["name"], set_={"value": epoch.c.value + 1})
    .returning(epoch.c.value)
)
_raise = prepare(
    insert(epoch).on_conflict_do_update(
        index_elements=["name"],
        set_={"value": insert(epoch).excluded.value},
        where=epoch.c.value < insert(epoch).excluded.value,
    )
)
_clock = prepare(select(store_clock.c.now_ms, store_clock.c.wall_ms))
_tick = prepare(
    insert(store_clock).on_conflict_do_update(
        index_elements=["one"],
        set_={"now_ms": insert(store_clock).excluded.now_ms, "wall_ms": insert(store_clock).excluded.wall_ms},
        where=store_clock.c.now_ms <= insert(store_clock).excluded.now_ms,
    )
)


def create(conn: Connection, row: ClusterRow) -> bool:
    """False when the database belongs to a store already."""
    params = {
        "one": _ONLY,
        "cluster_id": row.cluster_id,
        "incarnation": row.incarnation,
        "format": row.format,
        "created_at_ms": row.created_at_ms,
        "adopted": int(row.adopted),
        "restored_at_ms": row.restored_at_ms,
        "newest_key": row.newest_key,
        "settled_key": row.settled_key,
    }
    return conn.run(_create, params) == 1


def exists(conn: Connection) -> bool:
    """Whether this is a store's database, of whatever release."""
    return conn.one(_exists) is not None


def read(conn: Connection) -> ClusterRow | None:
    """None in an empty database."""
    row = conn.one(_read)
    if row is None:
        return None
    cluster_id, incarnation, written_format, created_at_ms, adopted, *rest = row
    return ClusterRow(cluster_id, incarnation, written_format, created_at_ms, bool(adopted), *rest)


def set_restored(conn: Connection, incarnation: bytes, now_ms: int) -> bool:
    """This database is a copy of an earlier day: nodes refuse the new incarnation until they are told of it, and
    nothing is reconciled away before `set_adopted`."""
    return conn.run(_restored, {"new_incarnation": incarnation, "now_ms": now_ms}) == 1


def set_adopted(conn: Connection) -> bool:
    """An operator has confirmed that the restored store is whole."""
    return conn.run(_adopt) == 1


def set_newest_key(conn: Connection, key_id: int) -> bool:
    """Before any row may name it: from now on a keyring without this key is refused. False when it is set already."""
    return conn.run(_newest_key, {"key_id": key_id}) == 1


def set_settled_key(conn: Connection, key_id: int) -> bool:
    """Every row was found to be under this key, which is the newest; False when it was set, or is not."""
    return conn.run(_settled_key, {"key_id": key_id}) == 1


def epochs(conn: Connection) -> Epochs:
    """All epochs in one read; a name never bumped stands at 0."""
    found: dict[str, int] = dict(conn.rows(_epochs))
    return Epochs(
        topology=found.get(Epoch.TOPOLOGY, 0),
        access=found.get(Epoch.ACCESS, 0),
        keys=found.get(Epoch.KEYS, 0),
        trust=found.get(Epoch.TRUST, 0),
    )


def bump(conn: Connection, name: Epoch) -> int:
    """In the transaction that changes what it stands for; gives the new value."""
    row = conn.one(_bump, {"named": str(name)})
    assert row is not None
    value: int = row[0]
    return value


def snapshot_sequence(conn: Connection) -> int:
    """The last snapshot that this database knows to have begun, 0 before the first."""
    found: dict[str, int] = dict(conn.rows(_epochs))
    return found.get(Epoch.SNAPSHOT, 0)


def raise_epoch(conn: Connection, name: Epoch, value: int) -> None:
    """To at least this value."""
    conn.run(_raise, {"name": str(name), "value": value})


def clock(conn: Connection) -> tuple[int, int] | None:
    """Store time and the wall clock when it was written, None before the first tick."""
    row = conn.one(_clock)
    return None if row is None else (row[0], row[1])


def tick(conn: Connection, now_ms: int, wall_ms: int) -> bool:
    """Store time moves on; False when it would go back, which changes nothing."""
    return conn.run(_tick, {"one": _ONLY, "now_ms": now_ms, "wall_ms": wall_ms}) == 1
