"""What a node reports of itself: its rack's numbers, its requests' and its box's."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cyxcloud.core.ids import NodeId
from cyxcloud.core.version import SOFTWARE
from cyxcloud.wire.heartbeat import MAX_PEERS, Heartbeat, Serving
from nodefs.meter import Meter
from nodefs.rack import Rack
from nodefs.throttle import Line
from nodefs.vitals import Vitals

_MAX_REASON = 200


class SelfReport:
    """`peers`: the ids of those who are connected just now."""

    def __init__(
        self, node: NodeId, rack: Rack, meter: Meter, line: Line, peers: Callable[[], Iterable[NodeId]]
    ) -> None:
        self._node, self._rack, self._meter, self._line, self._peers = node, rack, meter, line, peers
        self._vitals = Vitals()

    def __call__(self, sequence: int, timestamp_ms: int, state: Serving) -> Heartbeat:
        info = next((info for info in self._rack.infos() if info.node_id == self._node), None)
        store = self._rack.stores.get(self._node)
        load = self._meter.take()
        used = info.used_bytes if info is not None else 0
        return Heartbeat(
            node_id=self._node,
            timestamp_ms=timestamp_ms,
            sequence=sequence,
            # A capacity that was set below what is held already is said to be used up, not more than that.
            total_storage_bytes=max(info.total_bytes, used) if info is not None else 0,
            used_storage_bytes=used,
            free_bytes=info.free_bytes if info is not None else 0,
            reserve_bytes=store.space.reserve_bytes if store is not None else 0,
            shard_count=info.shard_count if info is not None else 0,
            available_bandwidth_bps=self._line.available_bps(),
            avg_latency_ms=load.avg_latency_ms,
            requests_per_minute=load.requests_per_minute,
            cpu_usage_percent=self._vitals.cpu_percent(),
            memory_usage_percent=self._vitals.memory_percent(),
            failed_requests=load.failed,
            peer_ids=tuple(sorted(set(self._peers())))[:MAX_PEERS],
            version=SOFTWARE,
            state=state,
            reason=info.reason[:_MAX_REASON] if info is not None else "is not open",
        )
