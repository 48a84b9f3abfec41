"""The coordinator's ear for nodes on other boxes: heartbeats, where they come in, and what is seen of their nodes."""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.clock import Clock
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer
from fleet.beatroute import HeartbeatRoute
from fleet.heartbeats import Heartbeats
from fleet.remotenodes import Hosts, RemoteNodes
from fleet.storeclock import CoordinatorClock


@dataclass(frozen=True, slots=True)
class Reporting:
    """`heartbeats` is a worker, `nodes` are for NodeWatch, `route` for the fleet's listener."""

    heartbeats: Heartbeats
    nodes: RemoteNodes
    route: HeartbeatRoute

    @classmethod
    def of(
        cls,
        reader: Connection,
        writer: Writer,
        store_clock: CoordinatorClock,
        clock: Clock,
        settings: FleetSettings,
        *,
        hosts: Hosts,
        dial_addresses: tuple[str, ...] = (),
    ) -> Reporting:
        heartbeats = Heartbeats(reader, writer, store_clock, clock, settings, dial_addresses=lambda: dial_addresses)
        nodes = RemoteNodes(hosts, heartbeats, store_clock, settings)
        return cls(heartbeats, nodes, HeartbeatRoute(heartbeats, clock))
