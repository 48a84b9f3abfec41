"""Blobs without references whose bytes are still on the nodes. `blobs.release` queues them; after the grace the
coordinator sends orders for a batch of them and then removes the rows, so a crash in between sends the same orders
again."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, func, select

from cyxcloud.core.ids import BlobId
from cyxcloud.meta import blobs, repairs
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import DueBlob
from cyxcloud.meta.schema import blob, chunk, deletion
from cyxcloud.meta.statement import prepare

_D = deletion.c
_due = prepare(
    select(_D.blob)
    .where(_D.due_at_ms <= bindparam("now_ms"))
    .order_by(_D.due_at_ms, _D.blob)
    .limit(bindparam("at_most"))
)
_early = prepare(
    select(_D.blob)
    .where(
        _D.due_at_ms > bindparam("now_ms"),
        _D.due_at_ms <= bindparam("due_before_ms"),
        _D.removed_at_ms < bindparam("removed_before_ms"),
    )
    .order_by(_D.due_at_ms, _D.blob)
    .limit(bindparam("at_most"))
)
_totals = prepare(select(func.count(), func.coalesce(func.sum(_D.size), 0)).select_from(deletion))
_remove = prepare(delete(deletion).where(_D.blob == bindparam("blob")))
_remove_chunks = prepare(delete(chunk).where(chunk.c.blob == bindparam("blob")))
_remove_blob = prepare(delete(blob).where(blob.c.id == bindparam("blob"), blob.c.refs == 0))


def due(conn: Connection, now_ms: int, limit: int = 100) -> list[DueBlob]:
    """The longest due blobs, with where each chunk lies."""
    return _with_chunks(conn, conn.rows(_due, {"now_ms": now_ms, "at_most": limit}))


def due_early(
    conn: Connection, now_ms: int, *, removed_before_ms: int, due_before_ms: int, limit: int = 100
) -> list[DueBlob]:
    """Those that were removed before a time and are not due yet, the oldest first. `due_before_ms` only keeps the rest
    of the queue from being looked through."""
    params = {
        "now_ms": now_ms,
        "due_before_ms": due_before_ms,
        "removed_before_ms": removed_before_ms,
        "at_most": limit,
    }
    return _with_chunks(conn, conn.rows(_early, params))


def _with_chunks(conn: Connection, rows: Iterable[Row]) -> list[DueBlob]:
    found = []
    for (blob_id,) in rows:
        with_chunks = blobs.chunks(conn, blob_id)
        assert with_chunks is not None, "a queued blob keeps its rows"
        row, chunks = with_chunks
        found.append(DueBlob(row.id, row.size, row.k, row.m, tuple(chunks)))
    return found


def remove(conn: Connection, blob_ids: Iterable[BlobId]) -> None:
    """Forget blobs whose bytes are gone or ordered gone: queue entry, chunks, repairs and the blob itself."""
    for blob_id in blob_ids:
        if conn.run(_remove, {"blob": blob_id}):
            conn.run(_remove_chunks, {"blob": blob_id})
            repairs.remove_blob(conn, blob_id)
            removed = conn.run(_remove_blob, {"blob": blob_id})
            assert removed == 1, "a queued blob had references"


def totals(conn: Connection) -> tuple[int, int]:
    """Blobs queued and their plaintext bytes."""
    row = conn.one(_totals)
    assert row is not None
    return row[0], int(row[1])
