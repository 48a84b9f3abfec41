"""Wires the coordinator: one process that holds all background work and the only key that signs delete orders."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.worker import Runner
from cyxcloud.meta import cluster, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.kms import LocalKms
from cyxcloud.objects.wrapping import Wrapping
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from fleet.access_logs import AccessLogs
from fleet.adoption import routes as adoption_routes
from fleet.audits.auditor import Auditor
from fleet.config import CoordinatorSpec
from fleet.control import control_app, operators_app
from fleet.deletions import Deletions, Signer
from fleet.drains import Drains
from fleet.enrolment import Enrolment
from fleet.events import Events
from fleet.findings import Findings
from fleet.housekeeping import Checkpoints, Evidence, UploadSweep, UsageFold
from fleet.inventory import InventoryReports
from fleet.keycopies import KeyCopies
from fleet.lifecycle import Lifecycle
from fleet.listener import JoinRoutes, listening
from fleet.mirrorcare import MirrorCare
from fleet.mover.control import drain_routes, repair_routes
from fleet.mover.control import routes as mover_routes
from fleet.mover.plane import coding_threads, mover_plane
from fleet.mover.shares import Shares
from fleet.mover.worker import Mover
from fleet.nodewatch import NodeWatch
from fleet.objectstore import ObjectStore
from fleet.reconcile import Reconciler
from fleet.remotehosts import RemoteHosts, certificate_routes
from fleet.reporting import Reporting
from fleet.rewrap import Rewrap
from fleet.rewrap import routes as rewrap_routes
from fleet.scrubcontrol import routes as scrub_routes
from fleet.sessions import SessionWatch
from fleet.snapshot_taking import STATE_NAME, SnapshotTaker
from fleet.snapshots import Snapshots, taken_at_ms
from fleet.snapshots import routes as snapshot_routes
from fleet.storeclock import CoordinatorClock
from fleet.trash import Trash


def _enrolment(  # noqa: PLR0917 - what it is made of
    spec: CoordinatorSpec,
    keyring: Keyring,
    known: ClusterRow,
    reader: Connection,
    writer: Writer,
    clock: CoordinatorClock,
) -> Enrolment:
    signing = keyring.signing()
    return Enrolment(
        authority=Authority(signing.authority, known.cluster_id),
        known=known,
        coordinator_key=Ed25519PrivateKey.from_private_bytes(signing.coordinator),
        reader=reader,
        writer=writer,
        clock=clock,
        system=SystemClock(),
        settings=spec.fleet,
        founders=profiles.default_profile(reader).n,
    )


async def run(spec: CoordinatorSpec) -> None:
    """Serve until cancelled."""
    clock = SystemClock()
    keyring = Keyring.open(spec.home / "keys")
    database = Database(spec.home / "meta" / "meta.db")
    database.check_revision()
    reader, writer = database.reader(), database.writer()
    writer.start()
    known = cluster.read(reader)
    assert known is not None, "the supervisor makes the store before it starts a coordinator"
    hello = Hello(role="coordinator", cluster_id=known.cluster_id, incarnation=known.incarnation)
    local = [HostClient(path, hello) for path in spec.node_sockets]
    local_moving = [HostClient(path, replace(hello, role="mover")) for path in spec.node_sockets]
    for host in (*local, *local_moving):
        await host.start()
    store_clock = CoordinatorClock(clock, reader, writer)
    enrolment = _enrolment(spec, keyring, known, reader, writer, store_clock)
    remote = RemoteHosts(reader, local, local_moving, hello, enrolment, clock, spec.dial_in)
    hosts = remote.hosts
    session_watch = SessionWatch(reader, writer, store_clock)
    wrapping = Wrapping(lambda: Keyring.open(spec.home / "keys").wrapping)
    gate = asyncio.Lock()
    snapshot_store = ObjectStore(
        role="snapshot",
        hosts=hosts,
        reader=reader,
        writer=writer,
        clock=store_clock,
        monotonic=clock,
        wrapping=wrapping,
        delete_grace_seconds=spec.delete_grace_seconds,
        inline_bytes=0,
    )
    snapshots = Snapshots(
        store=snapshot_store,
        taker=lambda store: SnapshotTaker(store, writer, hosts, known, keyring.master, gate),
        cluster=known,
        interval_seconds=spec.snapshot.interval,
        clock=store_clock,
        monotonic=clock,
        state_path=writer.path.with_name(STATE_NAME),
    )
    signer = Signer(enrolment.coordinator_key, known)
    rewrap = Rewrap(wrapping.reload, reader, writer)
    threads = coding_threads()
    shares = Shares(reader, writer, f"coordinator@{platform.node()}", spec.mover.lease) if spec.mover.enabled else None
    mover = Mover(
        mover_plane(remote.moving, clock, threads),
        reader,
        writer,
        store_clock,
        spec.mover,
        spec.delete_grace_seconds,
        shares=shares,
    )
    drains = Drains(reader, writer, store_clock, signer)
    trash = Trash(
        store_clock,
        lambda: taken_at_ms(writer.path.with_name(STATE_NAME)),
        grace_seconds=spec.delete_grace_seconds,
        snapshot_seconds=spec.snapshot.interval,
    )
    reconciler = Reconciler(
        hosts,
        reader,
        writer,
        store_clock,
        session_watch,
        interval_seconds=spec.reconcile.interval,
        grace_seconds=spec.delete_grace_seconds,
    )
    events = Events(reader, writer, store_clock, lambda: Keyring.open(spec.home / "keys"), spec.notifications)
    objects = ObjectStore(
        role="coordinator",
        hosts=hosts,
        reader=reader,
        writer=writer,
        clock=store_clock,
        monotonic=clock,
        wrapping=wrapping,
        delete_grace_seconds=spec.delete_grace_seconds,
        day_ms=int(spec.lifecycle.day * 1000),
        kms=LocalKms(reader, keyring, writer.submit, store_clock.now_ms),
        region=spec.region,
    )
    reporting = Reporting.of(
        reader, writer, store_clock, clock, spec.fleet, hosts=lambda: hosts.remote, dial_addresses=spec.dial_addresses
    )
    runner = Runner(
        [
            store_clock,
            remote,
            reporting.heartbeats,
            NodeWatch(local, reader, writer, store_clock, reporting.nodes),
            Auditor(lambda: hosts.remote, reader, writer, store_clock, spec.fleet.audit),
            session_watch,
            Deletions(hosts, reader, writer, store_clock, signer, trash=trash),
            reconciler,
            Findings(hosts, writer, store_clock),
            Checkpoints(writer, gate),
            MirrorCare(writer.path, lambda: Keyring.open(spec.home / "keys"), gate),
            snapshots,
            UsageFold(writer),
            UploadSweep(reader, writer, store_clock, spec.delete_grace_seconds),
            Evidence(writer, store_clock),
            KeyCopies(lambda: Keyring.open(spec.home / "keys"), reader, spec.data_dirs),
            rewrap,
            mover,
            *([shares] if shares is not None else []),
            drains,
            *events.workers(),
            Lifecycle(objects, reader, store_clock, spec.lifecycle.day),
            InventoryReports(objects, reader, writer, store_clock, spec.inventory.day),
            AccessLogs(objects, reader, store_clock, spec.access_log.interval),
        ],
        clock,
    )
    control = control_app(session_watch, runner)
    control.add_routes(
        [
            *mover_routes(mover),
            *drain_routes(drains, reader),
            *repair_routes(mover, reader, writer, store_clock.now_ms),
            *adoption_routes(reconciler, hosts, runner),
            *rewrap_routes(rewrap),
            *scrub_routes(hosts),
            *snapshot_routes(snapshots, runner),
            *events.routes(),
            *certificate_routes(enrolment),
        ]
    )
    try:
        async with _listening(spec, control):
            await remote.step(clock.monotonic())
            async with _nodes_come_in(spec, remote, [*JoinRoutes(enrolment).routes(), *reporting.route.routes()]):
                await runner.run()
    finally:
        snapshot_store.close()
        await events.close()
        objects.close()
        await remote.close()
        threads.shutdown()
        await asyncio.to_thread(writer.close)
        database.close()


@contextlib.asynccontextmanager
async def _nodes_come_in(
    spec: CoordinatorSpec, remote: RemoteHosts, routes: Sequence[web.RouteDef]
) -> AsyncIterator[None]:
    """The fleet's listener, where nodes of other boxes are taken."""
    if not spec.fleet.listen:
        yield
        return
    async with listening(spec.fleet.listen, remote.identity, routes):
        yield


@contextlib.asynccontextmanager
async def _listening(spec: CoordinatorSpec, control: web.Application) -> AsyncIterator[None]:
    spec.control_socket.unlink(missing_ok=True)
    inside, outside = web.AppRunner(control, access_log=None), web.AppRunner(operators_app(), access_log=None)
    host, _, port = spec.control.rpartition(":")
    try:
        await inside.setup()
        await web.UnixSite(inside, str(spec.control_socket)).start()
        spec.control_socket.chmod(0o600)
        await outside.setup()
        await web.TCPSite(outside, host.strip("[]"), int(port)).start()
        yield
    finally:
        await inside.cleanup()
        await outside.cleanup()
