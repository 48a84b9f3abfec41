"""What happened to each node, and why: only ever added to. `detail` is for people and programs, `evidence` whatever was
signed or can be run again. The sequence is given in the transaction that changes the node, so the two never differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, func, insert, select

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import node_event
from cyxcloud.meta.statement import prepare

Detail = Mapping[str, str | int | float | bool | None]

_E = node_event.c
_next = prepare(select(func.coalesce(func.max(_E.seq), 0) + 1).where(_E.node == bindparam("of_node")))
_insert = prepare(insert(node_event))
_page = prepare(
    select(node_event)
    .where(_E.node == bindparam("of_node"), _E.seq < bindparam("before"))
    .order_by(_E.seq.desc())
    .limit(bindparam("at_most"))
)
_NEWEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class NodeEvent:
    node: NodeNumber
    seq: int
    at_ms: int
    kind: str
    detail: Detail
    evidence: bytes | None = None


def record(  # noqa: PLR0917 - an event is what a row says
    conn: Connection, node: NodeNumber, at_ms: int, kind: str, detail: Detail, evidence: bytes | None = None
) -> int:
    """The event's number, by which others cite it."""
    row = conn.one(_next, {"of_node": node})
    assert row is not None
    seq: int = row[0]
    text = json.dumps(dict(detail), sort_keys=True)
    conn.run(_insert, {"node": node, "seq": seq, "at_ms": at_ms, "kind": kind, "detail": text, "evidence": evidence})
    return seq


def page(conn: Connection, node: NodeNumber, limit: int = 100, before: int | None = None) -> list[NodeEvent]:
    """The newest first; `before` is the last one's number of the page before."""
    rows = conn.rows(_page, {"of_node": node, "before": _NEWEST if before is None else before, "at_most": limit})
    return [NodeEvent(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5]) for row in rows]
