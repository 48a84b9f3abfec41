"""Runs one store: a node host, a coordinator and a gateway worker per core, each restarted alone when it dies.

It binds the S3 sockets and holds the store's locks, which its processes inherit; it opens neither the database nor the
keys while it serves. A gateway that died leaves its session's number in DIR/run; the coordinator is told before the
successor starts, and again until it answers, so that uploads cut off are swept. Killed itself, its processes die with
it; the session files that stay behind are reported at the next start. Ends in the order gateways, coordinator, node
hosts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from cli import child, control, sockets
from cli.child import ChildSpec, NodeHostSpec
from cli.home import Home
from cli.process import Death, Keeper, Role
from cli.writerlock import free_stuck_lock
from cyxcloud.core.config import Settings, inherited_environment
from cyxcloud.core.durable import write_file
from cyxcloud.core.worker import wait_for
from fleet.config import CoordinatorSpec
from s3gw.config import GatewaySpec

log = structlog.get_logger(__name__)

# glibc reads these before Python starts: without them every 4 MiB buffer costs a page fault a page.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "16777216",
    # Threads that hand buffers to each other would spread them over arenas, each with its own peak.
    "MALLOC_ARENA_MAX": "1",
}
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
WATCH_SECONDS = 1.0
MAX_EARLY_STARTS = 5  # of one process before the store was ever ready: its fault will not pass by itself


class NotReady(Exception):
    """The store could not start; the text says where to look."""


@dataclass(slots=True)
class Supervisor:
    home: Home
    settings: Settings
    node_groups: Sequence[tuple[Path, ...]]
    lock_fds: tuple[int, ...]
    endpoint: str = ""
    fleet_url: str = ""  # where nodes of other boxes come in
    _keepers: list[Keeper] = field(default_factory=list)
    _unclosed: set[int] = field(default_factory=set)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _address: str = ""

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serves until a signal. Calls on_ready once, when the S3 port answers; raises NotReady when that takes too
        long.
        """
        self._watch_signals()
        listeners = sockets.bind_workers(self.settings.listen, self.settings.workers or cores())
        host, port = listeners[0].getsockname()[:2]
        self._address = sockets.join_address(host, port)
        self.endpoint = self._url(self._address)
        self._prepare_run()
        self._keepers = [self._keeper(role) for role in self._roles([listener.fileno() for listener in listeners])]
        try:
            async with asyncio.TaskGroup() as group:
                for keeper in self._keepers:
                    group.create_task(keeper.keep())
                watching = group.create_task(self._watch())
                try:
                    await self._serve(on_ready)
                finally:
                    watching.cancel()
                    await self._end()
        except* NotReady as failures:
            raise failures.exceptions[0] from None
        finally:
            for listener in listeners:
                listener.close()
            self.home.roles.unlink(missing_ok=True)

    async def _serve(self, on_ready: Callable[[], None]) -> None:
        await self._until_ready()
        if not self._stop.is_set():
            on_ready()
        await self._stop.wait()

    async def _end(self) -> None:
        await self._stop_all("gateway")
        for path in self.home.run.glob("gateway-*.session"):
            self._note_session(path)
        await self._close_sessions()
        await self._stop_all("coordinator")
        await self._stop_all("nodehost")

    async def _stop_all(self, kind: str) -> None:
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers if keeper.role.kind == kind))

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        """The first signal ends the store in order, the second at once."""
        if self._stop.is_set():
            for keeper in self._keepers:
                keeper.kill()
        self._stop.set()

    # What runs

    def _roles(self, listener_fds: Sequence[int]) -> list[Role]:
        settings = self.settings
        node_sockets = tuple(self.home.node_socket(number) for number in range(len(self.node_groups)))
        operators = sockets.free_port(settings.control)
        fleet = sockets.free_port(settings.fleet.listen) if settings.fleet.listen else ""
        self.fleet_url = f"https://{sockets.told(fleet, settings.fleet.address)}" if fleet else ""
        # The coordinator, its mover and each gateway, in this order.
        dial_in = sockets.in_a_row(settings.fleet.dial_in, 2 + len(listener_fds)) if settings.fleet.dial_in else []
        hosts = [
            self._role("nodehost", number, f"unix:{socket}", NodeHostSpec(folders, socket, settings.scrub))
            for number, (folders, socket) in enumerate(zip(self.node_groups, node_sockets, strict=True))
        ]
        coordinator = CoordinatorSpec(
            self.home.path,
            self.home.data_dirs,
            operators,
            self.home.control_socket,
            node_sockets,
            delete_grace_seconds=settings.delete_grace,
            region=settings.region,
            mover=settings.mover,
            snapshot=settings.snapshot,
            reconcile=settings.reconcile,
            lifecycle=settings.lifecycle,
            access_log=settings.access_log,
            notifications=settings.notifications,
            inventory=settings.inventory,
            fleet=settings.fleet.model_copy(update={"listen": fleet}),
            dial_in=tuple(dial_in[:2]),
            dial_addresses=tuple(sockets.told(each, _with_port(settings.fleet.address, each)) for each in dial_in),
        )
        gateways = [
            self._role("gateway", slot, self.endpoint, self._gateway_spec(slot, fd, node_sockets, dial_in), fd)
            for slot, fd in enumerate(listener_fds)
        ]
        return [*hosts, self._role("coordinator", 0, f"http://{operators}", coordinator), *gateways]

    def _gateway_spec(self, slot: int, fd: int, node_sockets: tuple[Path, ...], dial_in: Sequence[str]) -> GatewaySpec:
        return GatewaySpec(
            home=self.home.path,
            socket_fd=fd,
            node_sockets=node_sockets,
            control_socket=self.home.control_socket,
            slot=slot,
            region=self.settings.region,
            domains=self.settings.domains,
            website_domains=self.settings.website_domains,
            tls_cert=self.settings.tls.cert,
            tls_key=self.settings.tls.key,
            delete_grace_seconds=self.settings.delete_grace,
            lifecycle=self.settings.lifecycle,
            access_log=self.settings.access_log,
            dial_in=dial_in[2 + slot] if dial_in else "",
        )

    def _role(self, kind: str, number: int, endpoint: str, server: child.Server, *fds: int) -> Role:
        name = f"{kind}-{number}"
        spec = ChildSpec(name, os.getpid(), self.home.logs / f"{name}.log", self.settings.log)
        return Role(kind, number, endpoint, child.command(kind, spec, server), (*fds, *self.lock_fds))

    def _keeper(self, role: Role) -> Keeper:
        return Keeper(role, inherited_environment() | MALLOC, self._write_roles, self._on_death)

    def _url(self, address: str) -> str:
        return f"{'https' if self.settings.tls.cert else 'http'}://{address}"

    # What others see

    def _prepare_run(self) -> None:
        """Leftovers of an instance that was killed: sockets go, session numbers are kept until they are closed."""
        for path in (*self.home.run.glob("*.sock"), *self.home.run.glob("*.folders")):
            path.unlink()
        for path in self.home.run.glob("gateway-*.session"):
            self._note_session(path)

    def _write_roles(self) -> None:
        running = [(keeper.role, keeper.pid) for keeper in self._keepers if keeper.pid is not None]
        rows = [{"role": role.kind, "pid": pid, "endpoint": role.endpoint} for role, pid in running]
        rows.insert(0, {"role": "supervisor", "pid": os.getpid(), "endpoint": self.endpoint, "fleet": self.fleet_url})
        write_file(self.home.roles, json.dumps(rows).encode())

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while not self._stop.is_set():
            if await self._is_ready():
                return
            failing = [keeper.role.name for keeper in self._keepers if keeper.starts > MAX_EARLY_STARTS]
            if failing:
                raise NotReady(f"{failing[0]} does not start; see {self.home.logs / failing[0]}.log")
            if asyncio.get_running_loop().time() > deadline:
                raise NotReady(f"not ready after {READY_SECONDS:.0f} s; see {self.home.logs}")
            await wait_for(self._stop, POLL_SECONDS)

    async def _is_ready(self) -> bool:
        slots = [keeper.role.number for keeper in self._keepers if keeper.role.kind == "gateway"]
        if not all(self.home.session_file(slot).exists() for slot in slots):
            return False  # one socket per worker: an answer from one of them says nothing of the others
        host, port = sockets.reachable(self._address)
        return await asyncio.to_thread(control.is_healthy, host, port, tls=self.settings.tls.cert is not None)

    # What a death leaves behind

    async def _on_death(self, death: Death) -> None:
        if death.role.kind == "gateway":
            self._note_session(self.home.session_file(death.role.number))
            await self._close_sessions()

    def _note_session(self, path: Path) -> None:
        text = path.read_text().strip() if path.exists() else ""
        if text.isdecimal():
            self._unclosed.add(int(text))
        path.unlink(missing_ok=True)

    async def _close_sessions(self) -> None:
        for number in sorted(self._unclosed):
            ended = {"session": number}
            try:
                await asyncio.to_thread(control.ask, self.home.control_socket, "POST", "/session/closed", ended)
            except control.NoAnswer as error:
                log.info("session is closed later", session=number, reason=str(error))
                return
            self._unclosed.discard(number)

    async def _watch(self) -> None:
        """Each second: sessions still to be closed, and a writer that holds the database's lock and does not move."""
        lock = self.home.meta / "writer.lock"
        held: dict[int, float] = {}
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self._close_sessions()
            held = free_stuck_lock(lock, held, asyncio.get_running_loop().time(), self._pids())

    def _pids(self) -> set[int]:
        return {keeper.pid for keeper in self._keepers if keeper.pid is not None}


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _with_port(address: str, listen: str) -> str:
    """By the name that the fleet's listener is reached by, this one."""
    return sockets.join_address(sockets.split_address(address)[0], sockets.split_address(listen)[1]) if address else ""
