"""Storage nodes as the coordinator knows them; only it writes here, and bumps the topology epoch with each change."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import GONE, NodeRow
from cyxcloud.meta.schema import node
from cyxcloud.meta.statement import prepare

_N = node.c
_insert = insert(node)
_upsert = prepare(
    _insert.on_conflict_do_update(
        index_elements=["number"], set_={each.name: _insert.excluded[each.name] for each in _N if each.name != "number"}
    )
)
_all = prepare(select(node).order_by(_N.number))
_state = prepare(
    update(node)
    .where(_N.number == bindparam("at"), _N.state != GONE)
    .values(state=bindparam("state"), reason=bindparam("reason"), since_ms=bindparam("since_ms"))
)
_retire = prepare(
    update(node)
    .where(_N.number == bindparam("at"))
    .values(
        state=GONE,
        name=bindparam("new_name"),
        endpoint=bindparam("left_at"),
        reason=bindparam("reason"),
        since_ms=bindparam("now_ms"),
    )
)
_leave = prepare(
    update(node).where(_N.number == bindparam("at"), _N.state != GONE).values(leaving=bindparam("leaving"))
)
_address = prepare(update(node).where(_N.number == bindparam("at")).values(address=bindparam("address")))
_standing = prepare(update(node).where(_N.number == bindparam("at")).values(standing=bindparam("standing")))
_seen = prepare(
    update(node)
    .where(_N.number == bindparam("at"))
    .values(
        total_bytes=bindparam("total_bytes"),
        used_bytes=bindparam("used_bytes"),
        free_bytes=bindparam("free_bytes"),
        shard_count=bindparam("shard_count"),
        seen_at_ms=bindparam("seen_at_ms"),
    )
)
_NAMES = tuple(each.name for each in fields(NodeRow))


def upsert(conn: Connection, row: NodeRow) -> None:
    conn.run(_upsert, {name: getattr(row, name) for name in _NAMES} | {"leaving": int(row.leaving)})


def read_all(conn: Connection) -> list[NodeRow]:
    return [NodeRow(*row) for row in conn.rows(_all)]


def set_state(conn: Connection, number: NodeNumber, state: str, reason: str = "", *, since_ms: int = 0) -> bool:
    """`since_ms`: when it came into this state. False for a node that is gone: nothing brings it back."""
    assert state != GONE
    return conn.run(_state, {"at": number, "state": state, "reason": reason, "since_ms": since_ms}) == 1


def set_leaving(conn: Connection, number: NodeNumber, *, leaving: bool) -> bool:
    """Whether its shards are to be moved away; False for a node that is gone."""
    return conn.run(_leave, {"at": number, "leaving": int(leaving)}) == 1


def set_address(conn: Connection, number: NodeNumber, address: str) -> bool:
    """Where its host listens, HOST:PORT."""
    return conn.run(_address, {"at": number, "address": address}) == 1


def set_standing(conn: Connection, number: NodeNumber, standing: str) -> bool:
    """What it is trusted with."""
    return conn.run(_standing, {"at": number, "standing": standing}) == 1


def retire(
    conn: Connection, number: NodeNumber, name: str, endpoint: str, now_ms: int, *, reason: str = "replaced"
) -> bool:
    """Gone for ever, under a name that frees its own; `endpoint`: where what is left of it stands."""
    params = {"at": number, "new_name": name, "left_at": endpoint, "now_ms": now_ms, "reason": reason}
    return conn.run(_retire, params) == 1


def set_seen(
    conn: Connection,
    number: NodeNumber,
    *,
    total_bytes: int,
    used_bytes: int,
    free_bytes: int,
    shard_count: int,
    seen_at_ms: int,
) -> bool:
    """What a heartbeat brings: no reason to bump the epoch."""
    params = {
        "at": number,
        "total_bytes": total_bytes,
        "used_bytes": used_bytes,
        "free_bytes": free_bytes,
        "shard_count": shard_count,
        "seen_at_ms": seen_at_ms,
    }
    return conn.run(_seen, params) == 1
