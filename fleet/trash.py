"""How early deleted bytes may go where space runs out: never while a read that may need them runs (pure but for Trash).

A blob removed at r is needed only by reads that began before r: later ones do not find it. A gateway says with each
beat when its oldest running read began, or the time of the beat where none runs; call it b. Every read that it runs
now began at b or later. So the bytes may go when b > r for every gateway whose session is open, by the same clock.
They are not quite the same: a gateway corrects itself to the coordinator's clock within seconds, and two beats are more
than two such errors. Hence r + two beats < b, for the smallest b. A gateway that has not said anything holds all.
A read whose session is closed is not waited for: its process is dead, or was stopped for longer than sessions live; it
breaks off when its bytes are gone, and never gets wrong ones.

Nor may bytes go that the newest snapshot still knows: r + two beats < its time. What waits as a stray is read by nobody
who would not look again elsewhere, so that only the snapshot counts; the rule is the same for simplicity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import nodes, sessions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import READABLE, NodeRow, SessionRow
from cyxcloud.objects.session import BEAT_SECONDS
from fleet.storeclock import CoordinatorClock

# With less of a node free than this share, what waits in the trash goes before its time.
RESERVE_SHARE = 0.1
SKEW_MS = int(2 * BEAT_SECONDS * 1000)
# Node rows say their sizes every 30 s, and holes are punched after that: what was given back shows within this time.
SETTLE_MS = 90_000


@dataclass(frozen=True, slots=True)
class Early:
    """What may go before it is due: on these nodes, where it was removed before this time."""

    nodes: frozenset[NodeNumber]
    removed_before_ms: int
    due_before_ms: int
    wanted_bytes: int


def pressed(rows: Iterable[NodeRow]) -> dict[NodeNumber, int]:
    """Nodes below their reserve, and the bytes that they lack."""
    lacking = {
        row.number: int(row.total_bytes * RESERVE_SHARE) - row.free_bytes for row in rows if row.state in READABLE
    }
    return {number: lack for number, lack in lacking.items() if lack > 0}


def removed_before_ms(now_ms: int, gateways: Iterable[SessionRow], snapshot_ms: int) -> int:
    """No running read, and no snapshot, knows what was removed before."""
    said = [row.oldest_read_ms or 0 for row in gateways]
    return min([now_ms, snapshot_ms, *said]) - SKEW_MS


class Trash:
    """`snapshot_ms`: when the newest snapshot was taken, None where there is none."""

    def __init__(
        self,
        clock: CoordinatorClock,
        snapshot_ms: Callable[[], int | None],
        *,
        grace_seconds: float,
        snapshot_seconds: float,
    ) -> None:
        self._clock, self._snapshot_ms = clock, snapshot_ms
        self._grace_ms, self._snapshot_after_ms = int(grace_seconds * 1000), int(snapshot_seconds * 1000)
        self._wanted_bytes = 0
        self._settled_ms = 0

    def early(self, conn: Connection) -> Early | None:
        """None while there is room, and until what was ordered for want of it is given back."""
        rows = {row.number: row for row in nodes.read_all(conn)}
        lacking = pressed(rows.values())
        seen_ms = max((rows[number].seen_at_ms for number in lacking), default=0)
        if seen_ms > self._settled_ms:
            self._wanted_bytes, self._settled_ms = sum(lacking.values()), seen_ms + SETTLE_MS
        if not lacking or self._wanted_bytes <= 0:
            return None
        now_ms = self._clock.now_ms()
        snapshot_ms = self._snapshot_ms()
        if snapshot_ms is None:
            snapshot_ms = now_ms - self._snapshot_after_ms
        gateways = [row for row in sessions.open_ones(conn) if row.role == "gateway"]
        before_ms = removed_before_ms(now_ms, gateways, snapshot_ms)
        return Early(frozenset(lacking), before_ms, before_ms + self._grace_ms, self._wanted_bytes)

    def ordered(self, size_bytes: int) -> None:
        """So many bytes are going to be given back."""
        self._wanted_bytes -= size_bytes
