"""`repair now`: an operator does not wait for a node's grace, or has an object's shards looked at one by one.

An object's shards are listed for repair as if each had been found bad; the mover asks their nodes first, strikes off
those that are good, and makes the others anew. So asking for it changes nothing that is whole.
"""

from __future__ import annotations

from cyxcloud.core.ids import BlobId
from cyxcloud.meta import blobs, reads, repairs, segments
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import RepairRow
from cyxcloud.meta.writer import Writes

REASON = "asked for"
# One transaction of so many rows is a few milliseconds.
PAGE = 1000


async def repair_object(reader: Connection, writer: Writes, bucket: str, key: bytes, now_ms: int) -> int | None:
    """Lists the shards of its current version; gives how many, None where there is no such object."""
    found = reads.read_object(reader, bucket, key, with_body=False)
    if found.version is None or found.version.is_delete_marker:
        return None
    ids = {BlobId(each.blob) for each in segments.of(reader, found.version) if each.length}
    rows = [
        RepairRow(blob, chunk.n, index, REASON, now_ms)
        for blob in sorted(ids)
        if (chunked := blobs.chunks(reader, blob)) is not None
        for chunk in chunked[1]
        for index in range(chunked[0].k + chunked[0].m)
    ]
    for first in range(0, len(rows), PAGE):
        page = rows[first : first + PAGE]
        await writer.submit(lambda conn, page=page: repairs.add(conn, page))  # type: ignore[misc]
    return len(rows)
