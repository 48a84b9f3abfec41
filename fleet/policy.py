"""Which software the fleet's nodes may run (pure): a node is warned before it is kept from anything.

A node that is too old is never cut off: it goes on being read and reporting, it only takes no new writes from the date
that the operator has set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cyxcloud.core.settings import FleetSettings
from cyxcloud.core.version import is_older
from cyxcloud.wire.codec import PROTOCOL_MAX, PROTOCOL_MIN
from cyxcloud.wire.heartbeat import Heartbeat


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """`least` is empty where any will do; `from_ms` is 0 where it holds already."""

    least: str = ""
    from_ms: int = 0

    @classmethod
    def of(cls, settings: FleetSettings) -> VersionPolicy:
        since = settings.least_version_from
        from_ms = int(datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000) if since else 0
        return cls(settings.least_version, from_ms)

    def against(self, heartbeat: Heartbeat, now_ms: int) -> str:
        """Why that node takes no writes, empty when nothing is against it."""
        if heartbeat.protocol_min > PROTOCOL_MAX or heartbeat.protocol_max < PROTOCOL_MIN:
            return f"speaks protocol {heartbeat.protocol_min} to {heartbeat.protocol_max}, the fleet {PROTOCOL_MAX}"
        if self.least and now_ms >= self.from_ms and is_older(heartbeat.version, self.least):
            return f"runs version {heartbeat.version or 'unknown'}, at least {self.least} is wanted"
        return ""
