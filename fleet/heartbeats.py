"""Heartbeats as they come in: checked, kept in memory, written down in batches.

Taken is what the node's own certificate brings, its own key signed, and a greater sequence numbers than any before: a
copy of an old one is refused. What is in memory says who is alive; the table (a transaction each 5 s) only tells the
next coordinator where the sequences stand and what was last said. A crash loses those seconds: an old heartbeat could
then be taken a second time, but only from who holds the node's private key, by the certificate.

A node whose clock is off by more than a setting is told so and its report refused: tickets and orders expire by
clocks, so it would refuse good ones or take dead ones. The reason is shown at once, it is not merely silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.core.settings import FleetSettings
from cyxcloud.core.version import SOFTWARE
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import cluster, denials, heartbeats, nodes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.heartbeats import HeartbeatRow
from cyxcloud.meta.rows import DISQUALIFIED, GONE, NodeRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.heartbeat import Answer, Heartbeat, Outcome, SignedHeartbeat, decode_heartbeat, parse_heartbeat
from cyxcloud.wire.status import WireError
from fleet.policy import VersionPolicy
from fleet.skew import common_offset_ms, said
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 5.0
# Bounds the writer's turn; at 333 heartbeats a second one batch holds what came in between two flushes.
BATCH_ROWS = 2000
# Who asks for an unknown node makes us read the rows again, but not more often than this.
_REREAD_SECONDS = 1.0


class NotTheNode(Exception):
    """The heartbeat is not from the node whose certificate brought it, or from no node of this fleet."""


@dataclass(frozen=True, slots=True)
class Beat:
    """`heard_ms`: when it came, by the coordinator's monotonic clock; None when an earlier coordinator took it."""

    heartbeat: Heartbeat
    at_ms: int
    heard_ms: int | None
    body: bytes
    signature: bytes


