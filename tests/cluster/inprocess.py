"""A whole store in this process: node host, gateway and, step by step, the coordinator's workers, on real disks.

It runs in a thread with an event loop of its own, so tests are plain functions that speak to it with boto3 or over a
socket. Nothing of the coordinator runs by itself: a test steps the worker it is about, with the clock it chooses. What is
on disk and in the database is looked at directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from cli import access
from cli.access import NewKey, NewUser
from cli.bootstrap import Opened, open_store
from cli.home import Home
from cli.store import change, database_of
from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.config import FirstStart, Settings
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.worker import Did, Idle, Worker
from cyxcloud.meta import cluster
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.store import DELETE_GRACE_SECONDS
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from fleet.deletions import Deletions, Signer
from fleet.housekeeping import UploadSweep
from fleet.reconcile import Reconciler
from fleet.sessions import SessionWatch
from fleet.storeclock import CoordinatorClock
from nodefs.app import NodeHost
from nodefs.store import NodeStore
from s3gw import app as gateway_app
from s3gw.config import GatewaySpec

T = TypeVar("T")
ACCESS, SECRET = "inprocess", "inprocess-secret"
# BUCKET.site.test is a bucket's website.
WEBSITES = "site.test"
READY_SECONDS = 30.0
RECONCILE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Coordinator:
    """What a worker of fleet/ is built from; `clock` runs ahead of the store's by as much as the test wants."""

    hosts: tuple[HostClient, ...]
    reader: Connection
    writer: Writer
    clock: CoordinatorClock
    signer: Signer

    def deletions(self) -> Deletions:
        return Deletions(self.hosts, self.reader, self.writer, self.clock, self.signer)

    def sessions(self) -> SessionWatch:
        return SessionWatch(self.reader, self.writer, self.clock)

    def reconciler(self, grace_seconds: float = DELETE_GRACE_SECONDS) -> Reconciler:
        """Begins with a whole pass, unless another one has just made one."""
        return Reconciler(
            self.hosts,
            self.reader,
            self.writer,
            self.clock,
            self.sessions(),
            interval_seconds=RECONCILE_SECONDS,
            grace_seconds=grace_seconds,
        )

    def upload_sweep(self) -> UploadSweep:
        return UploadSweep(self.reader, self.writer, self.clock, DELETE_GRACE_SECONDS)


class AheadClock:
    """The system's clock, `seconds` ahead of it."""

    def __init__(self, seconds: float) -> None:
        self._clock, self._seconds = SystemClock(), seconds

    def now_ms(self) -> int:
        return self._clock.now_ms() + int(self._seconds * 1000)

    def monotonic(self) -> float:
        return self._clock.monotonic()


class InProcessStore:
    """Use `serving`."""

    def __init__(self, home: Home, opened: Opened, region: str) -> None:
        self.home, self.opened, self.region = home, opened, region
        self.loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="store", daemon=True)
        self.node_host: NodeHost | None = None
        self._clients: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stores(self) -> list[NodeStore]:
        assert self.node_host is not None
        return list(self.node_host.rack.stores.values())

    def client(self, access_key: str = ACCESS, secret_key: str = SECRET, **config: Any) -> Any:
        """boto3's S3 client; `config` are fields of botocore's Config."""
        made = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=self.region,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )
        self._clients.append(made)
        return made

    def add_user(self, name: str) -> tuple[str, str]:
        """Another account's key."""
        database, keyring = database_of(self.home), Keyring.open(self.home.keys)
        key, now_ms = NewKey.generate(name), SystemClock().now_ms()

        def add(conn: Connection) -> None:
            user = access.add_user(conn, NewUser(NewUser.generated_id(), name), now_ms)
            access.add_key(conn, keyring, user, key, now_ms)
            cluster.bump(conn, Epoch.ACCESS)

        try:
            change(database, add)
        finally:
            database.close()
        return key.access_key, key.secret_key

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the database holds."""
        with closing(sqlite3.connect(f"file:{self.home.meta / 'meta.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query, parameters).fetchall()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]], seconds: float = 30) -> T:
        """In the store's own loop."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(seconds)

    def step(self, worker_of: Callable[[Coordinator], Worker], *, ahead_seconds: float = 0.0) -> list[Did | Idle]:
        """Steps a coordinator's worker until it is idle, `ahead_seconds` after now."""

        async def steps() -> list[Did | Idle]:
            async with self._coordinator(AheadClock(ahead_seconds)) as coordinator:
                worker = worker_of(coordinator)
                done: list[Did | Idle] = []
                while not done or isinstance(done[-1], Did):
                    done.append(await worker.step(self.loop.time()))
                return done

        return self.run(steps)

    def start(self) -> None:
        self._thread.start()
        ready = f"{self.url}/-/healthz"
        with contextlib.closing(urlopen(ready, timeout=READY_SECONDS)) as answer:
            assert answer.status == 200

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(READY_SECONDS)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        interval = sys.getswitchinterval()
        try:
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again by close, in the test's thread
            self._failure = error
        finally:
            self.loop.close()
            sys.setswitchinterval(interval)

    async def _serve(self) -> None:
        node_socket = self.home.node_socket(0)
        self.node_host = NodeHost(self.opened.node_folders, node_socket)
        nodes = asyncio.create_task(self.node_host.run())
        await self.node_host.ready.wait()
        spec = GatewaySpec(
            home=self.home.path,
            socket_fd=self._listener.detach(),
            node_sockets=(node_socket,),
            control_socket=self.home.control_socket,
            slot=0,
            region=self.region,
            website_domains=(WEBSITES,),
        )
        gateway = asyncio.create_task(gateway_app.run(spec))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([gateway, nodes, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in (gateway, nodes, stop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        # A refused request's connection is read on for a while after its client has left.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _coordinator(self, clock: Clock) -> Any:
        keyring = Keyring.open(self.home.keys)
        database = Database(self.home.meta / "meta.db")
        reader, writer = database.reader(), database.writer()
        writer.start()
        known = cluster.read(reader)
        assert known is not None
        host = HostClient(self.home.node_socket(0), Hello("coordinator", known.cluster_id, known.incarnation))
        await host.start(READY_SECONDS)
        key = Ed25519PrivateKey.from_private_bytes(keyring.signing().coordinator)
        try:
            yield Coordinator((host,), reader, writer, CoordinatorClock(clock, reader, writer), Signer(key, known))
        finally:
            await host.close()
            await asyncio.to_thread(writer.close)
            database.close()


@contextmanager
def serving(folder: Path, *, region: str = "us-east-1") -> Iterator[InProcessStore]:
    """A store of the default profile (16 nodes, 10+4) with one gateway, until the end of the block."""
    home = Home.of([folder / "data"])
    home.run.mkdir(parents=True)
    given = FirstStart(root_access_key=ACCESS, root_secret_key=SecretStr(SECRET))
    store = InProcessStore(home, open_store(home, Settings(), given), region)
    store.start()
    try:
        yield store
    finally:
        store.close()
