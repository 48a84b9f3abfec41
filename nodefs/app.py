"""The node host: opens every node folder, serves them on one socket, keeps their indexes flushed and space given back.

A node whose folder is unusable is down with a reason and does not keep the others from serving. Stop: no new requests,
the rounds in hand end, indexes are flushed. Crash: see store.py and recovery.py; the socket file is made anew at start.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.ids import NodeId
from cyxcloud.core.worker import Runner
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import node_message
from cyxcloud.wire.lending import FEATURE_LEND, lending_socket
from cyxcloud.wire.shardhost import NodeInfo
from cyxcloud.wire.status import NodeState
from nodefs.commit import Committer
from nodefs.folder import FolderUnusable, NodeFolder, open_folder, read_marker
from nodefs.host import HostConnection, ShardServer
from nodefs.lending import LendingDesk
from nodefs.recovery import open_store
from nodefs.space import DiskSpace
from nodefs.store import NodeStore
from nodefs.upkeep import Upkeep

log = structlog.get_logger(__name__)

# Cold reads wait for the disk in these; the disk orders them.
_READ_THREADS = 8
# The commit thread and the event loop hand the interpreter to each other many times a round; 5 ms would be most of it.
_SWITCH_SECONDS = 0.0005


class NodeHost:
    def __init__(self, folders: Sequence[Path], socket: Path, *, clock: Clock | None = None, disk: Disk = DISK) -> None:
        self._folders = folders
        self._socket = socket
        self._clock = clock or SystemClock()
        self._disk = disk
        self._down: list[NodeInfo] = []
        self.stores: list[NodeStore] = []
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        _raise_file_limit()
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="read")
        spaces: dict[int, DiskSpace] = {}
        try:
            await loop.run_in_executor(threads, self._open_all, spaces)
            committers = {device: Committer(loop, space, self._clock, self._disk) for device, space in spaces.items()}
            for committer in committers.values():
                committer.start()
            try:
                await self._serve(ShardServer(self.stores, committers, self._infos, self._clock, threads), committers)
            finally:
                for committer in committers.values():
                    committer.stop()
        finally:
            threads.shutdown()
            for store in self.stores:
                _close(store)

    async def _serve(self, server: ShardServer, committers: dict[int, Committer]) -> None:
        loop = asyncio.get_running_loop()
        for store in self.stores:
            store.on_down = lambda down: _went_down(loop, server, down)
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        lending = self._lend(server)
        listening = await loop.create_unix_server(lambda: HostConnection(server), str(self._socket))
        self._socket.chmod(0o600)
        upkeep = Runner([Upkeep(self.stores, committers, self._clock)], self._clock)
        try:
            self.ready.set()
            await upkeep.run()
        finally:
            listening.close()
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
            desk = LendingDesk(lending_socket(self._socket), server.stores, server.threads)
        except OSError as error:
            log.warning("packs are not lent", reason=str(error))
            return None
        server.features = (*server.features, FEATURE_LEND)
        return asyncio.create_task(desk.serve())

    def _open_all(self, spaces: dict[int, DiskSpace]) -> None:
        """The socket answers only when every node is ready, so that no node looks lost while it recovers."""
        seen: set[NodeId] = set()
        for path in self._folders:
            try:
                folder = open_folder(path)
                if folder.identity.node_id in seen:
                    raise FolderUnusable(f"{path}: a copy of a node that is served already")  # noqa: TRY301
                self.stores.append(self._open_one(folder, spaces))
                seen.add(folder.identity.node_id)
            except (FolderUnusable, OSError, sqlite3.Error) as error:
                log.error("node is down", folder=str(path), reason=str(error))  # noqa: TRY400 - no fault of ours
                self._down.append(_down_info(path, str(error)))

    def _open_one(self, folder: NodeFolder, spaces: dict[int, DiskSpace]) -> NodeStore:
        device = self._disk.stat(folder.path).st_dev
        space = spaces.get(device) or DiskSpace(folder.path, self._clock, self._disk)
        store, _ = open_store(folder, space, self._clock, self._disk)
        spaces[device] = space
        space.sharers += 1
        return store

    def _infos(self) -> list[pb.NodeInfo]:
        return [node_message(info) for info in (*(store.info() for store in self.stores), *self._down)]


def _went_down(loop: asyncio.AbstractEventLoop, server: ShardServer, store: NodeStore) -> None:
    """From any thread."""
    log.error("node went down", node=store.folder.marker.name, reason=store.down_reason)
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        loop.call_soon_threadsafe(server.announce)


def _close(store: NodeStore) -> None:
    try:
        store.close()
    except (sqlite3.Error, OSError) as error:
        log.warning("index not flushed; the next start reads the packs' tails", error=str(error))


def _down_info(path: Path, reason: str) -> NodeInfo:
    """With what can still be read of it."""
    try:
        marker = read_marker(path)
        name, node_id, incarnation = marker.name, marker.node_id, marker.incarnation
    except FolderUnusable:
        name, node_id, incarnation = path.name, NodeId(b""), b""
    return NodeInfo(node_id, name, 0, NodeState.DOWN, incarnation, 0, 0, 0, 0, reason)


def _raise_file_limit() -> None:
    """A pack a gigabyte stays open on every node."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
