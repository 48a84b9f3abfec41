"""What the coordinator knows of the nodes on other boxes: their heartbeats, and the connections to their hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cyxcloud.core.ids import NodeId
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta.rows import NodeRow
from cyxcloud.wire.shardhost import NodeInfo, ShardHost
from fleet.heartbeats import Heartbeats
from fleet.liveness import Limits
from fleet.policy import VersionPolicy
from fleet.remotestate import Seen, Told, seen
from fleet.storeclock import CoordinatorClock

Hosts = Callable[[], Mapping[NodeId, ShardHost]]


class RemoteNodes:
    """`hosts`: by the id that each one's certificate names; it is believed about that node and no other."""

    def __init__(self, hosts: Hosts, heartbeats: Heartbeats, clock: CoordinatorClock, settings: FleetSettings) -> None:
        self._hosts, self._heartbeats, self._clock = hosts, heartbeats, clock
        self._limits, self._versions = Limits.of(settings), VersionPolicy.of(settings)
        self._unreached_since: dict[NodeId, int] = {}

    def seen(self, row: NodeRow) -> Seen:
        """Its state at this moment."""
        now_ms = self._heartbeats.monotonic_ms()
        info = self._info(row.node_id)
        if info is None:
            since_ms = self._unreached_since.setdefault(row.node_id, now_ms)
        else:
            self._unreached_since.pop(row.node_id, None)
            since_ms = now_ms
        told = Told(
            beat=self._heartbeats.last_of(row.number),
            refusal=self._heartbeats.refusal_of(row.number),
            info=info,
            unreachable_ms=now_ms - since_ms,
            listening_since_ms=self._heartbeats.listening_since_ms,
            now_ms=now_ms,
            store_ms=self._clock.now_ms(),
        )
        return seen(row, told, self._limits, self._versions)

    def _info(self, node: NodeId) -> NodeInfo | None:
        host = self._hosts().get(node)
        return host.nodes.get(node) if host is not None and host.connected else None
