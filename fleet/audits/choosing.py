"""Which shard of a node is audited next: any of them equally often, and none that the node could foresee.

A node's placements are walked in random order, the chunks of each from a random place on with strides of random
length: over time every chunk has its turn equally often, whatever gaps their ids have, and a look costs one index range
instead of a walk over the table.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core.ids import BlobId, NodeNumber, PlacementId, ShardId
from cyxcloud.core.merkle import block_count
from cyxcloud.meta import blobs, placements
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import PlacementRow
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import CHUNK_BYTES, sealed_size
from cyxcloud.wire.auditproof import NONCE_BYTES
from fleet.audits.verdict import Challenge

_LONGEST_STRIDE = 32
# How many placements of a node are looked at for one that holds chunks, a step.
_TRIES = 8


@dataclass(slots=True)
class _Cursor:
    after: tuple[int, int]


class Chooser:
    def __init__(self, reader: Connection, rng: random.Random) -> None:
        self._reader, self._random = reader, rng
        self._cursors: dict[PlacementId, _Cursor] = {}
        self._placements: list[PlacementRow] = []

    def refresh(self) -> None:
        """Placements as they are published now."""
        in_use = set(placements.in_use(self._reader))
        self._placements = [row for row in placements.read_all(self._reader) if row.id in in_use]
        self._cursors = {each: cursor for each, cursor in self._cursors.items() if each in in_use}

    def next_of(self, node: NodeNumber) -> Challenge | None:
        """None where it holds nothing that was found at once."""
        mine = [row for row in self._placements if node in row.nodes]
        for row in self._random.sample(mine, min(_TRIES, len(mine))):
            found = self._from(row)
            if found is not None:
                return self.challenge(found[0], found[1], row.nodes.index(node))
        return None

    def challenge(self, blob: BlobId, chunk: int, index: int, block: int | None = None) -> Challenge | None:
        """Of a shard as its rows are now; None where it is there no more."""
        row, chunk_row = blobs.read(self._reader, blob), blobs.chunk_of(self._reader, blob, chunk)
        if row is None or row.refs == 0 or chunk_row is None:
            return None
        plain = min(CHUNK_BYTES, row.size - chunk * CHUNK_BYTES)
        size = codec(row.k, row.m).shard_size(sealed_size(plain))
        at = self._random.randrange(block_count(size)) if block is None else block
        nonce = self._random.randbytes(NONCE_BYTES)
        return Challenge(ShardId(blob, chunk, index), at, nonce, chunk_row.root, row.k + row.m, size)

    def _from(self, row: PlacementRow) -> tuple[BlobId, int] | None:
        cursor = self._cursors.get(row.id)
        if cursor is None:
            cursor = self._cursors[row.id] = _Cursor((-1, -1))
        stride = self._random.randrange(1, _LONGEST_STRIDE + 1)
        page = blobs.in_placement(self._reader, row.id, cursor.after, stride)
        if len(page) < stride:
            page = blobs.in_placement(self._reader, row.id, (-1, -1), stride) or page
        if not page:
            return None
        blob, chunk, _ = self._random.choice(page)
        cursor.after = (blob, chunk)
        return blob, chunk


def places(conn: Connection, challenge: Challenge) -> Sequence[NodeNumber]:
    """The nodes on which the chunk of a challenge lies now."""
    chunk = blobs.chunk_of(conn, challenge.shard.blob, challenge.shard.chunk)
    row = None if chunk is None else placements.read(conn, chunk.placement)
    return () if row is None else row.nodes
