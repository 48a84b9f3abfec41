"""The fleet's listener with its enrolment, as the coordinator has them, over real TLS; and what may go wrong with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.profile import Profile
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import cluster, join_tokens, nodes, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.join_tokens import JoinTokenRow
from cyxcloud.meta.rows import ClusterRow, NodeRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.joining import JoinToken
from fleet.enrolment import Enrolment
from fleet.listener import JoinRoutes, listening
from fleet.storeclock import CoordinatorClock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CLOCK = SystemClock()
KNOWN = ClusterRow(b"c" * 16, b"i" * 16, 1, 0)
AUTHORITY = Authority(bytes(range(32)), KNOWN.cluster_id)


def certified(role: Role, authority: Authority = AUTHORITY, seconds: float = 3600.0) -> TlsIdentity:
    key = Ed25519PrivateKey.generate()
    issued = authority.issue(key.public_key().public_bytes_raw(), role, CLOCK.now_ms(), seconds=seconds)
    return TlsIdentity(authority.certificate, issued, key)


@dataclass(slots=True)
class Door:
    """`identity` is what it shows; `asked` the paths of the requests that came through TLS; those of `silent` are carried
    out, but their answers are lost."""

    enrolment: Enrolment
    reader: Connection
    writer: Writer
    identity: TlsIdentity = field(default_factory=lambda: certified(Role.COORDINATOR))
    url: str = ""
    asked: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    def token(self) -> JoinToken:
        token = JoinToken.generate(self.enrolment.authority.fingerprint)
        now_ms = CLOCK.now_ms()
        row = JoinTokenRow(token.hash, "", "", "", now_ms, now_ms + 600_000)
        self.writer.call(lambda conn: join_tokens.add(conn, row))
        return token

    def rows(self) -> list[NodeRow]:
        return nodes.read_all(self.reader)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with listening("127.0.0.1:0", lambda: self.identity, self._watched()) as (host, port):
            self.url = f"https://{host}:{port}"
            yield

    def _watched(self) -> list[web.RouteDef]:
        return [web.route(each.method, each.path, self._watch(each)) for each in JoinRoutes(self.enrolment).routes()]

    def _watch(self, route: web.RouteDef) -> Handler:
        inner = cast("Handler", route.handler)

        async def handle(request: web.Request) -> web.StreamResponse:
            self.asked.append(request.path)
            response = await inner(request)
            if request.path in self.silent:
                assert request.transport is not None
                request.transport.abort()
            return response

        return handle


@contextlib.contextmanager
def made(folder: Path, settings: FleetSettings | None = None) -> Iterator[Door]:
    database = Database(folder / "meta.db")
    database.upgrade()
    reader, writer = database.reader(), database.writer()
    writer.start()
    writer.call(lambda conn: cluster.create(conn, KNOWN))
    writer.call(lambda conn: profiles.create(conn, Profile(2, 1)))
    enrolment = Enrolment(
        authority=AUTHORITY,
        known=KNOWN,
        coordinator_key=Ed25519PrivateKey.from_private_bytes(bytes(32)),
        reader=reader,
        writer=writer,
        clock=CoordinatorClock(CLOCK, reader, writer),
        system=CLOCK,
        settings=settings or FleetSettings(),
        founders=3,
    )
    try:
        yield Door(enrolment, reader, writer)
    finally:
        writer.close()
        database.close()
