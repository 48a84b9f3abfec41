"""A store of the coordinator's own, for the objects that it writes itself: snapshots, inventories, access logs.

It has a write session and a small data plane. The session lives as long as the process, beaten whenever the store is
asked for and, while something is written, by `kept`. Where it was closed all the same another is opened for the next
object, and the commits of the running one fail.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import AccountId, IdSource, SessionNumber
from cyxcloud.meta import cluster
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.room import Room
from cyxcloud.meta.rows import BucketRow
from cyxcloud.meta.writer import Writer
from cyxcloud.objects import bucket_config, encryption, put
from cyxcloud.objects.attributes import EMPTY, Attributes
from cyxcloud.objects.encryption import BUCKET_ENCRYPTION
from cyxcloud.objects.given_body import GivenBody, Pieces
from cyxcloud.objects.kms import Kms, NoKeys
from cyxcloud.objects.put import Stored, Target
from cyxcloud.objects.session import HeldSession
from cyxcloud.objects.store import DAY_MS, INLINE_BYTES, Store, StoreClock
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

# Three chunks under way, as plaintext and as shards: what one such store holds in memory.
RECEIVING_BYTES = 12 << 20
SENDING_BYTES = 18 << 20
READING_BYTES = 12 << 20
THREADS = 2
FOLLOW_SECONDS = 1.0
# What who follows the bucket is told of it.
BY_THE_STORE = Cause("ObjectCreated:Put", "s3.amazonaws.com")


class ObjectStore:
    """`role` names the session. With `inline_bytes` 0 no body becomes a row, be it ever so small."""

    def __init__(
        self,
        *,
        role: str,
        hosts: Sequence[ShardHost],
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        monotonic: Clock,
        wrapping: Wrapping,
        delete_grace_seconds: float,
        inline_bytes: int = INLINE_BYTES,
        day_ms: int = DAY_MS,
        kms: Kms | None = None,
        region: str = "us-east-1",
    ) -> None:
        self._role, self._reader, self._writer, self._clock, self._monotonic = role, reader, writer, clock, monotonic
        self._host_map = HostMap(monotonic, hosts)
        self._pool = PlacementPool(self._host_map)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=role)
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
        self._delete_grace_seconds, self._inline_bytes = delete_grace_seconds, inline_bytes
        self._day_ms = day_ms
        self._kms, self._region = kms or NoKeys(), region
        self._session = HeldSession(writer, role, clock.now_ms)
        self._opening = asyncio.Lock()
        self._opened: tuple[SessionNumber, Store] | None = None

    async def ready(self) -> Store:
        """With an open session, and all that the coordinator has published by now."""
        async with self._opening:
            await self._session.keep(self._monotonic.monotonic())
            number = await self._session.open()
            if self._opened is None or self._opened[0] != number:
                self._opened = number, self._store_of(number)
        self._follow()
        return self._opened[1]

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Inside, hosts and placements are followed and the session is beaten; after a failure it is looked at again
        before anything else."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        except BaseException:
            self._session.doubt()
            raise
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    async def put_object(
        self,
        bucket: BucketRow,
        key: bytes,
        body: bytes | Pieces,
        account: AccountId,
        attributes: Attributes = EMPTY,
        *,
        also: Callable[[Connection], None] | None = None,
    ) -> Stored:
        """As a request would store it: durable, encrypted as its bucket does by default, and the key's current version.
        Whether it may be put there is for the caller to ask first; `also` is done in its transaction. Raises what
        `put.put_object` raises, KmsKeyNotFound and KmsKeyDisabled."""
        store = await self.ready()
        configured = bucket_config.read(self._reader, bucket.id, BUCKET_ENCRYPTION)
        sealing = await encryption.by_default(store, configured, self._region)
        target = Target(bucket.id, key, account, cause=BY_THE_STORE, sealing=sealing)
        async with self.kept():
            return await put.put_object(store, target, GivenBody(body), attributes, also=also)

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
            kms=self._kms,
            clock=self._store_clock,
            room=Room(self._writer.path.parent),
            inline_bytes=self._inline_bytes,
            delete_grace_seconds=self._delete_grace_seconds,
            day_ms=self._day_ms,
        )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            self._follow()
            if not await self._session.keep(self._monotonic.monotonic()):
                log.warning("the write session was closed", role=self._role)
                return

    def _follow(self) -> None:
        self._store_clock.follow(self._clock.now_ms())
        self._host_map.refresh()
        epochs = cluster.epochs(self._reader)
        if epochs.topology != self._epochs.topology:
            self._topology.refresh()
        if epochs.access != self._epochs.access:
            self._kms.forget()
        self._epochs = epochs
