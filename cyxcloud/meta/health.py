"""How whole the chunks are, counted: from chunks per placement, which nodes can be read, and the listed shards.

One walk of an index and one of the repair entries, whatever the chunks' number: for `status`, not for requests. Blobs
that are queued for deletion count nowhere, since nobody repairs them. A listed shard on a node that cannot be read is
counted as missing once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from cyxcloud.core.ids import BlobId, NodeNumber, PlacementId
from cyxcloud.meta import drains, nodes, placements, repairs, successors
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import READABLE, PlacementRow, PlacementState
from cyxcloud.meta.schema import chunk, deletion
from cyxcloud.meta.statement import prepare

_C = chunk.c
_per_placement = prepare(select(_C.placement, func.count()).group_by(_C.placement))
_going = prepare(select(_C.placement, func.count()).join(deletion, deletion.c.blob == _C.blob).group_by(_C.placement))
PAGE = 5000


@dataclass(frozen=True, slots=True)
class Health:
    """`by_shards`: chunks by how many of their shards can be had. `queued`: those that the mover has to do with now.
    `used`: the placements that hold chunks, each with the most shards that one of its chunks lacks on nodes that can be
    read."""

    chunks: int
    by_shards: Mapping[int, int]
    queued: int
    used: Mapping[PlacementId, int]


def read(conn: Connection) -> Health:
    """In one snapshot, or the counts may not fit each other."""
    rows = nodes.read_all(conn)
    readable = {row.number for row in rows if row.state in READABLE}
    staying = drains.staying(conn, rows)
    lists = {row.id: row for row in placements.read_all(conn)}
    there = {each: sum(number in readable for number in row.nodes) for each, row in lists.items()}
    held = _held(conn)
    damaged = _damaged(conn, lists, readable)
    by_shards: Counter[int] = Counter()
    for placement, count in held.items():
        by_shards[there[placement]] += count
    worst = dict.fromkeys(held, 0)
    for (_, placement), bad in damaged.items():
        by_shards[there[placement]] -= 1
        by_shards[there[placement] - bad] += 1
        worst[placement] = max(worst.get(placement, 0), bad)
    moving = {
        each
        for each in held
        if lists[each].state is PlacementState.REPLACED and not successors.rests(lists, each, staying, readable)
    }
    queued = sum(held[each] for each in moving) + sum(placement not in moving for _, placement in damaged)
    found = {shards: by_shards[shards] for shards in sorted(by_shards, reverse=True) if by_shards[shards]}
    return Health(sum(held.values()), found, queued, worst)


def _held(conn: Connection) -> dict[PlacementId, int]:
    """Chunks by placement."""
    going: dict[int, int] = dict(conn.rows(_going))
    counts = {PlacementId(row[0]): row[1] - going.get(row[0], 0) for row in conn.rows(_per_placement)}
    return {placement: count for placement, count in counts.items() if count}


def _damaged(
    conn: Connection, lists: Mapping[PlacementId, PlacementRow], readable: set[NodeNumber]
) -> Counter[tuple[tuple[BlobId, int], PlacementId]]:
    """By chunk, the listed shards on nodes that can be read."""
    found: Counter[tuple[tuple[BlobId, int], PlacementId]] = Counter()
    after = (-1, -1, -1)
    while page := repairs.placed(conn, after, PAGE):
        for row in page:
            if lists[row.placement].nodes[row.shard_index] in readable:
                found[(row.blob, row.chunk), row.placement] += 1
        after = (page[-1].blob, page[-1].chunk, page[-1].shard_index)
    return found
