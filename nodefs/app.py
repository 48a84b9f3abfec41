"""The node host: opens every node folder, serves them on one socket, keeps their indexes flushed and space given back.

A node whose folder is unusable is down with a reason and does not keep the others from serving. Stop: no new requests,
the rounds in hand end, indexes are flushed. Crash: see store.py and recovery.py; the socket file is made anew at start.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.settings import ScrubSettings
from cyxcloud.core.worker import Runner
from cyxcloud.wire.lending import FEATURE_LEND, lending_socket
from cyxcloud.wire.sharing import FEATURE_SHARE
from nodefs.added import read_added, remember
from nodefs.health import Limits
from nodefs.healthwatch import HealthWatch
from nodefs.host import HostConnection, ShardServer
from nodefs.lending import LendingDesk
from nodefs.rack import Rack
from nodefs.scrubbing import Scrubbing
from nodefs.threads import ReadThreads
from nodefs.upkeep import Upkeep

log = structlog.get_logger(__name__)

# Cold reads wait for the disk in these; the disk orders them.
READ_THREADS = 8
# The commit thread and the event loop hand the interpreter to each other many times a round; 5 ms would be most of it.
SWITCH_SECONDS = 0.0005


class NodeHost:
    def __init__(
        self,
        folders: Sequence[Path],
        socket: Path,
        *,
        clock: Clock | None = None,
        disk: Disk = DISK,
        scrub: ScrubSettings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._folders = folders
        self._socket = socket
        self._clock = clock or SystemClock()
        self._disk = disk
        self._limits = limits or Limits()
        self.rack = Rack(self._clock, self._limits, disk, scrub_seconds=(scrub or ScrubSettings()).interval)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        sys.setswitchinterval(SWITCH_SECONDS)
        raise_file_limit()
        threads = ReadThreads(READ_THREADS)
        try:
            added = [folder for folder in read_added(self._socket) if folder not in self._folders]
            await self.rack.open_all([*self._folders, *added])
            self.rack.on_new = lambda folder: remember(self._socket, folder)
            await self._serve(ShardServer(self.rack, self._clock, threads), threads)
        finally:
            threads.shutdown()
            self.rack.close()

    async def _serve(self, server: ShardServer, threads: ReadThreads) -> None:
        loop = asyncio.get_running_loop()
        self.rack.changed = server.announce
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        lending = self._lend(server)
        listening = await loop.create_unix_server(lambda: HostConnection(server), str(self._socket))
        self._socket.chmod(0o600)
        workers = (
            Upkeep(self.rack),
            Scrubbing(self.rack, self._disk),
            HealthWatch(self.rack, self._limits, threads.renew, self._disk),
        )
        try:
            self.ready.set()
            await Runner(workers, self._clock).run()
        finally:
            listening.close()
            for worker in workers:
                await worker.end()
            if lending is not None:
                lending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await lending
            for connection in list(server.connections):
                if connection.transport is not None:
                    connection.transport.close()

    def _lend(self, server: ShardServer) -> asyncio.Task[None] | None:
        """Lend packs to who is on this box, where that can be; without it reads only cost more."""
        try:
            desk = LendingDesk(lending_socket(self._socket), server.stores, server.threads, server.memories)
        except OSError as error:
            log.warning("packs are not lent", reason=str(error))
            return None
        server.features = (*server.features, FEATURE_LEND, FEATURE_SHARE)
        return asyncio.create_task(desk.serve())


def raise_file_limit() -> None:
    """A pack a gigabyte stays open on every node."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
