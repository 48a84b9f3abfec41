"""The node folders of one host: opened at its start, opened again when they heal.

A folder that cannot be opened keeps its bay with the reason and is never made again. To open a node again, the store
that failed is taken out of service and closed in its commit thread, so that no round has it in hand; then its packs are
read as at a start, and nothing that may not be on the disk is trusted.
Bays change in the event loop only; opening runs in threads of its own, since a disk may hang in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.config import ScrubSettings
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.shardhost import NodeInfo
from cyxcloud.wire.status import HostRefused, NodeState, Status
from nodefs.commit import Committer, TaskJob
from nodefs.folder import FolderLost, FolderUnusable, open_folder, read_marker
from nodefs.recovery import open_store
from nodefs.scrub import Scrubber
from nodefs.space import DiskSpace
from nodefs.store import NodeStore

T = TypeVar("T")
V = TypeVar("V")
log = structlog.get_logger(__name__)

# A read that began before its store was retired has long ended by then.
_CLOSE_PACKS_SECONDS = 60.0
_END_SECONDS = 5.0


@dataclass(slots=True)
class Bay:
    """One folder, and the node in it as far as it is known."""

    path: Path
    store: NodeStore | None = None
    closed: NodeInfo | None = None  # what is told of it while it is not open
    opening: asyncio.Future[NodeInfo] | None = None


class Rack:
    def __init__(self, clock: Clock, disk: Disk = DISK, *, scrub_seconds: float = ScrubSettings().interval) -> None:
        self._clock = clock
        self._scrub_seconds = scrub_seconds
        self._disk = disk
        self._spaces: dict[int, DiskSpace] = {}
        self._retired: list[NodeStore] = []
        self.bays: list[Bay] = []
        self.stores: dict[NodeId, NodeStore] = {}
        self.scrubbers: dict[NodeId, Scrubber] = {}
        self.committers: dict[int, Committer] = {}
        self.changed: Callable[[], None] = lambda: None  # a node's state is another one now; called in the event loop

    async def open_all(self, folders: Sequence[Path]) -> None:
        """The host answers only when every node was tried, so that none looks lost while it recovers."""
        self.bays = [Bay(path) for path in folders]
        for bay in self.bays:
            with contextlib.suppress(HostRefused):
                await self._open(bay)

    async def open_node(self, path: Path) -> NodeInfo:
        """Serve the node in this folder, whether or not it was known before; HostRefused says why not."""
        bay = next((bay for bay in self.bays if bay.path == path), None)
        if bay is None:
            bay = Bay(path)
        if bay.opening is not None:
            return await asyncio.shield(bay.opening)
        if bay.store is not None and not bay.store.down_reason and not _is_adopted(bay.store):
            return bay.store.info()
        info = await self._open(bay)
        if bay not in self.bays:
            self.bays.append(bay)
        return info

    async def _open(self, bay: Bay) -> NodeInfo:
        loop = asyncio.get_running_loop()
        bay.opening = loop.create_future()
        bay.opening.add_done_callback(_looked_at)
        try:
            info = await self._opened(bay)
        except BaseException as error:
            bay.opening.set_exception(error if isinstance(error, Exception) else HostRefused(Status.DOWN, "stopping"))
            raise
        else:
            bay.opening.set_result(info)
            return info
        finally:
            bay.opening = None
            self.changed()

    async def _opened(self, bay: Bay) -> NodeInfo:
        await self._take_out(bay)
        try:
            store = await in_thread(lambda: self._read(bay.path))
        except (FolderUnusable, OSError, sqlite3.Error) as error:
            log.error("node is down", folder=str(bay.path), reason=str(error))  # noqa: TRY400 - no fault of ours
            bay.closed = self._told_of(bay, error)
            raise HostRefused(Status.DOWN, str(error)) from error
        if store.node_id in self.stores:
            store.close()
            reason = f"{bay.path}: a copy of a node that is served already"
            bay.closed = NodeInfo(NodeId(b""), bay.path.name, 0, NodeState.LOST, b"", 0, 0, 0, 0, reason)
            raise HostRefused(Status.DOWN, reason)
        self._put_in(bay, store)
        return store.info()

    def _read(self, path: Path) -> NodeStore:
        """In a thread."""
        folder = open_folder(path)
        device = self._disk.stat(folder.path).st_dev
        space = self._spaces.get(device) or DiskSpace(folder.path, self._clock, self._disk)
        store, _ = open_store(folder, space, self._clock, self._disk)
        return store

    def _put_in(self, bay: Bay, store: NodeStore) -> None:
        loop = asyncio.get_running_loop()
        space = self._spaces.setdefault(store.device, store.space)
        store.space = space
        space.sharers += 1
        if store.device not in self.committers:
            self.committers[store.device] = Committer(loop, space, self._clock, self._disk)
            self.committers[store.device].start()
        store.on_down = lambda down: self._went_down(loop, down)
        bay.store, bay.closed = store, None
        self.scrubbers[store.node_id] = Scrubber(store, self._scrub_seconds, self._clock)
        self.stores[store.node_id] = store

    async def _take_out(self, bay: Bay) -> None:
        store = bay.store
        if store is None:
            return
        bay.closed = replace(store.info(), free_bytes=0)
        bay.store = None
        del self.stores[store.node_id], self.scrubbers[store.node_id]
        self._retired.append(store)
        await self.in_commit_thread(store, store.retire)
        store.space.sharers -= 1
        asyncio.get_running_loop().call_later(_CLOSE_PACKS_SECONDS, self._close_retired, store)

    def _close_retired(self, store: NodeStore) -> None:
        if store in self._retired:
            self._retired.remove(store)
            store.close_packs()

    async def in_commit_thread(self, store: NodeStore, run: Callable[[], None]) -> None:
        """Between two rounds of this node's disk."""
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(_: TaskJob) -> None:
            if not finished.done():
                finished.set_result(None)

        self.committers[store.device].submit(TaskJob(store, run, done))
        await finished

    def infos(self) -> list[NodeInfo]:
        """Of every bay; a folder that tells nothing is told of by its name."""
        told = (bay.store.info() if bay.store is not None else bay.closed for bay in self.bays)
        return [info for info in told if info is not None]

    def close(self) -> None:
        """After the last request: rounds end, indexes are flushed."""
        for committer in self.committers.values():
            committer.stop()
        for store in self.stores.values():
            _close(store)
        for store in self._retired:
            store.close_packs()

    def _went_down(self, loop: asyncio.AbstractEventLoop, store: NodeStore) -> None:
        """From any thread."""
        log.error("node went down", node=store.folder.marker.name, reason=store.down_reason)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(self.changed)

    def _told_of(self, bay: Bay, error: Exception) -> NodeInfo:
        """With what was known of the node, or what can still be read of it."""
        state = NodeState.LOST if isinstance(error, FolderLost) else NodeState.DOWN
        if bay.closed is not None and bay.closed.node_id:
            return replace(bay.closed, state=state, reason=str(error))
        name, node_id, incarnation = bay.path.name, NodeId(b""), b""
        with contextlib.suppress(FolderUnusable):
            marker = read_marker(bay.path)
            if marker.node_id not in self.stores:
                name, node_id, incarnation = marker.name, marker.node_id, marker.incarnation
        return NodeInfo(node_id, name, 0, state, incarnation, 0, 0, 0, 0, str(error))


async def in_thread(run: Callable[[], T]) -> T:
    """A thread for this call alone: where it hangs, nothing waits behind it, the end of the process neither."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            value = run()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            _in_loop(loop, result.set_exception, error, result)
        else:
            _in_loop(loop, result.set_result, value, result)

    threading.Thread(target=work, name="disk", daemon=True).start()
    return await result


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """What is in hand ends before the packs are closed; a disk that hangs is not waited for."""
    left = [task for task in tasks if not task.done()]
    if left:
        await asyncio.wait(left, timeout=_END_SECONDS)


def _in_loop(loop: asyncio.AbstractEventLoop, give: Callable[[T], None], value: T, to: asyncio.Future[V]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(lambda: None if to.done() else give(value))


def _is_adopted(store: NodeStore) -> bool:
    """Whether its marker names another incarnation since it was opened."""
    try:
        return read_marker(store.folder.path).incarnation != store.incarnation
    except FolderUnusable:
        return False


def _looked_at(done: asyncio.Future[NodeInfo]) -> None:
    if not done.cancelled():
        done.exception()


def _close(store: NodeStore) -> None:
    try:
        store.close()
    except (sqlite3.Error, OSError) as error:
        log.warning("index not flushed; the next start reads the packs' tails", error=str(error))
