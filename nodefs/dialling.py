"""A node that nobody can dial dials: one connection to each process of the fleet, which then asks over it.

Whom to dial the heartbeat's answer says. Each must show a certificate of a role that may ask a node at all, as if it
had dialled; what is asked is served as ever. A connection that ends is dialled again, later each time it fails.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

import structlog

from cyxcloud.core.certificates import TlsIdentity
from nodefs.host import ShardServer
from nodefs.throttle import Line, throttled
from nodefs.tls import Doorman, TlsConnection

log = structlog.get_logger(__name__)

_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 30.0
_DIAL_SECONDS = 10.0
# A fleet has a coordinator, movers and gateways: whatever an answer says, a node keeps no more connections than this.
MAX_ADDRESSES = 256


class Dialling:
    """`told` takes the addresses of each heartbeat's answer."""

    def __init__(self, server: ShardServer, doorman: Doorman, identity: Callable[[], TlsIdentity], line: Line) -> None:
        self._server, self._doorman, self._identity, self._line = server, doorman, identity, line
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def told(self, addresses: Iterable[str]) -> None:
        wanted = list(dict.fromkeys(addresses))[:MAX_ADDRESSES]
        for address in self._tasks.keys() - wanted:
            self._tasks.pop(address).cancel()
        for address in wanted:
            if address not in self._tasks:
                self._tasks[address] = asyncio.create_task(self._keep(address))

    def close(self) -> None:
        self.told(())

    async def _keep(self, address: str) -> None:
        loop, delay = asyncio.get_running_loop(), _FIRST_RETRY_SECONDS
        while True:
            try:
                connection, began = await self._dial(address), loop.time()
                try:
                    await connection.ended.wait()
                finally:
                    connection.leave()
                if loop.time() - began > _LAST_RETRY_SECONDS:
                    delay = _FIRST_RETRY_SECONDS
            except (OSError, TimeoutError, ValueError) as error:
                log.info("dialled in vain", address=address, reason=str(error) or type(error).__name__)
            await asyncio.sleep(delay * random.SystemRandom().uniform(0.5, 1.0))
            delay = min(2 * delay, _LAST_RETRY_SECONDS)

    async def _dial(self, address: str) -> _Dialled:
        host, _, port = address.rpartition(":")
        made: list[_Dialled] = []

        def make() -> _Dialled:
            made.append(_Dialled(self._server, self._doorman))
            return made[0]

        async with asyncio.timeout(_DIAL_SECONDS):
            await asyncio.get_running_loop().create_connection(
                throttled(make, self._line), host.strip("[]"), int(port), ssl=self._identity().client_context()
            )
        return made[0]


class _Dialled(TlsConnection):
    def __init__(self, server: ShardServer, doorman: Doorman) -> None:
        super().__init__(server, doorman)
        self.ended = asyncio.Event()

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.ended.set()
