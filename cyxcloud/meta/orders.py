"""Delete orders signed by the coordinator, kept with the node's receipt as evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DeleteOrder
from cyxcloud.meta.schema import delete_order
from cyxcloud.meta.statement import prepare

_O = delete_order.c
_add = prepare(insert(delete_order))
_next = prepare(select(func.coalesce(func.max(_O.sequence), 0) + 1).where(_O.node == bindparam("of_node")))
_open = prepare(
    select(delete_order)
    .where(_O.node == bindparam("of_node"), _O.settled_at_ms.is_(None))
    .order_by(_O.sequence)
    .limit(bindparam("at_most"))
)
_since = prepare(
    select(delete_order).where(_O.node == bindparam("of_node"), _O.sequence >= bindparam("first")).order_by(_O.sequence)
)
_settle = prepare(
    update(delete_order)
    .where(_O.node == bindparam("of_node"), _O.sequence == bindparam("at"), _O.settled_at_ms.is_(None))
    .values(
        settled_at_ms=bindparam("now_ms"), receipt=bindparam("receipt"), receipt_signature=bindparam("signed_by_node")
    )
)
_later = delete_order.alias()
# The last of a node is what its next one is counted from: a node takes no sequence twice.
_forget = prepare(
    delete(delete_order).where(
        _O.settled_at_ms <= bindparam("before_ms"),
        exists(select(_later.c.node).where(_later.c.node == _O.node, _later.c.sequence > _O.sequence)),
    )
)
_NAMES = tuple(each.name for each in fields(DeleteOrder))


def next_sequence(conn: Connection, node: NodeNumber) -> int:
    row = conn.one(_next, {"of_node": node})
    assert row is not None
    number: int = row[0]
    return number


def add(conn: Connection, orders: Iterable[DeleteOrder]) -> None:
    conn.run_many(_add, [{name: getattr(order, name) for name in _NAMES} for order in orders])


def unsettled(conn: Connection, node: NodeNumber, limit: int = 100) -> list[DeleteOrder]:
    return [DeleteOrder(*row) for row in conn.rows(_open, {"of_node": node, "at_most": limit})]


def since(conn: Connection, node: NodeNumber, sequence: int) -> list[DeleteOrder]:
    """Those of this number and later, settled or not."""
    return [DeleteOrder(*row) for row in conn.rows(_since, {"of_node": node, "first": sequence})]


def settle(
    conn: Connection, node: NodeNumber, sequence: int, *, receipt: bytes, receipt_signature: bytes, now_ms: int
) -> bool:
    """Keep the node's receipt; False when the order has one."""
    params = {
        "of_node": node,
        "at": sequence,
        "now_ms": now_ms,
        "receipt": receipt,
        "signed_by_node": receipt_signature,
    }
    return conn.run(_settle, params) == 1


def forget(conn: Connection, settled_before_ms: int) -> int:
    """All but the last of each node."""
    return conn.run(_forget, {"before_ms": settled_before_ms})
