"""`cyxcloud node run`: one node on its provider's box, served over TLS to the fleet that it joined.

Opens its folder as a local host would, listens, reports, renews its certificate. A fleet that is away stops nothing:
shards are served as long as the certificates last. Stopped in order it takes no new requests, ends the rounds in hand,
flushes its index and tells the fleet.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import structlog

from cyxcloud.core.certificates import TlsIdentity
from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.ids import NodeId
from cyxcloud.core.settings import ScrubSettings
from cyxcloud.core.worker import Runner
from cyxcloud.wire.heartbeat import Answer
from nodefs import tls
from nodefs.app import READ_THREADS, SWITCH_SECONDS, raise_file_limit
from nodefs.denied import Denied
from nodefs.dialling import Dialling
from nodefs.evidence import EvidenceLog
from nodefs.fleetfolder import DENIED, REFUSED, SEQUENCE, read_fleet, read_identity
from nodefs.folder import open_folder
from nodefs.health import Limits
from nodefs.healthwatch import HealthWatch
from nodefs.heartbeat import FleetAddress, HeartbeatSender
from nodefs.host import ShardServer
from nodefs.rack import Rack
from nodefs.renewal import Renewal
from nodefs.scrubbing import Scrubbing
from nodefs.selfreport import SelfReport
from nodefs.sequence import Sequence
from nodefs.threads import ReadThreads
from nodefs.throttle import Line
from nodefs.tls import Doorman, TlsConnection
from nodefs.upkeep import Upkeep

log = structlog.get_logger(__name__)


class RemoteNode:
    """Raises FolderUnusable where `root` is no node of a fleet."""

    def __init__(self, root: Path, *, clock: Clock | None = None, disk: Disk = DISK) -> None:
        self._root = root
        self._clock, self._disk = clock or SystemClock(), disk
        self._folder = open_folder(root)
        self._fleet = read_fleet(root)
        self._tls = read_identity(root, self._folder.identity)
        self._limits = Limits()
        self.rack = Rack(self._clock, self._limits, disk, scrub_seconds=ScrubSettings().interval)
        self._line = Line.of(self._folder.bandwidth_in, self._folder.bandwidth_out, self._clock)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        sys.setswitchinterval(SWITCH_SECONDS)
        raise_file_limit()
        threads = ReadThreads(READ_THREADS)
        try:
            await self.rack.open_all([self._root])
            server = ShardServer(self.rack, self._clock, threads)
            self.rack.changed = server.announce
            await self._serve(server, threads)
        finally:
            threads.shutdown()
            self.rack.close()

    async def _serve(self, server: ShardServer, threads: ReadThreads) -> None:
        denied = Denied(self._root / DENIED, self._fleet.url)
        renewal = Renewal(self._root, self._fleet.url, self._tls, self._clock, self._renewed)
        upkeep = (
            Upkeep(self.rack),
            Scrubbing(self.rack, self._disk),
            HealthWatch(self.rack, self._limits, threads.renew, self._disk),
        )
        evidence = EvidenceLog(self._root / REFUSED, self._clock, threads)
        doorman = Doorman(self._folder.marker.cluster_id, evidence, lambda: denied.keys)
        dialling = Dialling(server, doorman, lambda: self._tls, self._line)
        sender = self._sender(server, denied, dialling)
        listening = None
        if self._fleet.listen:
            listening = await tls.listen(self._fleet.listen, server, doorman, lambda: self._tls, self._line)
        log.info("node serves", node=self._folder.marker.name, address=self._fleet.listen, fleet=self._fleet.url)
        try:
            self.ready.set()
            await Runner((*upkeep, sender, renewal), self._clock).run()
        finally:
            if listening is not None:
                listening.close()
            await sender.end()
            for worker in upkeep:
                await worker.end()
            dialling.close()
            for connection in list(server.connections):
                if connection.transport is not None:
                    connection.transport.close()

    def _renewed(self, identity: TlsIdentity) -> None:
        self._tls = identity

    def _sender(self, server: ShardServer, denied: Denied, dialling: Dialling) -> HeartbeatSender:
        def peers() -> list[NodeId]:
            found = [each.certified for each in server.connections if isinstance(each, TlsConnection)]
            return [peer.node_id for peer in found if peer is not None]

        def answered(answer: Answer) -> None:
            denied.heard(answer.denied_epoch, self._tls)
            if not self._fleet.listen:
                dialling.told(answer.dial_addresses)

        node = self._folder.identity
        return HeartbeatSender(
            FleetAddress(self._fleet.url),
            node,
            lambda: self._tls,
            report=SelfReport(node.node_id, self.rack, server.meter, self._line, peers),
            sequence=Sequence(self._root / SEQUENCE, self._disk),
            clock=self._clock,
            on_answer=answered,
        )
