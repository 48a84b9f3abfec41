"""Wires a gateway worker and serves until it is cancelled. The only place where its parts are built.

The worker holds one write session for its life and says so in a file once it is ready, so that whoever sees it die can
have the session closed. When its session is found closed all the same (this process was stopped for long), it opens
another for the requests that come; those under way are refused when they commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from aiohttp import web

from cyxcloud.core.certificates import Role
from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.durable import write_file
from cyxcloud.core.ids import IdSource, SessionNumber
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster
from cyxcloud.meta.bucket_changes import BucketChanges
from cyxcloud.meta.cluster import Epochs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.room import Room
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.bucket_cache import BucketCache
from cyxcloud.objects.damage import DamageReports
from cyxcloud.objects.hosting import Hosting
from cyxcloud.objects.kms import LocalKms
from cyxcloud.objects.session import BEAT_SECONDS, beat, open_session
from cyxcloud.objects.store import BlobMaps, Store, StoreClock
from cyxcloud.objects.topology import Topology
from cyxcloud.objects.wrapping import Wrapping
from cyxcloud.shards.budget import ByteBudget
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.placement import PlacementPool
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.reader import ChunkReader
from cyxcloud.shards.slots import Slots
from cyxcloud.wire.arrivals import Arrivals
from cyxcloud.wire.certified import Certified, ask_coordinator
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from s3gw.access_log import FLUSH_SECONDS
from s3gw.config import GatewaySpec
from s3gw.credentials import Credentials
from s3gw.pipeline import Gateway
from s3gw.resolve import Resolver
from s3gw.signatures import Door
from s3gw.websites import Websites

log = structlog.get_logger(__name__)

# A worker's whole memory stays below 256 MiB: what it holds of bodies in and out is bounded by these.
RECEIVING_BYTES = 32 << 20
SENDING_BYTES = 32 << 20
READING_BYTES = 64 << 20
# Hashing and coding free the interpreter's lock; more threads than cores only hold more buffers at once.
THREADS = 2
# New nodes, pools and keys are known everywhere within about this time.
POLL_SECONDS = 1.0
HOSTS_SECONDS = 30.0
# aiohttp stops reading from a socket with this much unread; bigger reads cost fewer wake-ups.
READ_BUFFER_BYTES = 256 << 10
# S3 allows 8 KiB of headers in all, and a request line holds a key of 1,024 bytes, each perhaps percent-encoded.
MAX_LINE_BYTES = 16 << 10
MAX_HEADER_BYTES = 16 << 10
BACKLOG = 1024
# Requests leave hardly any cycles behind; the default would look for them every few requests.
COLLECT_AFTER = 20_000


async def run(spec: GatewaySpec) -> None:
    worker = await _Worker.open(spec)
    try:
        await worker.serve()
    finally:
        await worker.close()


@dataclass(slots=True)
class _Worker:
    spec: GatewaySpec
    clock: Clock
    database: Database
    writer: Writer
    reader: Connection
    local: tuple[HostClient, ...]
    hosts: Hosting
    certified: Certified
    arrivals: Arrivals | None
    host_map: HostMap
    threads: ThreadPoolExecutor
    damage: DamageReports
    gateway: Gateway
    session: SessionNumber
    epochs: Epochs

    @classmethod
    async def open(cls, spec: GatewaySpec) -> _Worker:
        clock = SystemClock()
        keyring = Keyring.open(spec.home / "keys")
        database = Database(spec.home / "meta" / "meta.db")
        database.check_revision()
        reader, writer = database.reader(), database.writer()
        writer.start()
        known = cluster.read(reader)
        assert known is not None, "the supervisor makes the store before it starts a worker"
        kept = cluster.clock(reader)
        store_clock = StoreClock(clock, 0 if kept is None else kept[0])
        session = await open_session(writer, "gateway", store_clock.now_ms())
        hello = Hello(role="gateway", cluster_id=known.cluster_id, incarnation=known.incarnation)
        local = tuple(HostClient(path, hello) for path in spec.node_sockets)
        await asyncio.gather(*(host.start(HOSTS_SECONDS) for host in local))
        certified = Certified(Role.GATEWAY, ask_coordinator(spec.control_socket), clock)
        arrivals = Arrivals(certified) if spec.dial_in else None
        hosts = Hosting(reader, local, hello, certified, arrivals)
        await hosts.sync()
        host_map = HostMap(clock, hosts)
        epochs = cluster.epochs(reader)
        pool = PlacementPool(host_map)
        topology, maps = Topology(reader, pool), BlobMaps()
        host_map.far = topology.far_from(spec.region)
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bytes")
        plane = DataPlane(
            hosts=host_map,
            pool=pool,
            threads=threads,
            clock=clock,
            receiving=ByteBudget(RECEIVING_BYTES),
            sending=ByteBudget(SENDING_BYTES),
            reading=ByteBudget(READING_BYTES),
            slots=Slots(SENDING_BYTES),
        )
        damage = DamageReports(writer, topology, maps, store_clock)
        store = Store(
            reader=reader,
            writer=writer.bound_to(session),
            ids=IdSource(session),
            plane=plane,
            chunk_reader=ChunkReader(plane, damage.report),
            topology=topology,
            wrapping=Wrapping(lambda: Keyring.open(spec.home / "keys").wrapping),
            kms=LocalKms(reader, keyring, writer.submit, store_clock.now_ms),
            clock=store_clock,
            room=Room(spec.home / "meta"),
            delete_grace_seconds=spec.delete_grace_seconds,
            day_ms=int(spec.lifecycle.day * 1000),
            buckets=BucketCache(reader, BucketChanges(database.path.parent), clock),
            maps=maps,
        )
        credentials = Credentials(reader, keyring.open_secret)
        scheme = "https" if spec.tls_cert else "http"
        resolver = Resolver(spec.domains)
        door = Door(spec.region, resolver.bucket_of_host)
        sites = Websites(spec.website_domains)
        gateway = Gateway(store, credentials, resolver, door, clock, spec.region, scheme, sites)
        gateway.requires_logs = spec.access_log.required
        return cls(
            spec,
            clock,
            database,
            writer,
            reader,
            local,
            hosts,
            certified,
            arrivals,
            host_map,
            threads,
            damage,
            gateway,
            session,
            epochs,
        )

    async def serve(self) -> None:
        server = web.Server(
            self.gateway.handle,  # type: ignore[arg-type] # an Answer has what the server asks of a response
            access_log=None,
            # A commit once begun is finished whether or not its client still listens.
            handler_cancellation=False,
            # A body is stored as it was sent, gzip included.
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        # What is built by now lives as long as the worker: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        runner = web.ServerRunner(server)
        await runner.setup()
        listener = socket.socket(fileno=self.spec.socket_fd)
        try:
            await web.SockSite(runner, listener, ssl_context=self._tls(), backlog=BACKLOG).start()
            write_file(self.spec.session_file, str(self.session).encode())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat())
                group.create_task(self._poll())
                group.create_task(self._flush())
                if self.arrivals is not None:
                    group.create_task(self.arrivals.serve(self.spec.dial_in))
        finally:
            await runner.cleanup()

    async def close(self) -> None:
        await self.damage.close()
        with contextlib.suppress(Exception):
            await self.gateway.access_logs.flush(self.gateway.store)
        await self.hosts.close()
        for host in self.local:
            await host.close()
        self.threads.shutdown()
        await asyncio.to_thread(self.writer.close)
        self.database.close()

    def _tls(self) -> ssl.SSLContext | None:
        if self.spec.tls_cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.spec.tls_cert, self.spec.tls_key)
        return context

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                since_ms = self.gateway.reads.since_ms(self.gateway.store.clock.now_ms())
                if not await beat(self.writer, self.session, since_ms):
                    await self._reopen()
            except Exception:
                log.exception("no beat")

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.gateway.access_logs.flush(self.gateway.store)
            except Exception:
                log.exception("lines of access logs wait")

    async def _reopen(self) -> None:
        log.warning("write session was closed; opening another", session=self.session)
        store = self.gateway.store
        self.session = await open_session(self.writer, "gateway", store.clock.now_ms())
        self.gateway.store = store.with_session(IdSource(self.session), self.writer.bound_to(self.session))
        write_file(self.spec.session_file, str(self.session).encode())

    async def _poll(self) -> None:
        """Follows what the coordinator publishes, by its epochs, and the store's clock."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                self._follow()
                await self._follow_hosts()
            except Exception:
                log.exception("metadata not followed")

    async def _follow_hosts(self) -> None:
        await self.hosts.sync()
        if self.hosts.remote:
            await self.certified.keep()

    def _follow(self) -> None:
        epochs, store = cluster.epochs(self.reader), self.gateway.store
        if epochs.topology != self.epochs.topology:
            store.topology.refresh()
            self.host_map.far = store.topology.far_from(self.spec.region)
        if epochs.access != self.epochs.access:
            self.gateway.credentials.forget()
            store.accounts.forget()
            store.kms.forget()
        if epochs.keys != self.epochs.keys:
            store.wrapping.reload()
        self.epochs = epochs
        self.host_map.refresh()
        read = cluster.clock(self.reader)
        if read is not None:
            store.clock.follow(read[0])
