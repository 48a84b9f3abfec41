"""The hosts that the coordinator and its mover use, with those of other boxes as they come and go.

Each of the two shows a certificate of its own role, which this process issues to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from cyxcloud.core.certificates import Role
from cyxcloud.core.clock import Clock
from cyxcloud.core.worker import Idle
from cyxcloud.meta.connection import Connection
from cyxcloud.objects.hosting import Hosting
from cyxcloud.wire.arrivals import Arrivals
from cyxcloud.wire.certified import CERTIFICATE_PATH, Certified, Issued
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.shardhost import ShardHost
from fleet.enrolment import Enrolment

LOOK_SECONDS = 1.0
# Nodes get theirs by joining; the coordinator makes its own.
_GIVEN_HERE = {str(role): role for role in (Role.GATEWAY, Role.MOVER)}


class RemoteHosts:
    """A worker that keeps both up to date. `dial_in`: where nodes that dial reach the one and the other."""

    name = "hosts"

    def __init__(  # noqa: PLR0917 - what it joins together
        self,
        reader: Connection,
        local: Sequence[ShardHost],
        moving: Sequence[ShardHost],
        hello: Hello,
        enrolment: Enrolment,
        clock: Clock,
        dial_in: Sequence[str] = (),
    ) -> None:
        async def issue(public_key: bytes, role: Role) -> Issued:
            return Issued(enrolment.authority.certificate, enrolment.certify(public_key, role).encode())

        self._local = (*local, *moving)
        self.identity = Certified(Role.COORDINATOR, issue, clock)
        self._moving_identity = Certified(Role.MOVER, issue, clock)
        self._dial_in = [
            (Arrivals(shown), address)
            for shown, address in zip((self.identity, self._moving_identity), dial_in, strict=False)
        ]
        self.hosts = Hosting(reader, local, hello, self.identity, self._arrivals(0))
        self.moving = Hosting(reader, moving, replace(hello, role="mover"), self._moving_identity, self._arrivals(1))
        self._serving: list[asyncio.Task[None]] = []

    def _arrivals(self, at: int) -> Arrivals | None:
        return self._dial_in[at][0] if self._dial_in else None

    async def step(self, now: float) -> Idle:
        await self.identity.keep()
        await self._moving_identity.keep()
        await self.hosts.sync()
        await self.moving.sync()
        if not self._serving:
            self._serving = [asyncio.create_task(each.serve(address)) for each, address in self._dial_in]
        return Idle(now + LOOK_SECONDS)

    async def close(self) -> None:
        """Those of this box, too."""
        for task in self._serving:
            task.cancel()
        await self.hosts.close()
        await self.moving.close()
        for host in self._local:
            await host.close()


def certificate_routes(enrolment: Enrolment) -> list[web.RouteDef]:
    """On the control socket: who can open it is the store's own user."""

    async def certificate(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            issued = enrolment.certify(bytes.fromhex(body["public_key"]), _GIVEN_HERE[body["role"]])
        except (KeyError, TypeError, ValueError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response({"authority": enrolment.authority.certificate.decode(), "certificate": issued})

    return [web.post(CERTIFICATE_PATH, certificate)]
