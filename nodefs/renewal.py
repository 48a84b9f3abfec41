"""Keeps the node's certificate good: asks for the next one when two thirds of its time are over."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import aiohttp
import structlog

from cyxcloud.core.certificates import TlsIdentity
from cyxcloud.core.clock import Clock
from cyxcloud.core.worker import Idle
from cyxcloud.wire.fleetpeer import coordinator_context
from cyxcloud.wire.joining import MAX_MESSAGE_BYTES, RENEW_PATH, parse_renewed
from cyxcloud.wire.status import WireError
from nodefs.fleetfolder import write_certificate

log = structlog.get_logger(__name__)

_ANSWER_SECONDS = 20.0
_LONGEST_LOOK_SECONDS = 3600.0
_LEAST_LOOK_SECONDS = 1.0


class Renewal:
    """A worker. `on_new` hears of each new identity; those that stand go on with the old one."""

    name = "renewal"

    def __init__(
        self, root: Path, url: str, identity: TlsIdentity, clock: Clock, on_new: Callable[[TlsIdentity], None]
    ) -> None:
        self._root, self._url, self._clock, self._on_new = root, url, clock, on_new
        self.identity = identity
        self._failures = 0

    async def step(self, now: float) -> Idle:
        now_ms = self._clock.now_ms()
        left = (self.identity.expires_at_ms - now_ms) / 1000
        lifetime = max(1.0, (self.identity.expires_at_ms - self.identity.issued_at_ms) / 1000)
        due_in = left - lifetime / 3
        if due_in > 0:
            return Idle(now + min(max(due_in, _LEAST_LOOK_SECONDS), _LONGEST_LOOK_SECONDS))
        try:
            await self._renew()
        except (aiohttp.ClientError, OSError, TimeoutError, WireError, ValueError) as error:
            self._failures += 1
            remedy = {"remedy": f"cyxcloud node init --root {self._root} --join NEW_TOKEN"} if left <= 0 else {}
            reason = str(error) or type(error).__name__
            log.warning("certificate not renewed", seconds_left=int(left), reason=reason, **remedy)
            pause = min(2.0**self._failures, 300.0, max(lifetime / 30, _LEAST_LOOK_SECONDS))
            return Idle(now + pause * random.SystemRandom().uniform(0.5, 1.0))
        self._failures = 0
        log.info("certificate renewed")
        return Idle(now + _LEAST_LOOK_SECONDS)

    async def _renew(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(self._url + RENEW_PATH, ssl=coordinator_context(self.identity)) as response,
        ):
            body = await response.content.read(MAX_MESSAGE_BYTES)
            if response.status != 200:
                raise ValueError(f"the fleet refused: {body.decode(errors='replace').strip()}")
        certificate = parse_renewed(body).certificate
        renewed = self.identity.renewed(certificate.encode())
        assert renewed.expires_at_ms > 0
        write_certificate(self._root, certificate)
        self.identity = renewed
        self._on_new(renewed)
