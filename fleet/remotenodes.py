"""What the coordinator knows of the nodes on other boxes: their heartbeats, and the connections to their hosts.

Each second all of them are looked at, so that a look that finds nothing new must cost next to nothing: what was seen
holds until a heartbeat comes, the host says something else, the row is another, or the silence has lasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta.rows import NodeRow
from cyxcloud.wire.shardhost import NodeInfo, ShardHost
from fleet.heartbeats import Beat, Heartbeats
from fleet.liveness import Limits
from fleet.policy import VersionPolicy
from fleet.remotestate import Seen, Told, holds_until_ms, seen
from fleet.storeclock import CoordinatorClock

Hosts = Callable[[], Mapping[NodeId, ShardHost]]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen, and what of; by identity, since rows, beats and infos are replaced, never changed."""

    row: NodeRow
    beat: Beat | None
    info: NodeInfo | None
    refusal: str
    until_ms: float
    seen: Seen

    def holds(self, row: NodeRow, beat: Beat | None, info: NodeInfo | None, refusal: str) -> bool:
        return self.row is row and self.beat is beat and self.info is info and self.refusal == refusal


class RemoteNodes:
    """`hosts`: by the id that each one's certificate names; it is believed about that node and no other."""

    def __init__(self, hosts: Hosts, heartbeats: Heartbeats, clock: CoordinatorClock, settings: FleetSettings) -> None:
        self._hosts, self._heartbeats, self._clock = hosts, heartbeats, clock
        self._limits, self._versions = Limits.of(settings), VersionPolicy.of(settings)
        self._unreached_since: dict[NodeId, int] = {}
        self._looks: dict[NodeNumber, _Look] = {}

    def look(self, rows: Iterable[NodeRow]) -> list[tuple[NodeRow, Seen]]:
        """The state of each at this moment."""
        now_ms, hosts, before = self._heartbeats.monotonic_ms(), self._hosts(), self._looks
        self._looks = {}
        for row in rows:
            beat, refusal = self._heartbeats.last_of(row.number), self._heartbeats.refusal_of(row.number)
            host = hosts.get(row.node_id)
            info = host.nodes.get(row.node_id) if host is not None and host.connected else None
            look = before.get(row.number)
            if look is None or now_ms >= look.until_ms or not look.holds(row, beat, info, refusal):
                told = self._told(row, beat, info, refusal, now_ms)
                found = seen(row, told, self._limits, self._versions)
                look = _Look(row, beat, info, refusal, holds_until_ms(told, self._limits), found)
            self._looks[row.number] = look
        return [(look.row, look.seen) for look in self._looks.values()]

    def _told(self, row: NodeRow, beat: Beat | None, info: NodeInfo | None, refusal: str, now_ms: int) -> Told:
        since_ms = now_ms
        if info is None:
            since_ms = self._unreached_since.setdefault(row.node_id, now_ms)
        else:
            self._unreached_since.pop(row.node_id, None)
        return Told(
            beat=beat,
            refusal=refusal,
            info=info,
            unreachable_ms=now_ms - since_ms,
            listening_since_ms=self._heartbeats.listening_since_ms,
            now_ms=now_ms,
            store_ms=self._clock.now_ms(),
        )
