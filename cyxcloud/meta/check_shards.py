"""Which shards ought to be where: the chunks of live blobs, in pages, and what is filed of those that are not.

Between the read of a chunk's row and the answer of its nodes the blob may have gone or the chunk may have moved; what
is filed is looked at again in its transaction, so a shard that has just moved becomes no repair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import bindparam, select, tuple_

from cyxcloud.core.ids import BlobId, PlacementId
from cyxcloud.meta import blobs, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import RepairRow
from cyxcloud.meta.schema import blob, chunk
from cyxcloud.meta.statement import prepare

PAGE_CHUNKS = 1000

_page = prepare(
    select(chunk.c.blob, chunk.c.n, chunk.c.root, chunk.c.placement)
    .join(blob, blob.c.id == chunk.c.blob)
    .where(tuple_(chunk.c.blob, chunk.c.n) > tuple_(bindparam("after_blob"), bindparam("after_n")), blob.c.refs > 0)
    .order_by(chunk.c.blob, chunk.c.n)
    .limit(bindparam("at_most"))
)


class LiveChunk(NamedTuple):
    blob: BlobId
    n: int
    root: bytes
    placement: PlacementId


def live_chunks(conn: Connection, stride: int = 1) -> Iterator[LiveChunk]:
    """Every `stride`-th chunk of all live blobs."""
    after, seen = (-1, -1), 0
    while rows := conn.rows(_page, {"after_blob": after[0], "after_n": after[1], "at_most": PAGE_CHUNKS}):
        for row in rows:
            if seen % stride == 0:
                yield LiveChunk(BlobId(row[0]), row[1], bytes(row[2]), PlacementId(row[3]))
            seen += 1
        after = rows[-1][0], rows[-1][1]


def file(conn: Connection, found: LiveChunk, reasons: Iterable[tuple[int, str]], now_ms: int) -> bool:
    """Repair entries for these shards (index, reason); False where the chunk is not as it was read."""
    row, there = blobs.read(conn, found.blob), blobs.chunk_of(conn, found.blob, found.n)
    if row is None or row.refs == 0 or there is None or there.placement != found.placement:
        return False
    repairs.add(conn, [RepairRow(found.blob, found.n, index, reason, now_ms) for index, reason in reasons])
    return True
