"""Shards known to be missing or bad, until a mover has made them good. Filing the same one twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import BlobId
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import PlacedRepair, RepairRow
from cyxcloud.meta.schema import blob as blobs
from cyxcloud.meta.schema import chunk as chunks
from cyxcloud.meta.schema import repair
from cyxcloud.meta.statement import prepare

_R = repair.c
_add = prepare(insert(repair).on_conflict_do_nothing(index_elements=["blob", "chunk", "shard_index"]))
_count = prepare(select(func.count()).select_from(repair))
_page = prepare(
    select(repair)
    .where(
        tuple_(_R.blob, _R.chunk, _R.shard_index)
        > tuple_(bindparam("after_blob"), bindparam("after_chunk"), bindparam("after_index"))
    )
    .order_by(_R.blob, _R.chunk, _R.shard_index)
    .limit(bindparam("at_most"))
)
_placed = prepare(
    select(_R.blob, _R.chunk, _R.shard_index, chunks.c.placement)
    .join(chunks, (chunks.c.blob == _R.blob) & (chunks.c.n == _R.chunk))
    .join(blobs, (blobs.c.id == _R.blob) & (blobs.c.refs > 0))
    .where(
        tuple_(_R.blob, _R.chunk, _R.shard_index)
        > tuple_(bindparam("after_blob"), bindparam("after_chunk"), bindparam("after_index"))
    )
    .order_by(_R.blob, _R.chunk, _R.shard_index)
    .limit(bindparam("at_most"))
)
_of_chunk = prepare(
    select(_R.shard_index)
    .where(_R.blob == bindparam("of_blob"), _R.chunk == bindparam("of_chunk"))
    .order_by(_R.shard_index)
)
_reason = prepare(
    select(_R.reason).where(
        _R.blob == bindparam("of_blob"), _R.chunk == bindparam("of_chunk"), _R.shard_index == bindparam("of_index")
    )
)
_remove = prepare(
    delete(repair).where(
        _R.blob == bindparam("blob"), _R.chunk == bindparam("chunk"), _R.shard_index == bindparam("shard_index")
    )
)
_remove_blob = prepare(delete(repair).where(_R.blob == bindparam("blob")))


def add(conn: Connection, rows: Iterable[RepairRow]) -> None:
    conn.run_many(
        _add,
        [
            {
                "blob": row.blob,
                "chunk": row.chunk,
                "shard_index": row.shard_index,
                "reason": row.reason,
                "found_at_ms": row.found_at_ms,
            }
            for row in rows
        ],
    )


def count(conn: Connection) -> int:
    row = conn.one(_count)
    assert row is not None
    found: int = row[0]
    return found


def page(conn: Connection, after: tuple[int, int, int] = (-1, -1, -1), limit: int = 1000) -> list[RepairRow]:
    """Entries after the given (blob, chunk, shard index)."""
    params = {"after_blob": after[0], "after_chunk": after[1], "after_index": after[2], "at_most": limit}
    return [RepairRow(*row) for row in conn.rows(_page, params)]


def placed(conn: Connection, after: tuple[int, int, int] = (-1, -1, -1), limit: int = 1000) -> list[PlacedRepair]:
    """The same with where the chunk lies; without those of blobs that are queued for deletion."""
    params = {"after_blob": after[0], "after_chunk": after[1], "after_index": after[2], "at_most": limit}
    return [PlacedRepair(*row) for row in conn.rows(_placed, params)]


def of_chunk(conn: Connection, blob: BlobId, chunk: int) -> list[int]:
    """Its listed shards."""
    return [row[0] for row in conn.rows(_of_chunk, {"of_blob": blob, "of_chunk": chunk})]


def reason_of(conn: Connection, blob: BlobId, chunk: int, shard_index: int) -> str | None:
    """Why a shard is listed; None where it is not."""
    row = conn.one(_reason, {"of_blob": blob, "of_chunk": chunk, "of_index": shard_index})
    return None if row is None else str(row[0])


def remove(conn: Connection, blob: BlobId, chunk: int, shard_index: int) -> bool:
    return conn.run(_remove, {"blob": blob, "chunk": chunk, "shard_index": shard_index}) == 1


def remove_blob(conn: Connection, blob: BlobId) -> int:
    return conn.run(_remove_blob, {"blob": blob})
