"""Tokens by which nodes join, each good for one node; of the secret only its SHA-256 is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, insert, select, update

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import join_token
from cyxcloud.meta.statement import prepare

_T = join_token.c
_insert = prepare(insert(join_token))
_read = prepare(select(join_token).where(_T.token_hash == bindparam("of_token")))
_all = prepare(select(join_token).order_by(_T.created_at_ms, _T.token_hash))
_use = prepare(
    update(join_token)
    .where(_T.token_hash == bindparam("of_token"), _T.used_at_ms.is_(None))
    .values(used_at_ms=bindparam("now_ms"), node=bindparam("by_node"))
)


@dataclass(frozen=True, slots=True)
class JoinTokenRow:
    """`zone`, `operator` and `region` are what the node will be, whatever it says of itself; empty where it may say."""

    token_hash: bytes
    zone: str
    operator: str
    region: str
    created_at_ms: int
    expires_at_ms: int
    used_at_ms: int | None = None
    node: NodeNumber | None = None


def add(conn: Connection, row: JoinTokenRow) -> None:
    conn.run(_insert, asdict(row))


def read(conn: Connection, token_hash: bytes) -> JoinTokenRow | None:
    row = conn.one(_read, {"of_token": token_hash})
    return None if row is None else JoinTokenRow(*row)


def read_all(conn: Connection) -> list[JoinTokenRow]:
    return [JoinTokenRow(*row) for row in conn.rows(_all)]


def use(conn: Connection, token_hash: bytes, node: NodeNumber, now_ms: int) -> bool:
    """False when another node has used it."""
    return conn.run(_use, {"of_token": token_hash, "by_node": node, "now_ms": now_ms}) == 1
