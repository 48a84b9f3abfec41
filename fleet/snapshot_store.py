"""The store as the snapshots' writer sees it: a write session and a small data plane of the coordinator's own.

The session lives as long as the process, beaten by every step and, while a snapshot runs, by `kept`. Where it was
closed all the same another is opened for the next snapshot, and the commits of the running one fail.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import IdSource, SessionNumber
from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.room import Room
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.session import BEAT_SECONDS, beat, open_session
from cyxcloud.objects.store import Store, StoreClock
from cyxcloud.objects.topology import Topology
from cyxcloud.objects.wrapping import Wrapping
from cyxcloud.shards.budget import ByteBudget
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.placement import PlacementPool
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.reader import ChunkReader
from cyxcloud.wire.shardhost import ShardHost
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

# Three chunks under way, as plaintext and as shards: what a snapshot holds in memory.
RECEIVING_BYTES = 12 << 20
SENDING_BYTES = 18 << 20
READING_BYTES = 12 << 20
THREADS = 2
FOLLOW_SECONDS = 1.0


class SnapshotStore:
    def __init__(
        self,
        *,
        hosts: Sequence[ShardHost],
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        monotonic: Clock,
        wrapping: Wrapping,
        delete_grace_seconds: float,
    ) -> None:
        self._reader, self._writer, self._clock, self._monotonic = reader, writer, clock, monotonic
        self._host_map = HostMap(monotonic, hosts)
        self._pool = PlacementPool(self._host_map)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="snapshot")
        self._plane = DataPlane(
            hosts=self._host_map,
            pool=self._pool,
            threads=self._threads,
            clock=monotonic,
            receiving=ByteBudget(RECEIVING_BYTES),
            sending=ByteBudget(SENDING_BYTES),
            reading=ByteBudget(READING_BYTES),
        )
        self._topology = Topology(reader, self._pool)
        self._epochs = cluster.epochs(reader)
        self._store_clock = StoreClock(monotonic)
        self._wrapping = wrapping
        self._delete_grace_seconds = delete_grace_seconds
        self._session: SessionNumber | None = None
        self._beat_at = 0.0
        self._store: Store | None = None

    async def ready(self) -> Store:
        """With an open session, and all that the coordinator has published by now."""
        now = self._monotonic.monotonic()
        if self._session is None or (now >= self._beat_at and not await beat(self._writer, self._session)):
            self._session = await open_session(self._writer, "snapshot", self._clock.now_ms())
            self._store = self._store_of(self._session)
        self._beat_at = now + BEAT_SECONDS
        self._follow()
        assert self._store is not None
        return self._store

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Inside, hosts and placements are followed and the session is beaten; after a failure it is looked at again
        before anything else."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        except BaseException:
            self._beat_at = 0.0
            raise
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    def close(self) -> None:
        self._threads.shutdown()

    def _store_of(self, session: SessionNumber) -> Store:
        return Store(
            reader=self._reader,
            writer=self._writer.bound_to(session),
            ids=IdSource(session),
            plane=self._plane,
            chunk_reader=ChunkReader(self._plane, lambda _shard, _node, _fault: None),
            topology=self._topology,
            wrapping=self._wrapping,
            clock=self._store_clock,
            room=Room(self._writer.path.parent),
            inline_bytes=0,
            delete_grace_seconds=self._delete_grace_seconds,
        )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            self._follow()
            if self._session is not None and self._monotonic.monotonic() >= self._beat_at:
                self._beat_at = self._monotonic.monotonic() + BEAT_SECONDS
                if not await beat(self._writer, self._session):
                    log.warning("the snapshot's write session was closed", session=self._session)
                    self._session = None
                    return

    def _follow(self) -> None:
        self._store_clock.follow(self._clock.now_ms())
        self._host_map.refresh()
        epochs = cluster.epochs(self._reader)
        if epochs.topology != self._epochs.topology:
            self._topology.refresh()
        self._epochs = epochs
