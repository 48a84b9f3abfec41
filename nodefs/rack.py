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
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.shardhost import NodeInfo
from cyxcloud.wire.status import HostRefused, NodeState, Status
from nodefs.commit import Committer, TaskJob
from nodefs.folder import FolderLost, FolderUnusable, open_folder, read_marker
from nodefs.health import Limits, reopen_seconds
from nodefs.recovery import open_store
from nodefs.scrub import Scrubber
from nodefs.shelf import Shelf
from nodefs.space import DiskSpace
from nodefs.store import NodeStore
from nodefs.threads import in_thread

log = structlog.get_logger(__name__)

# A read that began before its store was retired has long ended by then.
_CLOSE_PACKS_SECONDS = 60.0
# Opening reads tails, or all headers where an index is lost; whoever is not open by then is served later.
_PATIENCE_SECONDS = 20.0
# A node that was well for so long fails of something new.
_SETTLED_SECONDS = 600.0


@dataclass(slots=True)
class Bay:
    """One folder, and the node in it as far as it is known."""

    path: Path
    store: NodeStore | None = None
    closed: NodeInfo | None = None  # what is told of it while it is not open
    opening: asyncio.Future[NodeInfo] | None = None
    emptying: bool = False  # what is under way ends in its being lost
    attempts: int = 0  # at opening it, that did not last
    due_at: float | None = None  # when the next one may be made
    opened_at: float = 0.0


