"""What a gateway worker is told at its start: a value that the supervisor hands over, never the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cyxcloud.core.settings import AccessLogSettings, LifecycleSettings


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """One gateway worker. `socket_fd` is a bound, listening SO_REUSEPORT socket that it inherits; the socket outlives
    the worker, so a restarted one finds the connections that queued meanwhile."""

    home: Path
    socket_fd: int
    node_sockets: tuple[Path, ...]
    control_socket: Path
    slot: int
    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    website_domains: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    delete_grace_seconds: float = 86400.0
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    access_log: AccessLogSettings = field(default_factory=AccessLogSettings)
    dial_in: str = ""
    """HOST:PORT where nodes that cannot be dialled reach this worker."""

    @property
    def session_file(self) -> Path:
        """Where the worker writes its write session's number, for whoever has to close it after a crash."""
        return self.home / "run" / f"gateway-{self.slot}.session"
