"""Shards that a read found missing or wrong become repair entries, off the read's path.

A shard that was not found is filed only while its chunk still lies where the read looked: it may just have moved.
Filing is not urgent and safe to repeat, so entries are gathered for a moment and lost with the process; the next read
of the chunk, or the scrub, finds them again.
"""

from __future__ import annotations

import asyncio

import structlog

from cyxcloud.core.ids import NodeId, ShardId
from cyxcloud.meta import blobs, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import RepairRow
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.store import BlobMaps, StoreClock
from cyxcloud.objects.topology import Topology
from cyxcloud.shards.gather import Fault

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.2
# A lost node makes every read report; what does not fit is found again.
MAX_WAITING = 10_000


class DamageReports:
    def __init__(self, writer: Writer, topology: Topology, maps: BlobMaps, clock: StoreClock) -> None:
        self._writer, self._topology, self._maps, self._clock = writer, topology, maps, clock
        self._waiting: dict[ShardId, tuple[NodeId, Fault]] = {}
        self._filing: asyncio.Task[None] | None = None

    def report(self, shard: ShardId, node: NodeId, fault: Fault) -> None:
        """The reader's `on_bad`."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[shard] = (node, fault)
        self._maps.forget(shard.blob)
        if self._filing is None or self._filing.done():
            self._filing = asyncio.create_task(self._file())

    async def close(self) -> None:
        if self._filing is not None:
            await asyncio.gather(self._filing, return_exceptions=True)

    async def _file(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            found, self._waiting = self._waiting, {}
            now_ms = self._clock.now_ms()
            nodes = {shard: node for shard, (node, _) in found.items()}
            rows = [
                RepairRow(shard.blob, shard.chunk, shard.index, fault.value, now_ms)
                for shard, (_, fault) in found.items()
            ]
            try:
                await self._writer.submit(lambda conn: self._add(conn, rows, nodes))  # noqa: B023 - awaited here
            except Exception:
                log.exception("repair entries not filed", count=len(rows))
                return

    def _add(self, conn: Connection, rows: list[RepairRow], nodes: dict[ShardId, NodeId]) -> None:
        repairs.add(conn, [row for row in rows if self._still_there(conn, row, nodes)])

    def _still_there(self, conn: Connection, row: RepairRow, nodes: dict[ShardId, NodeId]) -> bool:
        found = blobs.chunks(conn, row.blob)
        if found is None or found[0].refs == 0:
            return False
        placement = self._topology.placement(found[1][row.chunk].placement)
        return placement.nodes[row.shard_index] == nodes[ShardId(row.blob, row.chunk, row.shard_index)]