class Rack:
    def __init__(self, clock: Clock, limits: Limits, disk: Disk = DISK, *, scrub_seconds: float) -> None:
        self._clock = clock
        self._limits = limits
        self._scrub_seconds = scrub_seconds
        self._disk = disk
        self._spaces: dict[int, DiskSpace] = {}
        self._retired: list[NodeStore] = []
        self.bays: list[Bay] = []
        self.stores: dict[NodeId, NodeStore] = {}
        self.scrubbers: dict[NodeId, Scrubber] = {}
        self.committers: dict[int, Committer] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self.on_new: Callable[[Path], None] = lambda _: None  # a folder that was not served before
        self.changed: Callable[[], None] = lambda: None  # a node's state is another one now; called in the event loop

    async def open_all(self, folders: Sequence[Path]) -> None:
        """The host answers when every node was tried, so that none looks lost while it recovers; not for ever."""
        self.bays = [Bay(path) for path in folders]
        disks: dict[Path, list[Bay]] = {}
        for bay in self.bays:
            bay.closed = _told(bay.path.name, NodeState.DOWN, "is being opened")
            disks.setdefault(bay.path.parent, []).append(bay)
        for bays in disks.values():
            self._begin(self._open_each(bays))
        if disks:
            await asyncio.wait(set(self._opening), timeout=_PATIENCE_SECONDS)

    async def _open_each(self, bays: Sequence[Bay]) -> None:
        for bay in bays:
            with contextlib.suppress(HostRefused):
                await self._open(bay)

    async def open_node(self, path: Path) -> NodeInfo:
        """Serve the node in this folder, whether or not it was known before; HostRefused says why not."""
        bay = next((bay for bay in self.bays if bay.path == path), None)
        if bay is None:
            bay = Bay(path)
        while bay.opening is not None:
            if not bay.emptying:
                return await asyncio.shield(bay.opening)
            await asyncio.wait([bay.opening])
        store = bay.store
        if store is not None and not store.fault and await in_thread(lambda: _is_as_opened(store, self._disk)):
            return store.info()
        bay.closed = None  # whoever was in it: the caller knows who is now
        info = await self._open(bay)
        if bay not in self.bays:
            self.bays.append(bay)
            self.on_new(path)
        return info

    def lose(self, node: NodeId, reason: str) -> None:
        """Its folder is not its own any more: serve nothing of it, until that is back."""
        bay = next((bay for bay in self.bays if bay.store is not None and bay.store.node_id == node), None)
        if bay is None or bay.opening is not None:
            return
        log.error("node is lost", folder=str(bay.path), reason=reason)
        assert bay.store is not None
        told = replace(bay.store.info(), state=NodeState.LOST, reason=reason, free_bytes=0)
        self._begin(self._emptied(bay, told))
        self.changed()

    async def _emptied(self, bay: Bay, told: NodeInfo) -> None:
        bay.opening = asyncio.get_running_loop().create_future()
        bay.opening.add_done_callback(_looked_at)
        bay.emptying = True
        try:
            await self._take_out(bay, told)
        finally:
            bay.opening.set_exception(HostRefused(Status.DOWN, told.reason))
            bay.opening = bay.due_at = None
            bay.emptying = False

    def mend(self, time: float, well: Collection[int]) -> None:
        """Open again what is due: nodes whose store failed, on disks that are well, and unusable folders."""
        busy = {bay.path.parent for bay in self.bays if bay.opening is not None}
        for bay in self.bays:
            if bay.opening is not None or not self._wants_mending(bay, well):
                continue
            if bay.due_at is None:
                bay.attempts = 0 if time - bay.opened_at > _SETTLED_SECONDS else bay.attempts
                lost = bay.closed is not None and bay.closed.state is NodeState.LOST
                bay.due_at = time + (self._limits.again if lost else reopen_seconds(bay.attempts, self._limits))
            elif time >= bay.due_at and bay.path.parent not in busy:
                busy.add(bay.path.parent)
                bay.due_at = None
                bay.attempts += 1
                self._begin(self._open_each([bay]))

    @staticmethod
    def _wants_mending(bay: Bay, well: Collection[int]) -> bool:
        if bay.store is None:
            return True
        return bool(bay.store.fault) and bay.store.device in well

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

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
        if bay.store is not None:
            await self._take_out(bay, replace(bay.store.info(), state=NodeState.DOWN, free_bytes=0))
        expected = bay.closed.node_id if bay.closed is not None else b""
        try:
            store = await in_thread(lambda: self._read(bay.path, expected))
        except (FolderUnusable, OSError, sqlite3.Error) as error:
            if bay.closed is None or bay.closed.reason != str(error):
                log.error("node is down", folder=str(bay.path), reason=str(error))  # noqa: TRY400 - no fault of ours
            bay.closed = self._told_of(bay, error)
            raise HostRefused(Status.DOWN, str(error)) from error
        if store.node_id in self.stores:
            store.close()
            reason = f"{bay.path}: a copy of a node that is served already"
            bay.closed = _told(bay.path.name, NodeState.LOST, reason)
            raise HostRefused(Status.DOWN, reason)
        self._put_in(bay, store)
        return store.info()

    def _read(self, path: Path, expected: bytes) -> NodeStore:
        """In a thread."""
        folder = open_folder(path)
        if folder.marker.name != path.name and any(bay.path.name == folder.marker.name for bay in self.bays):
            raise FolderLost(f"{path}: a copy of {folder.marker.name}, which has a folder of its own")
        if expected and folder.identity.node_id != expected:
            raise FolderLost(f"{path}: another node stands in its place, {folder.marker.name}")
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
        store.on_change = lambda changed: self._told_by(loop, changed)
        bay.store, bay.closed, bay.opened_at = store, None, loop.time()
        self.scrubbers[store.node_id] = Scrubber(store, self._scrub_seconds, self._clock)
        self.stores[store.node_id] = store

    async def _take_out(self, bay: Bay, told: NodeInfo) -> None:
        """Out of service at once; closed when the rounds that know it have ended."""
        store = bay.store
        assert store is not None
        bay.store, bay.closed = None, told
        del self.stores[store.node_id], self.scrubbers[store.node_id]
        self._retired.append(store)
        store.space.sharers -= 1
        store.on_change = lambda _: None
        await self.in_commit_thread(store, store.retire)
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
        told = (bay.store.info() if bay.store is not None else self._told_closed(bay) for bay in self.bays)
        return [info for info in told if info is not None]

    def _told_closed(self, bay: Bay) -> NodeInfo | None:
        """A folder that is no use but has the marker of a node served elsewhere must not speak for that node."""
        info = bay.closed
        if info is not None and info.node_id in self.stores:
            return replace(info, node_id=NodeId(b""), name=bay.path.name)
        return info

    def close(self) -> None:
        """After the last request: rounds end, indexes are flushed. What hangs is left to the end of the process."""
        hung = {device for device, committer in self.committers.items() if not committer.stop()}
        for store in self.stores.values():
            if store.device not in hung:
                _close(store)
        for store in self._retired:
            if store.device not in hung:
                store.close_packs()

    def _told_by(self, loop: asyncio.AbstractEventLoop, store: Shelf) -> None:
        """From any thread."""
        if store.fault:
            log.error("node failed", node=store.folder.marker.name, reason=store.fault)
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
            if marker.name == bay.path.name:
                node_id, incarnation = marker.node_id, marker.incarnation
        return _told(name, state, str(error), node_id, incarnation)


def _told(name: str, state: NodeState, reason: str, node_id: bytes = b"", incarnation: bytes = b"") -> NodeInfo:
    return NodeInfo(NodeId(node_id), name, 0, state, incarnation, 0, 0, 0, 0, reason)


def _is_as_opened(store: NodeStore, disk: Disk) -> bool:
    """In a thread. Whether the folder and its marker are those that were opened: neither adopted since nor replaced."""
    try:
        status = disk.stat(store.folder.path)
        return (status.st_dev, status.st_ino) == store.place and read_marker(store.folder.path) == store.folder.marker
    except (FolderUnusable, OSError):
        return False


def _looked_at(done: asyncio.Future[NodeInfo]) -> None:
    if not done.cancelled():
        done.exception()


def _close(store: NodeStore) -> None:
    try:
        store.close()
    except (sqlite3.Error, OSError) as error:
        log.warning("index not flushed; the next start reads the packs' tails", error=str(error))
