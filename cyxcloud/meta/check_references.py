"""Blobs against the segments that point at them, the deletion queue and their chunks.

A count that is too low lets bytes go that somebody still has; one that is too high keeps bytes for ever; a blob that is
queued while segments point at it is about to go. All three are mended. A blob whose row is gone, or that lacks chunk
rows, is lost as far as rows tell: nothing else says where its shards lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.meta.check import Check, Context, Finding, Kind, named
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.schema import blob, deletion, inline
from cyxcloud.meta.statement import prepare

_REFERENCES = """
SELECT blob, counted, stored, chunked, small, queued FROM (
  SELECT blob, CAST(sum(counted) AS BIGINT) AS counted, CAST(sum(stored) AS BIGINT) AS stored,
         CAST(sum(chunked) AS BIGINT) AS chunked, CAST(sum(small) AS BIGINT) AS small,
         CAST(sum(queued) AS BIGINT) AS queued
  FROM (
    SELECT seg_blob AS blob, 1 AS counted, 0 AS stored, 0 AS chunked, 0 AS small, 0 AS queued
      FROM version WHERE seg_length > 0
    UNION ALL SELECT blob, 1, 0, 0, 0, 0 FROM segment WHERE length > 0
    UNION ALL SELECT seg_blob, 1, 0, 0, 0, 0 FROM part WHERE seg_length > 0
    UNION ALL SELECT id, 0, refs, 1, 0, 0 FROM blob
    UNION ALL SELECT blob, 0, refs, 0, 1, 0 FROM inline
    UNION ALL SELECT blob, 0, 0, 0, 0, 1 FROM deletion
  ) AS every GROUP BY blob
) AS summed
WHERE NOT ((chunked = 1 AND small = 0 AND stored = counted AND (stored > 0) = (queued = 0))
        OR (chunked = 0 AND small = 1 AND stored = counted AND stored > 0 AND queued = 0))
ORDER BY blob"""

# 4 MiB of plaintext a chunk is a constant of the data layout (shards/frames.py).
_INCOMPLETE = """
SELECT b.id, b.chunk_count, count(c.n), b.size FROM blob b LEFT JOIN chunk c ON c.blob = b.id
GROUP BY b.id, b.chunk_count, b.size
HAVING count(c.n) <> b.chunk_count OR min(c.n) <> 0 OR max(c.n) <> b.chunk_count - 1
    OR b.chunk_count <> (b.size + 4194303) / 4194304
ORDER BY b.id"""

_ORPHANS = """
SELECT DISTINCT c.blob FROM chunk c LEFT JOIN blob b ON b.id = c.blob WHERE b.id IS NULL ORDER BY c.blob"""

_MISPLACED = """
SELECT c.blob, c.n, c.placement FROM chunk c JOIN blob b ON b.id = c.blob LEFT JOIN placement p ON p.id = c.placement
WHERE p.id IS NULL OR p.k <> b.k OR p.m <> b.m OR length(c.root) <> 32 ORDER BY c.blob, c.n"""

_lock = prepare(select(blob.c.refs, blob.c.size).where(blob.c.id == bindparam("at")).with_for_update())
_lock_inline = prepare(select(inline.c.refs).where(inline.c.blob == bindparam("at")).with_for_update())
_set = prepare(update(blob).where(blob.c.id == bindparam("at")).values(refs=bindparam("refs")))
_set_inline = prepare(update(inline).where(inline.c.blob == bindparam("at")).values(refs=bindparam("refs")))
_drop_inline = prepare(delete(inline).where(inline.c.blob == bindparam("at")))
_unqueue = prepare(delete(deletion).where(deletion.c.blob == bindparam("at")))
_queue = prepare(insert(deletion).on_conflict_do_nothing(index_elements=["blob"]))


def findings(conn: Connection, context: Context) -> Iterator[Finding]:
    checks = (
        Check.of(_REFERENCES, partial(_explain_references, context.due_at_ms)),
        Check.of(_INCOMPLETE, _explain_incomplete),
        Check.of(_ORPHANS, lambda row: _chunks(row[0], "has chunks and no row of its own")),
        Check.of(_MISPLACED, _explain_misplaced),
    )
    for check in checks:
        yield from check.run(conn)


def _explain_references(due_at_ms: int, row: Row) -> Finding:
    blob_id, counted, stored, chunked, small, queued = row
    where = f"blob {named(blob_id)}"
    if chunked and small:
        return Finding(Kind.REFERENCES, where, "is inline and in chunks at once")
    if not chunked and not small:
        if counted:
            return Finding(Kind.BLOB_MISSING, where, f"has no row, and {counted} segments point at it")
        return Finding(Kind.QUEUE, where, "is queued for deletion and has no row", partial(_forget, blob_id))
    mend = (
        partial(mend_chunked, blob_id, counted - stored, due_at_ms)
        if chunked
        else (partial(mend_inline, blob_id, counted - stored))
    )
    if counted != stored:
        return Finding(Kind.REFERENCES, where, f"counts {stored} references, {counted} segments point at it", mend)
    if small and not stored:
        return Finding(Kind.REFERENCES, where, "is inline, without references, and still there", mend)
    problem = "is queued for deletion while segments point at it" if queued else "has no references and is not queued"
    return Finding(Kind.QUEUE, where, problem, mend)


def mend_chunked(blob_id: int, drift: int, due_at_ms: int, conn: Connection) -> bool:
    """`drift`: how many references it lacks, which no correct change alters."""
    row = conn.one(_lock, {"at": blob_id})
    if row is None or row[0] + drift < 0:
        return False
    refs = row[0] + drift
    conn.run(_set, {"at": blob_id, "refs": refs})
    if refs:
        conn.run(_unqueue, {"at": blob_id})
    else:
        conn.run(_queue, {"blob": blob_id, "due_at_ms": due_at_ms, "size": row[1], "removed_at_ms": None})
    return True


def mend_inline(blob_id: int, drift: int, conn: Connection) -> bool:
    row = conn.one(_lock_inline, {"at": blob_id})
    if row is None or row[0] + drift < 0:
        return False
    if row[0] + drift:
        conn.run(_set_inline, {"at": blob_id, "refs": row[0] + drift})
        conn.run(_unqueue, {"at": blob_id})
    else:
        conn.run(_drop_inline, {"at": blob_id})
    return True


def _forget(blob_id: int, conn: Connection) -> bool:
    if conn.one(_lock, {"at": blob_id}) is not None:
        return False
    return conn.run(_unqueue, {"at": blob_id}) == 1


def _explain_incomplete(row: Row) -> Finding:
    blob_id, wanted, held, size = row
    return _chunks(blob_id, f"of {size} bytes says {wanted} chunks and has {held}, or not those from 0 on")


def _explain_misplaced(row: Row) -> Finding:
    return _chunks(row[0], f"chunk {row[1]} lies in placement {row[2]}, which is not there or not of its profile")


def _chunks(blob_id: int, problem: str) -> Finding:
    return Finding(Kind.CHUNKS, f"blob {named(blob_id)}", problem)
