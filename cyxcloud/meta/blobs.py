"""Blobs, their chunks, inline bodies and references.

A blob's `refs` is the number of segments of length > 0 that point at it, and changes only in the transaction that
changes those segments: first `share` for every segment won, then `release` for every one lost, each in blob-id order
(two transactions that take rows in opposite order deadlock on PostgreSQL). At zero a chunked blob is queued for
deletion and keeps its rows until its bytes are gone; it can never be shared again. An inline body goes at once: who
reads has it in hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update

from cyxcloud.core.ids import BlobId, PlacementId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.errors import BlobGone
from cyxcloud.meta.rows import BlobRow, ChunkRow, SegmentRow
from cyxcloud.meta.schema import blob, chunk, deletion, inline
from cyxcloud.meta.statement import prepare

# Only a hint which table to ask first; both are asked before a blob counts as gone.
LIKELY_INLINE_BYTES = 16384

_insert_blob = prepare(insert(blob))
_insert_chunk = prepare(insert(chunk))
_insert_inline = prepare(insert(inline))
_blob = prepare(select(blob).where(blob.c.id == bindparam("blob")))
_chunks = prepare(
    select(blob, chunk.c.n, chunk.c.root, chunk.c.placement)
    .join(chunk, chunk.c.blob == blob.c.id)
    .where(blob.c.id == bindparam("blob"))
    .order_by(chunk.c.n)
)
_chunk = prepare(
    select(chunk.c.n, chunk.c.root, chunk.c.placement).where(
        chunk.c.blob == bindparam("of_blob"), chunk.c.n == bindparam("at_n")
    )
)
_body = prepare(select(inline.c.body).where(inline.c.blob == bindparam("blob")))
_count = prepare(
    select(
        select(func.count()).select_from(blob).scalar_subquery(),
        select(func.count()).select_from(inline).scalar_subquery(),
    )
)
_change_blob = prepare(
    update(blob)
    .where(blob.c.id == bindparam("blob"), blob.c.refs > 0)
    .values(refs=blob.c.refs + bindparam("n"))
    .returning(blob.c.refs, blob.c.size)
)
_change_inline = prepare(
    update(inline)
    .where(inline.c.blob == bindparam("of_blob"), inline.c.refs > 0)
    .values(refs=inline.c.refs + bindparam("n"))
    .returning(inline.c.refs)
)
_drop_inline = prepare(delete(inline).where(inline.c.blob == bindparam("blob"), inline.c.refs == bindparam("n")))
_remove_inline = prepare(delete(inline).where(inline.c.blob == bindparam("blob")))
_queue = prepare(insert(deletion))
_move = prepare(
    update(chunk)
    .where(
        chunk.c.blob == bindparam("of_blob"),
        chunk.c.n == bindparam("at_n"),
        chunk.c.placement == bindparam("from_placement"),
    )
    .values(placement=bindparam("to_placement"))
)
_per_placement = prepare(select(chunk.c.placement, func.count()).group_by(chunk.c.placement))
_in_placement = prepare(
    select(chunk.c.blob, chunk.c.n, chunk.c.root)
    .join(blob, blob.c.id == chunk.c.blob)
    .where(
        chunk.c.placement == bindparam("placement"),
        blob.c.refs > 0,
        tuple_(chunk.c.blob, chunk.c.n) > tuple_(bindparam("after_blob"), bindparam("after_n")),
    )
    .order_by(chunk.c.blob, chunk.c.n)
    .limit(bindparam("at_most"))
)


def insert_chunked(conn: Connection, row: BlobRow, chunks: Sequence[ChunkRow]) -> None:
    assert row.refs > 0
    assert row.chunk_count == len(chunks) > 0
    conn.run(
        _insert_blob,
        {
            "id": row.id,
            "refs": row.refs,
            "size": row.size,
            "k": row.k,
            "m": row.m,
            "codec": row.codec,
            "chunk_count": row.chunk_count,
        },
    )
    conn.run_many(
        _insert_chunk,
        [{"blob": row.id, "n": each.n, "root": each.root, "placement": each.placement} for each in chunks],
    )


def insert_inline(conn: Connection, blob_id: BlobId, body: bytes, refs: int = 1) -> None:
    assert refs > 0
    conn.run(_insert_inline, {"blob": blob_id, "refs": refs, "body": body})


def share(conn: Connection, segments: Iterable[SegmentRow]) -> None:
    """One more reference for each of these segments; BlobGone when a blob has lost its last one meanwhile."""
    for blob_id, (count, length) in _by_blob(segments):
        if _change(conn, blob_id, count, length) is None:
            raise BlobGone(blob_id)


def release(
    conn: Connection, segments: Iterable[SegmentRow], due_at_ms: int, *, removed_at_ms: int | None = None
) -> None:
    """One reference less for each of these segments, whose owner the same transaction removes.

    Bytes that nothing refers to any more stay until they are due; where space runs out, only until no read that began
    before `removed_at_ms` still runs. Without it they wait in any case.
    """
    for blob_id, (count, length) in _by_blob(segments):
        if length <= LIKELY_INLINE_BYTES and conn.run(_drop_inline, {"blob": blob_id, "n": count}):
            continue  # a small body that nothing else shares, the usual case, in one statement
        left = _change(conn, blob_id, -count, length)
        assert left is not None, "a segment pointed at a blob without references"
        refs, size = left
        assert refs >= 0
        if refs == 0 and size is None:
            conn.run(_remove_inline, {"blob": blob_id})
        elif refs == 0:
            row = {"blob": blob_id, "due_at_ms": due_at_ms, "size": size, "removed_at_ms": removed_at_ms}
            conn.run(_queue, row)


def read(conn: Connection, blob_id: BlobId) -> BlobRow | None:
    row = conn.one(_blob, {"blob": blob_id})
    return None if row is None else BlobRow(*row)


def chunks(conn: Connection, blob_id: BlobId) -> tuple[BlobRow, list[ChunkRow]] | None:
    """A chunked blob with its chunks in order; None where it is inline or gone."""
    rows = conn.rows(_chunks, {"blob": blob_id})
    if not rows:
        return None
    return BlobRow(*rows[0][:7]), [ChunkRow(*row[7:]) for row in rows]


def chunk_of(conn: Connection, blob_id: BlobId, n: int) -> ChunkRow | None:
    row = conn.one(_chunk, {"of_blob": blob_id, "at_n": n})
    return None if row is None else ChunkRow(*row)


def body(conn: Connection, blob_id: BlobId) -> bytes | None:
    """The ciphertext of an inline blob."""
    row = conn.one(_body, {"blob": blob_id})
    return None if row is None else bytes(row[0])


def move_chunk(conn: Connection, blob_id: BlobId, n: int, *, old: PlacementId, new: PlacementId) -> bool:
    """Compare-and-set of where a chunk lies; False when it has moved or gone meanwhile."""
    return conn.run(_move, {"of_blob": blob_id, "at_n": n, "from_placement": old, "to_placement": new}) == 1


def in_placement(
    conn: Connection, placement: PlacementId, after: tuple[int, int] = (-1, -1), limit: int = 1000
) -> list[tuple[BlobId, int, bytes]]:
    """Chunks (blob, number, root) that lie in a placement, a page after the given (blob, number); those of blobs that
    are queued for deletion are left out."""
    params = {"placement": placement, "after_blob": after[0], "after_n": after[1], "at_most": limit}
    return [(BlobId(row[0]), row[1], row[2]) for row in conn.rows(_in_placement, params)]


def count_by_placement(conn: Connection) -> dict[PlacementId, int]:
    """Chunks in each placement that has any (walks an index: for `status` and the like)."""
    return {PlacementId(placement): chunks for placement, chunks in conn.rows(_per_placement)}


def count(conn: Connection) -> tuple[int, int]:
    """Rows of chunked and of inline blobs (walks both tables: for `status`, not for requests)."""
    row = conn.one(_count)
    assert row is not None
    return row[0], row[1]


def _by_blob(segments: Iterable[SegmentRow]) -> list[tuple[BlobId, tuple[int, int]]]:
    """References per blob with a segment's length as hint, in blob-id order; empty segments refer to nothing."""
    found: dict[BlobId, tuple[int, int]] = {}
    for each in segments:
        if each.length:
            count, _length = found.get(each.blob, (0, 0))
            found[each.blob] = (count + 1, each.length)
    return sorted(found.items())


def _change(conn: Connection, blob_id: BlobId, n: int, length: int) -> tuple[int, int | None] | None:
    """References after the change and the size of a chunked blob (None: inline); None when there is no such row."""
    if length <= LIKELY_INLINE_BYTES:
        return _change_inline_row(conn, blob_id, n) or _change_chunked_row(conn, blob_id, n)
    return _change_chunked_row(conn, blob_id, n) or _change_inline_row(conn, blob_id, n)


def _change_inline_row(conn: Connection, blob_id: BlobId, n: int) -> tuple[int, None] | None:
    row = conn.one(_change_inline, {"of_blob": blob_id, "n": n})
    return None if row is None else (row[0], None)


def _change_chunked_row(conn: Connection, blob_id: BlobId, n: int) -> tuple[int, int] | None:
    row = conn.one(_change_blob, {"blob": blob_id, "n": n})
    return None if row is None else (row[0], row[1])
