"""The state of a node on another box (pure): from what it reports, and from what its host says over TLS.

Silence decides first, since a host that does not report may answer only some of those who ask. What is not known, in
the time after a coordinator's start, changes nothing: a node that was down stays down until it is heard of, and none
goes down before it had as long to report as it always has. Reasons are the same words for as long as nothing changes:
each new one is written down and shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cyxcloud.meta.rows import DOWN, LOST, READ_ONLY, UP, NodeRow
from cyxcloud.wire.heartbeat import Serving
from cyxcloud.wire.shardhost import NodeInfo
from cyxcloud.wire.status import NodeState
from fleet.heartbeats import Beat
from fleet.liveness import Limits, Liveness, liveness
from fleet.policy import VersionPolicy

STOPPED = "stopped by its operator"
LATE = "its heartbeats are late"
SILENT = "sends no heartbeats"
NOT_YET = "has not reported yet"
UNREACHABLE = "reports, but cannot be reached"
# A connection that broke is there again in a moment; a new pool for everybody, twice, would be the price of each.
BLINK_MS = 1000
_STATES = {NodeState.UP: UP, NodeState.DOWN: DOWN, NodeState.READ_ONLY: READ_ONLY, NodeState.LOST: LOST}


@dataclass(frozen=True, slots=True)
class Seen:
    state: str
    reason: str

    def is_of(self, row: NodeRow) -> bool:
        return row.state == self.state and row.reason == self.reason


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one node at this moment. `info` is its host's word, None while that is not connected, and
    `unreachable_ms` how long it has not been; `refusal` says why its reports are not taken."""

    beat: Beat | None
    refusal: str
    info: NodeInfo | None
    unreachable_ms: int
    listening_since_ms: int
    now_ms: int  # of the coordinator's monotonic clock, like those above
    store_ms: int


def seen(row: NodeRow, told: Told, limits: Limits, versions: VersionPolicy) -> Seen:
    beat = told.beat
    if beat is not None and beat.heartbeat.state is Serving.STOPPING:
        return Seen(DOWN, STOPPED)
    heard_ms = None if beat is None else beat.heard_ms
    alive = liveness(heard_ms, told.now_ms, limits, listening_since_ms=told.listening_since_ms)
    if alive is Liveness.OFFLINE:
        return Seen(DOWN, told.refusal or (SILENT if beat is not None else NOT_YET))
    stays_down = row.state in {DOWN, LOST} and (heard_ms is None or alive is Liveness.WARNING or told.info is None)
    if beat is None or stays_down:
        return Seen(row.state, told.refusal or row.reason)
    if told.info is None and told.unreachable_ms < BLINK_MS and alive is Liveness.ONLINE:
        return Seen(row.state, row.reason)
    if alive is Liveness.WARNING:
        return Seen(READ_ONLY, told.refusal or LATE)
    against = told.refusal or versions.against(beat.heartbeat, told.store_ms)
    return _reporting(told, against, limits)


def _reporting(told: Told, against: str, limits: Limits) -> Seen:
    """Of one that reports in time. Where nobody reaches it writes stop; it is down when that lasted as long as it may
    be silent."""
    if told.info is None:
        return Seen(DOWN if told.unreachable_ms >= limits.offline_after_ms else READ_ONLY, UNREACHABLE)
    if told.info.state is not NodeState.UP:
        return Seen(_STATES[told.info.state], told.info.reason)
    return Seen(READ_ONLY, against) if against else Seen(UP, "")


def holds_until_ms(told: Told, limits: Limits) -> float:
    """Until when the same is seen if nothing more is heard: before that nobody has to look again."""
    heard_ms = told.beat.heard_ms if told.beat is not None and told.beat.heard_ms is not None else 0
    since_ms = max(heard_ms, told.listening_since_ms)
    ends = [since_ms + limits.warning_after_ms, since_ms + limits.offline_after_ms]
    if told.info is None:
        ends += [told.now_ms - told.unreachable_ms + after for after in (BLINK_MS, limits.offline_after_ms)]
    return min((each for each in ends if each > told.now_ms), default=math.inf)
