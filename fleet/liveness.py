"""What a node's silence means (pure): ONLINE, WARNING without new writes, OFFLINE; a heartbeat brings it back.

Only the coordinator's own clock is asked, one that never goes back: when it took the last heartbeat, and now. What the
node's clock says has no part in this. A coordinator that has just started knows of no silence: for it every node was
last heard of when it began to listen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cyxcloud.core.settings import FleetSettings


class Liveness(Enum):
    ONLINE = "online"
    WARNING = "warning"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Limits:
    warning_after_ms: int = 60_000
    offline_after_ms: int = 300_000

    @classmethod
    def of(cls, settings: FleetSettings) -> Limits:
        return cls(int(settings.warning_after * 1000), int(settings.offline_after * 1000))


def liveness(last_beat_ms: int | None, now_ms: int, limits: Limits, *, listening_since_ms: int = 0) -> Liveness:
    """`last_beat_ms`: None when there was none since the coordinator began to listen."""
    heard_ms = listening_since_ms if last_beat_ms is None else max(last_beat_ms, listening_since_ms)
    silent_ms = now_ms - heard_ms
    if silent_ms < limits.warning_after_ms:
        return Liveness.ONLINE
    if silent_ms < limits.offline_after_ms:
        return Liveness.WARNING
    return Liveness.OFFLINE
