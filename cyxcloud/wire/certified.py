"""A process of the store that shows a certificate to nodes: its key is made at its start and never leaves it.

The certificate comes from the coordinator, over the socket that only the store's user may open, and is asked for anew
when two thirds of its time are over. Without one only nodes on other boxes cannot be reached.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Role, TlsIdentity
from cyxcloud.core.clock import Clock
from cyxcloud.wire.status import HostUnavailable

log = structlog.get_logger(__name__)

CERTIFICATE_PATH = "/certificate"
_ANSWER_SECONDS = 10.0
_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Issued:
    """Both in PEM."""

    authority: bytes
    certificate: bytes


Ask = Callable[[bytes, Role], Awaitable[Issued]]


class Certified:
    def __init__(self, role: Role, ask: Ask, clock: Clock) -> None:
        self._role, self._ask, self._clock = role, ask, clock
        self._key = Ed25519PrivateKey.generate()
        self._identity: TlsIdentity | None = None
        self._again_at = float("-inf")

    def __call__(self) -> TlsIdentity:
        """HostUnavailable where there is none yet."""
        if self._identity is None:
            raise HostUnavailable("no certificate yet: the coordinator has not answered")
        return self._identity

    async def keep(self) -> None:
        """Ask for one where it is time; to be called every second or so."""
        now = self._clock.monotonic()
        if now < self._again_at or not self._is_due():
            return
        self._again_at = now + _AGAIN_SECONDS
        try:
            issued = await self._ask(self._key.public_key().public_bytes_raw(), self._role)
            self._identity = TlsIdentity(issued.authority, issued.certificate, self._key)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
            log.warning("no certificate", role=str(self._role), reason=str(error) or type(error).__name__)

    def _is_due(self) -> bool:
        if self._identity is None:
            return True
        lifetime = self._identity.expires_at_ms - self._identity.issued_at_ms
        return self._clock.now_ms() >= self._identity.expires_at_ms - lifetime / 3


def ask_coordinator(control_socket: Path) -> Ask:
    async def ask(public_key: bytes, role: Role) -> Issued:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        body = {"public_key": public_key.hex(), "role": str(role)}
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(control_socket)), timeout=timeout) as session,
            session.post(f"http://coordinator{CERTIFICATE_PATH}", json=body) as response,
        ):
            response.raise_for_status()
            value = json.loads(await response.text())
        return Issued(value["authority"].encode(), value["certificate"].encode())

    return ask
