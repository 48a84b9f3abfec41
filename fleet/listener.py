"""Where nodes of other boxes come in: HTTPS by the fleet's own authority, no certificate needed to join.

Everything else on it belongs to who has one, route by route. Bodies are small and bounded; what is refused is said in
plain words, since the operator of a provider's box reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterable

import structlog
from aiohttp import web

from cyxcloud.core.certificates import TlsIdentity, Untrusted, peer_of
from cyxcloud.meta import cluster, denials
from cyxcloud.wire.joining import (
    AUTHORITY_PATH,
    DENIED_PATH,
    JOIN_PATH,
    MAX_MESSAGE_BYTES,
    RENEW_PATH,
    RenewAnswer,
    encode_answer,
    encode_renewed,
    parse_request,
)
from cyxcloud.wire.status import WireError
from fleet.enrolment import Enrolment, Refused

log = structlog.get_logger(__name__)


class JoinRoutes:
    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(AUTHORITY_PATH, self.authority),
            web.post(JOIN_PATH, self.join),
            web.post(RENEW_PATH, self.renew),
            web.get(DENIED_PATH, self.denied),
        ]

    async def authority(self, _: web.Request) -> web.Response:
        return web.Response(body=self._enrolment.authority.certificate, content_type="application/x-pem-file")

    async def join(self, request: web.Request) -> web.Response:
        try:
            answer = await self._enrolment.join(parse_request(await request.read()))
        except WireError as error:
            return web.Response(status=400, text=f"{error}\n")
        except Refused as error:
            log.warning("a node was not let in", remote=request.remote, reason=str(error))
            return web.Response(status=403, text=f"{error}\n")
        return web.Response(body=encode_answer(answer), content_type="application/json")

    async def renew(self, request: web.Request) -> web.Response:
        try:
            certificate = self._enrolment.renew(peer_of(_tls_of(request)))
        except (Refused, Untrusted) as error:
            log.warning("a certificate was not renewed", remote=request.remote, reason=str(error))
            return web.Response(status=403, text=f"{error}\n")
        return web.Response(body=encode_renewed(RenewAnswer(certificate)), content_type="application/json")

    async def denied(self, request: web.Request) -> web.Response:
        try:
            peer_of(_tls_of(request))
        except Untrusted as error:
            return web.Response(status=403, text=f"{error}\n")
        reader = self._enrolment.reader
        value = {
            "epoch": cluster.epochs(reader).trust,
            "denied": [subject.hex() for subject in sorted(denials.read_all(reader))],
        }
        return web.Response(text=json.dumps(value), content_type="application/json")


@contextlib.asynccontextmanager
async def listening(
    address: str, identity: Callable[[], TlsIdentity], routes: Iterable[web.RouteDef]
) -> AsyncIterator[tuple[str, int]]:
    """Serves while the block runs; gives the host and port that it got."""
    app = web.Application(client_max_size=MAX_MESSAGE_BYTES)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    shown = _Shown(identity)
    try:
        site = web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=shown.context)
        await site.start()
        found = runner.addresses[0]
        renewing = asyncio.create_task(shown.follow())
        try:
            yield found[0], found[1]
        finally:
            renewing.cancel()
    finally:
        await runner.cleanup()


class _Shown:
    """One context for as long as the listener stands; new handshakes show the certificate that is the newest."""

    def __init__(self, identity: Callable[[], TlsIdentity]) -> None:
        self._identity = identity
        self._of = identity()
        self.context = self._of.server_context(demand_client=False)
        self._newest = self.context
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if self._newest is not self.context:
            connection.context = self._newest

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            found = self._identity()
            if found is not self._of:
                self._of, self._newest = found, found.server_context(demand_client=False)


def _tls_of(request: web.Request) -> ssl.SSLObject:
    connection = request.get_extra_info("ssl_object")
    if connection is None:
        raise Untrusted("no certificate was shown")
    assert isinstance(connection, ssl.SSLObject)
    return connection
