"""POST /v1/heartbeat on the fleet's listener: who brings it is read from the connection's certificate.

A connection may outlive the certificate it began with, so it is ended after an hour: the next handshake looks at dates
and at the deny list again.
"""

from __future__ import annotations

import ssl
from weakref import WeakKeyDictionary

from aiohttp import web

from cyxcloud.core.certificates import Peer, Role, Untrusted, peer_of
from cyxcloud.core.clock import Clock
from cyxcloud.wire.heartbeat import CONTENT_TYPE, MAX_HEARTBEAT_BYTES, Outcome, encode_answer
from cyxcloud.wire.status import WireError
from fleet.heartbeats import Heartbeats, NotTheNode

CONNECTION_SECONDS = 3600.0
_STATUS = {Outcome.TAKEN: 200, Outcome.REPLAYED: 409, Outcome.SKEWED: 412}


class HeartbeatRoute:
    def __init__(self, heartbeats: Heartbeats, clock: Clock) -> None:
        self._heartbeats, self._clock = heartbeats, clock
        self._peers: WeakKeyDictionary[ssl.SSLObject, tuple[Peer, float]] = WeakKeyDictionary()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/heartbeat", self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        try:
            peer, is_old = self._peer(request)
            answer = self._heartbeats.take(peer.node_id, await _body(request))
        except (Untrusted, NotTheNode) as error:
            return web.Response(status=403, text=f"{error}\n")
        except WireError as error:
            return web.Response(status=400, text=f"{error}\n")
        response = web.Response(status=_STATUS[answer.outcome], body=encode_answer(answer), content_type=CONTENT_TYPE)
        if is_old:
            response.force_close()
        return response

    def _peer(self, request: web.Request) -> tuple[Peer, bool]:
        """And whether its connection is to end with this answer."""
        connection = request.get_extra_info("ssl_object")
        if connection is None:
            raise Untrusted("no certificate was shown")
        now = self._clock.monotonic()
        known = self._peers.get(connection)
        if known is None:
            peer = peer_of(connection)
            if peer.role is not Role.NODE:
                raise Untrusted(f"a {peer.role} does not report")
            known = self._peers[connection] = peer, now
        return known[0], now - known[1] >= CONNECTION_SECONDS


async def _body(request: web.Request) -> bytes:
    if request.content_length is None or request.content_length > MAX_HEARTBEAT_BYTES:
        raise WireError("a heartbeat that is too long, or does not say how long")
    return await request.read()