class Heartbeats:
    name = "heartbeats"

    def __init__(
        self,
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        system: Clock,
        settings: FleetSettings,
        *,
        dial_addresses: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._reader, self._writer, self._clock, self._system = reader, writer, clock, system
        self._settings, self._dial_addresses = settings, dial_addresses
        self._versions = VersionPolicy.of(settings)
        self._rows: dict[NodeId, NodeRow] = {}
        self._asked_at = float("-inf")
        self._beats = _kept(reader)
        self._unwritten: set[NodeNumber] = set()
        self._offsets: dict[NodeNumber, tuple[float, int]] = {}  # when said, and how far off its clock was
        self._common: tuple[float, int] = (float("-inf"), 0)
        self._refused: dict[NodeNumber, str] = {}
        self._epochs = cluster.epochs(reader)
        self._denied = denials.read_all(reader)
        self._read_rows()
        self.listening_since_ms = self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return int(self._system.monotonic() * 1000)

    def last_of(self, number: NodeNumber) -> Beat | None:
        return self._beats.get(number)

    def refusal_of(self, number: NodeNumber) -> str:
        """Why its reports are not taken at present, for people; empty when they are."""
        return self._refused.get(number, "")

    # -- what comes in

    def take(self, peer: NodeId, data: bytes) -> Answer:
        """`peer` is whose certificate brought it. NotTheNode and WireError: nothing is said to this one."""
        signed = parse_heartbeat(data)
        row = self._row_of(peer)
        if signed.heartbeat.node_id != peer or row is None:
            raise NotTheNode("the certificate is not that of a node of this fleet, or of another than it reports for")
        if peer in self._denied:
            raise NotTheNode("this node's key is denied")
        assert row.public_key is not None
        if not signed.signed_by(row.public_key):
            raise NotTheNode("the heartbeat is not signed by its node")
        last = self._beats.get(row.number)
        if last is not None and signed.heartbeat.sequence <= last.heartbeat.sequence:
            return self._answer(Outcome.REPLAYED, last.heartbeat.sequence)
        if self._is_skewed(row, signed.heartbeat):
            return self._answer(Outcome.SKEWED)
        self._keep(row, signed)
        return self._answer(Outcome.TAKEN)

    def _keep(self, row: NodeRow, signed: SignedHeartbeat) -> None:
        if self._refused.pop(row.number, ""):
            log.warning("node's heartbeats are taken again", node=row.name)
        self._beats[row.number] = Beat(
            signed.heartbeat, self._clock.now_ms(), self.monotonic_ms(), signed.body, signed.signature
        )
        self._unwritten.add(row.number)

    def _is_skewed(self, row: NodeRow, heartbeat: Heartbeat) -> bool:
        offset_ms = heartbeat.timestamp_ms - self._system.now_ms()
        self._offsets[row.number] = self._system.monotonic(), offset_ms
        limit_ms = self._settings.clock_skew * 1000
        if abs(offset_ms - self._common[1]) <= limit_ms:
            return False
        off_ms = offset_ms - self._common_offset_ms()
        if abs(off_ms) <= limit_ms:
            return False
        reason = said(off_ms)
        if self._refused.get(row.number) != reason:
            log.warning("heartbeats refused", node=row.name, reason=reason)
        self._refused[row.number] = reason
        return True

    def _common_offset_ms(self) -> int:
        """Looked at anew only when somebody seems off, and at most once a second."""
        now = self._system.monotonic()
        if now - self._common[0] >= _REREAD_SECONDS:
            since = now - self._settings.warning_after
            offset_ms = common_offset_ms([offset for at, offset in self._offsets.values() if at >= since])
            if abs(offset_ms - self._common[1]) > self._settings.clock_skew * 1000:
                log.error("this coordinator's clock is not its nodes'", off_by_seconds=offset_ms // 1000)
            self._common = now, offset_ms
        return self._common[1]

    def _answer(self, outcome: Outcome, last_sequence: int = 0) -> Answer:
        return Answer(
            outcome=outcome,
            server_time_ms=self._system.now_ms(),
            interval_ms=int(self._settings.heartbeat * 1000),
            wanted_version=SOFTWARE,
            least_version=self._versions.least,
            least_version_from_ms=self._versions.from_ms,
            denied_epoch=self._epochs.trust,
            dial_addresses=self._dial_addresses(),
            last_sequence=last_sequence,
        )

    # -- who they are

    def _row_of(self, node: NodeId) -> NodeRow | None:
        now = self._system.monotonic()
        if node not in self._rows and now - self._asked_at >= _REREAD_SECONDS:
            self._asked_at = now
            self._follow()
        return self._rows.get(node)

    def _follow(self) -> None:
        """Read what the epochs say is another now; who was turned away comes again and must not cost more than that."""
        epochs = cluster.epochs(self._reader)
        if epochs != self._epochs:
            self._epochs, self._denied = epochs, denials.read_all(self._reader)
            self._read_rows()

    def _read_rows(self) -> None:
        rows = [row for row in nodes.read_all(self._reader) if row.is_remote]
        self._rows = {row.node_id: row for row in rows if row.state != GONE and row.standing != DISQUALIFIED}
        stays = {row.number for row in self._rows.values()}
        for kept in (self._beats, self._offsets, self._refused):
            for number in kept.keys() - stays:
                del kept[number]
        self._unwritten &= stays

    # -- writing down

    async def step(self, now: float) -> Did | Idle:
        self._follow()
        batch = sorted(self._unwritten)[:BATCH_ROWS]
        if not batch:
            return Idle(now + FLUSH_SECONDS)
        beats = {number: self._beats[number] for number in batch}
        await self._writer.submit(lambda conn: _write(conn, beats))
        self._unwritten -= {number for number, beat in beats.items() if self._beats.get(number) is beat}
        return Did(len(batch)) if len(batch) == BATCH_ROWS else Idle(now + FLUSH_SECONDS)


def _write(conn: Connection, beats: dict[NodeNumber, Beat]) -> None:
    """Safe to repeat: an older sequence changes nothing."""
    heartbeats.save(
        conn,
        [
            HeartbeatRow(number, beat.heartbeat.sequence, beat.at_ms, beat.body, beat.signature)
            for number, beat in beats.items()
        ],
    )
    for number, beat in beats.items():
        nodes.set_seen(
            conn,
            number,
            total_bytes=beat.heartbeat.total_storage_bytes,
            used_bytes=beat.heartbeat.used_storage_bytes,
            free_bytes=beat.heartbeat.free_bytes,
            shard_count=beat.heartbeat.shard_count,
            seen_at_ms=beat.at_ms,
        )


def _kept(reader: Connection) -> dict[NodeNumber, Beat]:
    """What an earlier coordinator wrote down."""
    found = {}
    for row in heartbeats.read_all(reader):
        try:
            found[row.node] = Beat(decode_heartbeat(row.body), row.at_ms, None, row.body, row.signature)
        except WireError as error:
            log.error("a kept heartbeat cannot be read", node=row.node, reason=str(error))  # noqa: TRY400 - no fault of ours
    return found
