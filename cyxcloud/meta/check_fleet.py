"""Placements, nodes and what waits for them; sessions, buckets and accounts."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from cyxcloud.core.ids import BlobId
from cyxcloud.meta import nodes, placements, repairs
from cyxcloud.meta.check import Check, Finding, Kind, named
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import PlacementRow, PlacementState

# Every id is led by the number of the session that gave it (core/ids.py).
_SESSIONLESS = """
SELECT every.number FROM (
  SELECT id / 4294967296 AS number FROM version UNION SELECT id / 4294967296 FROM blob
  UNION SELECT blob / 4294967296 FROM inline UNION SELECT id / 4294967296 FROM upload
  UNION SELECT id / 4294967296 FROM part) AS every
LEFT JOIN session s ON s.number = every.number WHERE s.number IS NULL ORDER BY every.number"""
# The store's own buckets are of an account that has no row (system.py).
_ACCOUNTLESS = """
SELECT b.name FROM bucket b LEFT JOIN account a ON a.id = b.account
WHERE a.id IS NULL AND b.account <> 0 ORDER BY b.name"""
_KEYS_OF_NOBODY = """
SELECT k.access_key FROM access_key k LEFT JOIN account a ON a.id = k.account
WHERE a.id IS NULL ORDER BY k.access_key"""
_REPAIRS = """
SELECT r.blob, r.chunk, r.shard_index FROM repair r LEFT JOIN chunk c ON c.blob = r.blob AND c.n = r.chunk
WHERE c.blob IS NULL ORDER BY r.blob, r.chunk, r.shard_index"""
_ORDERS = """
SELECT DISTINCT o.node FROM delete_order o LEFT JOIN node n ON n.number = o.node WHERE n.number IS NULL"""
_STRAYS = """
SELECT DISTINCT s.node FROM stray s LEFT JOIN node n ON n.number = s.node WHERE n.number IS NULL"""


def findings(conn: Connection, *, restored: bool) -> Iterator[Finding]:
    """`restored`: the database is an old copy, so sessions that came after it have left ids that it does not know."""
    checks = [
        Check.of(_ACCOUNTLESS, lambda row: Finding(Kind.BUCKET, f"bucket {row[0]}", "belongs to an unknown account")),
        Check.of(_KEYS_OF_NOBODY, lambda row: Finding(Kind.BUCKET, f"key {row[0]}", "belongs to an unknown account")),
        Check.of(_REPAIRS, _explain_repair),
        Check.of(_ORDERS, lambda row: Finding(Kind.FLEET, f"node {row[0]}", "has delete orders and no row")),
        Check.of(_STRAYS, lambda row: Finding(Kind.FLEET, f"node {row[0]}", "has strays and no row")),
    ]
    if not restored:
        checks.append(Check.of(_SESSIONLESS, _explain_session))
    for check in checks:
        yield from check.run(conn)
    yield from _placements(conn)


def _placements(conn: Connection) -> Iterator[Finding]:
    known = {row.number for row in nodes.read_all(conn)}
    rows = {row.id: row for row in placements.read_all(conn)}
    for row in rows.values():
        for problem in _problems(row, known, set(rows)):
            yield Finding(Kind.PLACEMENT, f"placement {row.id}", problem)


def _problems(row: PlacementRow, known: AbstractSet[int], ids: AbstractSet[int]) -> Iterator[str]:
    if len(row.nodes) != row.k + row.m:
        yield f"has {len(row.nodes)} nodes for {row.k}+{row.m}"
    if len(set(row.nodes)) != len(row.nodes):
        yield "names a node twice"
    if unknown := set(row.nodes) - known:
        yield f"names unknown nodes: {', '.join(map(str, sorted(unknown)))}"
    if (row.state is PlacementState.REPLACED) != (row.successor is not None):
        yield "is replaced without a successor, or has one without being replaced"
    if row.successor is not None and row.successor not in ids:
        yield f"names a successor that is not there: {row.successor}"


def _explain_repair(row: Row) -> Finding:
    blob, chunk, index = row

    def forget(conn: Connection) -> bool:
        return repairs.remove(conn, BlobId(blob), chunk, index)

    return Finding(Kind.FLEET, f"repair of blob {named(blob)} chunk {chunk}", "names a chunk that is not there", forget)


def _explain_session(row: Row) -> Finding:
    return Finding(Kind.SESSION, f"session {row[0]}", "has given ids and is not known: nothing it left is ever swept")
