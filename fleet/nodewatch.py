"""Watches the hosts and publishes what they say: node states, and the pool that writers pick from.

The hosts of this box are asked each second; of nodes on other boxes heartbeats and their connections tell. A node that
is down, full or whose host is gone is out of the pool with the next step, so within two seconds; it comes back when it
is well again. Where too few nodes are left for any pool, the last one stays and writers refuse by themselves.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import cluster, node_events, nodes, placements
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import GONE, UP, NodeRow, PlacementState
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.shardhost import NodeInfo, ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, NodeState
from fleet.placement.candidate import Candidate, pool_candidates
from fleet.publishing import lacks_a_pool, publish_pools, reputations
from fleet.remotenodes import RemoteNodes
from fleet.remotestate import Seen
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

WATCH_SECONDS = 1.0
# Sizes are for people to look at; writing them each second would be a commit a second for nothing.
SIZES_SECONDS = 30.0
# Hosts that start together with the coordinator get this long before they count as gone.
PATIENCE_SECONDS = 10.0
FIRST_LOOK_SECONDS = 0.1
CHANGED = "state"  # the kind of a node's event
_STATES = {NodeState.UP: UP, NodeState.DOWN: "down", NodeState.READ_ONLY: "read-only", NodeState.LOST: "lost"}


class NodeWatch:
    """`hosts`: those of this box; `remote`: what is known of the nodes on others."""

    name = "node-watch"

    def __init__(
        self,
        hosts: Sequence[ShardHost],
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        remote: RemoteNodes | None = None,
    ) -> None:
        self._hosts, self._reader, self._writer, self._clock = hosts, reader, writer, clock
        self._remote = remote
        self._published: list[Candidate] | None = None
        self._topology = -1
        self._rows: list[NodeRow] = []
        self._random = random.SystemRandom()
        self._sizes_at = 0.0
        self._patient_until: float | None = None

    async def step(self, now: float) -> Did | Idle:
        if self._patient_until is None:
            self._patient_until = now + PATIENCE_SECONDS
        if all(host.connected for host in self._hosts):
            self._patient_until = now  # all have started: one that goes now is gone
        elif now < self._patient_until:
            return Idle(now + FIRST_LOOK_SECONDS)
        told = await self._ask_all()
        fresh = self._read_rows(now)
        infos = _by_node(told, self._rows)
        changed = self._changed(infos)
        if changed or fresh:
            await self._publish(changed)
        if now >= self._sizes_at:
            self._sizes_at = now + SIZES_SECONDS
            await self._note_sizes(self._rows, infos)
        return Idle(now + WATCH_SECONDS)

    def _read_rows(self, now: float) -> bool:
        """Only when something changed in them: ten thousand take as long to read as all else of a step."""
        topology = cluster.epochs(self._reader).topology
        if topology == self._topology and now < self._sizes_at:
            return False
        self._topology = topology
        self._rows = [row for row in nodes.read_all(self._reader) if row.state != GONE]
        return True

    async def _ask_all(self) -> list[NodeInfo]:
        answers = await asyncio.gather(*(self._ask(host) for host in self._hosts))
        return [info for answer in answers for info in answer]

    async def _ask(self, host: ShardHost) -> list[NodeInfo]:
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                return await host.stats()
        except (HostUnavailable, HostRefused, TimeoutError):
            return []

    def _is_stale(self, candidates: list[Candidate]) -> bool:
        """Whether somebody else changed who may be in the pool; at the first look, whether that was published."""
        if self._published is not None:
            return candidates != self._published
        if lacks_a_pool(self._reader):
            return True
        shut = {node.number for node in candidates if not node.available}
        return any(
            not shut.isdisjoint(each.nodes)
            for each in placements.read_all(self._reader)
            if each.state is PlacementState.OPEN
        )

    def _changed(self, infos: Mapping[NodeId, NodeInfo]) -> dict[NodeNumber, NodeRow]:
        """The rows that are to be other ones, as they are to be."""
        looked = [(row, _seen(infos.get(row.node_id))) for row in self._rows if not row.is_remote]
        if self._remote is not None:
            looked += self._remote.look([row for row in self._rows if row.is_remote])
        now_ms = self._clock.now_ms()
        return {row.number: _updated(row, seen, now_ms) for row, seen in looked if not seen.is_of(row)}

    async def _publish(self, changed: Mapping[NodeNumber, NodeRow]) -> None:
        rows = [changed.get(row.number, row) for row in self._rows]
        candidates = pool_candidates(rows, reputations(self._reader))
        if changed or self._is_stale(candidates):
            for row in changed.values():
                log.warning("node changed", node=row.name, state=row.state, reason=row.reason)
            await self._writer.submit(lambda conn: self._write(conn, changed.values(), rows))
        self._published = candidates

    def _write(self, conn: Connection, changed: Iterable[NodeRow], rows: Sequence[NodeRow]) -> None:
        now_ms = self._clock.now_ms()
        for row in changed:
            if nodes.set_state(conn, row.number, row.state, row.reason, since_ms=row.since_ms):
                node_events.record(conn, row.number, now_ms, CHANGED, {"state": row.state, "reason": row.reason})
        publish_pools(conn, rows, self._random)
        cluster.bump(conn, Epoch.TOPOLOGY)

    async def _note_sizes(self, rows: Sequence[NodeRow], infos: dict[NodeId, NodeInfo]) -> None:
        now_ms = self._clock.now_ms()

        def note(conn: Connection) -> None:
            for row in rows:
                info = infos.get(row.node_id)
                if info is not None and not row.is_remote:
                    nodes.set_seen(
                        conn,
                        row.number,
                        total_bytes=info.total_bytes,
                        used_bytes=info.used_bytes,
                        free_bytes=info.free_bytes,
                        shard_count=info.shard_count,
                        seen_at_ms=now_ms,
                    )

        await self._writer.submit(note)


def _by_node(told: Sequence[NodeInfo], rows: Sequence[NodeRow]) -> dict[NodeId, NodeInfo]:
    """A folder that was missing when its host started is told of by its name alone, which is its node's."""
    nameless = {info.name: info for info in told if not info.node_id}
    by_name = {row.node_id: nameless[row.name] for row in rows if row.name in nameless}
    return by_name | {info.node_id: info for info in told if info.node_id}


def _seen(info: NodeInfo | None) -> Seen:
    if info is None:
        return Seen("down", "its host does not answer")
    return Seen(_STATES[info.state], info.reason)


def _updated(row: NodeRow, seen: Seen, now_ms: int) -> NodeRow:
    since_ms = row.since_ms if row.state == seen.state else now_ms
    return replace(row, state=seen.state, reason=seen.reason, since_ms=since_ms)
