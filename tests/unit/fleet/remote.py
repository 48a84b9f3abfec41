"""Nodes on other boxes for unit tests: their rows, their heartbeats and what is heard of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import cluster, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NodeRow
from cyxcloud.wire.heartbeat import Answer, Heartbeat, sign_heartbeat
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.shardhost import NodeInfo
from fleet.heartbeats import Heartbeats
from fleet.nodewatch import NodeWatch
from fleet.remotenodes import RemoteNodes
from tests.unit.fleet.conftest import Fleet

SETTINGS = FleetSettings(least_version="0.1")


class SteadyHost(MemoryHost):
    """Says the very same of its nodes until something changes, as a connection's HELLO does."""

    def __init__(self, identity: NodeIdentity, clock: ManualClock) -> None:
        super().__init__([identity], clock=clock)
        self._said: Mapping[NodeId, NodeInfo] = {}

    @property
    def nodes(self) -> Mapping[NodeId, NodeInfo]:
        if super().nodes != self._said:
            self._said = super().nodes
        return self._said


@dataclass(slots=True)
class Box:
    """One provider's box: its node reports what it is told to."""

    number: NodeNumber
    identity: NodeIdentity
    host: MemoryHost
    sequence: int = 0
    sent: list[bytes] = field(default_factory=list)

    def beat(self, now_ms: int, **changes: object) -> bytes:
        self.sequence += 1
        plain = Heartbeat(self.identity.node_id, now_ms, self.sequence, 1000, 400, 600, 10, 7, version="0.1.0")
        self.sent.append(sign_heartbeat(self.identity, replace(plain, **changes)))  # type: ignore[arg-type]
        return self.sent[-1]


@dataclass(slots=True)
class Remote:
    """The fleet's four local nodes, and two of other boxes with the numbers 5 and 6."""

    fleet: Fleet
    boxes: list[Box]
    settings: FleetSettings = SETTINGS
    heartbeats: Heartbeats = field(init=False)
    watch: NodeWatch = field(init=False)

    def __post_init__(self) -> None:
        self.start_coordinator()

    def start_coordinator(self) -> None:
        """Anew: nothing is remembered but what the database holds."""
        fleet = self.fleet
        self.heartbeats = Heartbeats(fleet.reader, fleet.writer, fleet.store_clock, fleet.clock, self.settings)
        hosts = {box.identity.node_id: box.host for box in self.boxes}
        remote = RemoteNodes(lambda: hosts, self.heartbeats, fleet.store_clock, self.settings)
        self.watch = NodeWatch(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, remote)

    def send(self, box: Box, **changes: object) -> Answer:
        return self.heartbeats.take(box.identity.node_id, box.beat(self.fleet.clock.now_ms(), **changes))

    async def look(self) -> None:
        await self.watch.step(self.fleet.clock.monotonic())

    def row(self, box: Box) -> NodeRow:
        return next(row for row in nodes.read_all(self.fleet.reader) if row.number == box.number)

    def told(self, box: Box) -> tuple[str, str]:
        row = self.row(box)
        return row.state, row.reason

    def change(self, box: Box, **changes: object) -> None:
        """As another part of the coordinator would."""
        row = replace(self.row(box), **changes)  # type: ignore[arg-type]

        def write(conn: Connection) -> None:
            nodes.upsert(conn, row)
            cluster.bump(conn, Epoch.TOPOLOGY)

        self.fleet.writer.call(write)


def make_remote(fleet: Fleet, count: int = 2, settings: FleetSettings = SETTINGS) -> Remote:
    boxes: list[Box] = []
    rows: list[NodeRow] = []
    for number in range(5, 5 + count):
        identity = NodeIdentity.generate()
        row = replace(
            fleet.rows[0],
            number=NodeNumber(number),
            node_id=identity.node_id,
            name=f"n{number}",
            disk=f"box{number}",
            host=f"box{number}",
            state="down",
            reason="has just joined",
            address=f"127.0.0.{number}:4001",
            public_key=identity.public_key,
        )
        rows.append(row)
        boxes.append(Box(row.number, identity, SteadyHost(identity, fleet.clock)))

    def write(conn: Connection) -> None:
        for row in rows:
            nodes.upsert(conn, row)
        cluster.bump(conn, Epoch.TOPOLOGY)

    fleet.writer.call(write)
    return Remote(fleet, boxes, settings)
