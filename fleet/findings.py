"""Files what the nodes found to be bad by themselves, so that the mover makes it good.

The numbers of findings rise per node; the last one filed is kept in memory only, so that a coordinator that starts
files everything again: filing twice changes nothing, and the mover drops what turns out whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from cyxcloud.core.ids import NodeId, ShardId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import RepairRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, ScrubAction
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

REASON = "scrub"
ASK_SECONDS = 5.0
# One transaction's worth.
PAGE = 1000


class Findings:
    name = "findings"

    def __init__(
        self, hosts: Sequence[ShardHost], writer: Writer, clock: CoordinatorClock, *, page: int = PAGE
    ) -> None:
        self._hosts, self._writer, self._clock, self._page = hosts, writer, clock, page
        self._filed: dict[NodeId, int] = {}

    async def step(self, now: float) -> Did | Idle:
        filed = 0
        for host in self._hosts:
            try:
                filed += await self._ask(host)
            except (HostUnavailable, HostRefused) as error:
                log.info("findings are asked for later", reason=str(error))
        return Did(filed, "filing damage") if filed else Idle(now + ASK_SECONDS)

    async def _ask(self, host: ShardHost) -> int:
        """A page of each node that has found anything new."""
        filed = 0
        for progress in await host.scrub(ScrubAction.STATUS):
            node, after = progress.node_id, self._filed.get(progress.node_id, 0)
            if progress.found == after:
                continue
            answer = await host.findings(node, after, self._page)
            await self._file(answer.shards)
            self._filed[node] = answer.last
            filed += len(answer.shards)
        return filed

    async def _file(self, shards: Sequence[ShardId]) -> None:
        if not shards:
            return
        now_ms = self._clock.now_ms()
        rows = [RepairRow(shard.blob, shard.chunk, shard.index, REASON, now_ms) for shard in shards]
        log.warning("nodes found damage", shards=len(rows))

        def add(conn: Connection) -> None:
            repairs.add(conn, rows)

        await self._writer.submit(add)
