"""Drain, or graceful exit: what a node holds is made anew elsewhere, then it gets a signed receipt and is gone.

`begin` marks the node as leaving, which takes it out of the pool and has the mover give its placements successors; it
stays a readable source for as long as anything lies there. The worker ends a drain once no placement that holds chunks
names the node and every deletion ordered there has its receipt, and has looked twice, since writes that were under way
may still commit. Whatever commits even later finds a node that is gone, and the mover makes it whole at once.
Receipt, end and retirement are one transaction: killed before, the next step does it; after, it is done.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, cluster, drains, node_events, nodes, placements, strays
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.drains import DrainRow, DrainState
from cyxcloud.meta.rows import GONE, UP, NodeRow
from cyxcloud.meta.writer import Writer
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import CHUNK_BYTES, sealed_size
from fleet.deletions import Signer
from fleet.drainreceipt import DrainReceipt, sign_receipt
from fleet.mover.plan import RETIRED
from fleet.publishing import publish_pools
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
# A node that looks empty is looked at again: gateways follow the pool within a second, and a request's commit is soon
# behind its last shard.
SETTLE_SECONDS = 5.0
# The rate that people see is that of about a minute.
SAMPLE_SECONDS = 5.0
SAMPLES = 12
PAGE = 1000
BEGUN, CANCELLED, RESUMED, ENDED = "drain begun", "drain cancelled", "drain resumed", "drained"


class DrainRefused(Exception):
    """Why this node's drain cannot begin, be cancelled or be resumed."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Shards on a node that have to move, and their bytes."""

    shards: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """`left`: chunks that still have a shard there. `expected_end_ms` is None while nothing moves."""

    row: DrainRow
    name: str
    left: int
    bytes_per_second: float = 0.0
    expected_end_ms: int | None = None
    waiting_for: tuple[str, ...] = ()


@dataclass(slots=True)
class _Pace:
    """What had moved at which time, the newest last."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def note(self, now: float, moved: int) -> None:
        if not self.samples or now - self.samples[-1][0] >= SAMPLE_SECONDS:
            self.samples = [*self.samples[-SAMPLES:], (now, moved)]

    def per_second(self, now: float, moved: int) -> float:
        if not self.samples or now <= self.samples[0][0]:
            return 0.0
        began, before = self.samples[0]
        return (moved - before) / (now - began)


class Drains:
    name = "drains"

    def __init__(self, reader: Connection, writer: Writer, clock: CoordinatorClock, signer: Signer) -> None:
        self._reader, self._writer, self._clock, self._signer = reader, writer, clock, signer
        self._random = random.SystemRandom()
        self._empty_since: dict[NodeNumber, float] = {}
        self._pace: dict[NodeNumber, _Pace] = {}
        self._now = 0.0

    async def step(self, now: float) -> Did | Idle:
        self._now, ended = now, 0
        for row in drains.read_all(self._reader):
            if row.state is not DrainState.DRAINING:
                continue
            self._pace.setdefault(row.node, _Pace()).note(now, row.bytes_moved)
            if not is_empty(self._reader, row.node):
                self._empty_since.pop(row.node, None)
            elif now - self._empty_since.setdefault(row.node, now) >= SETTLE_SECONDS:
                ended += await self._writer.submit(partial(self._end, number=row.node), is_long=True)
        return Did(ended, "draining") if ended else Idle(now + LOOK_SECONDS)

    # What operators ask for

    async def begin(self, number: NodeNumber) -> DrainRow:
        """A drain that was cancelled goes on."""
        known = drains.read(self._reader, number)
        if known is not None and known.state is DrainState.CANCELLED:
            return await self.resume(number)
        holding = await holding_of(self._reader, number)
        now_ms = self._clock.now_ms()

        def change(conn: Connection) -> None:
            _check(conn, number)
            if drains.read(conn, number) is not None:
                raise DrainRefused("it is being drained already")
            drains.begin(conn, number, now_ms=now_ms, shards=holding.shards, size_bytes=holding.size_bytes)
            self._set_leaving(conn, number, leaving=True)
            node_events.record(conn, number, now_ms, BEGUN, {"shards": holding.shards, "bytes": holding.size_bytes})

        await self._writer.submit(change, is_long=True)
        return self._row(number)

    async def cancel(self, number: NodeNumber) -> DrainRow:
        """The node stays and takes writes again; what has moved stays where it is."""

        def change(conn: Connection) -> None:
            if not drains.cancel(conn, number):
                raise DrainRefused("it is not being drained")
            self._set_leaving(conn, number, leaving=False)
            node_events.record(conn, number, self._clock.now_ms(), CANCELLED, {})

        await self._writer.submit(change, is_long=True)
        self._pace.pop(number, None)
        self._empty_since.pop(number, None)
        return self._row(number)

    async def resume(self, number: NodeNumber) -> DrainRow:
        def change(conn: Connection) -> None:
            _check(conn, number)
            if not drains.resume(conn, number):
                raise DrainRefused("no drain of it was cancelled")
            self._set_leaving(conn, number, leaving=True)
            node_events.record(conn, number, self._clock.now_ms(), RESUMED, {})

        await self._writer.submit(change, is_long=True)
        return self._row(number)

    def progress(self) -> list[DrainProgress]:
        """Of all drains there ever were, those that ended among them, with their receipts."""
        conn = self._reader
        with conn.snapshot():
            rows = drains.read_all(conn)
            known = {row.number: row for row in nodes.read_all(conn)}
            counts = _chunks_by_node(conn, {row.node for row in rows if row.state is not DrainState.DRAINED})
            return [self._progress_of(conn, row, known[row.node], counts.get(row.node, 0)) for row in rows]

    def _progress_of(self, conn: Connection, row: DrainRow, node: NodeRow, left: int) -> DrainProgress:
        name = node.name.partition(RETIRED)[0]
        if row.state is not DrainState.DRAINING:
            return DrainProgress(row, name, left)
        pace = self._pace.get(row.node, _Pace())
        per_second = pace.per_second(self._now, row.bytes_moved)
        each = row.bytes_moved / row.shards_moved if row.shards_moved else row.size_bytes / max(1, row.shards)
        ends_ms = self._clock.now_ms() + int(1000 * left * each / per_second) if per_second > 0 else None
        return DrainProgress(row, name, left, per_second, ends_ms, _reasons(conn, node, left))

    # Its end

    def _end(self, conn: Connection, number: NodeNumber) -> bool:
        row, node = drains.read(conn, number), _node(conn, number)
        if row is None or row.state is not DrainState.DRAINING or not is_empty(conn, number):
            return False
        now_ms = self._clock.now_ms()
        body, signature = sign_receipt(self._signer.key, self._receipt(row, node, now_ms))
        drains.end(conn, number, now_ms=now_ms, receipt=body, signature=signature)
        nodes.retire(conn, number, f"{node.name}{RETIRED}{number}", node.endpoint, now_ms, reason="drained")
        strays.remove_node(conn, number)
        said = {"shards_moved": row.shards_moved, "bytes_moved": row.bytes_moved}
        node_events.record(conn, number, now_ms, ENDED, said, evidence=body + signature)
        self._publish(conn)
        log.warning("node is drained", node=node.name, shards=row.shards_moved, bytes=row.bytes_moved)
        return True

    def _receipt(self, row: DrainRow, node: NodeRow, now_ms: int) -> DrainReceipt:
        return DrainReceipt(
            cluster=self._signer.cluster.cluster_id.hex(),
            incarnation=self._signer.cluster.incarnation.hex(),
            node=node.node_id.hex(),
            name=node.name,
            shards=row.shards,
            bytes=row.size_bytes,
            shards_moved=row.shards_moved,
            bytes_moved=row.bytes_moved,
            begun_at_ms=row.begun_at_ms,
            ended_at_ms=now_ms,
        )

    def _set_leaving(self, conn: Connection, number: NodeNumber, *, leaving: bool) -> None:
        nodes.set_leaving(conn, number, leaving=leaving)
        self._publish(conn)

    def _publish(self, conn: Connection) -> None:
        publish_pools(conn, [row for row in nodes.read_all(conn) if row.state != GONE], self._random)
        cluster.bump(conn, Epoch.TOPOLOGY)

    def _row(self, number: NodeNumber) -> DrainRow:
        row = drains.read(self._reader, number)
        assert row is not None
        return row


def is_empty(conn: Connection, number: NodeNumber) -> bool:
    """Whether no chunk row places a shard there, and nothing that lay there is still to be deleted."""
    lists = {row.id: row for row in placements.read_all(conn)}
    if any(number in lists[each].nodes for each in placements.in_use(conn)):
        return False
    return not drains.has_leftovers(conn, number)


async def holding_of(conn: Connection, number: NodeNumber) -> Holding:
    """Counted page by page, with the loop free between two."""
    shards = size_bytes = 0
    lists = {row.id: row for row in placements.read_all(conn)}
    for placement in placements.in_use(conn):
        if number not in lists[placement].nodes:
            continue
        after, page = (-1, -1), PAGE
        while page == PAGE:
            rows = drains.chunks_held(conn, placement, after, PAGE)
            shards += len(rows)
            size_bytes += sum(shard_bytes(size - n * CHUNK_BYTES, k, m) for _, n, size, k, m in rows)
            page = len(rows)
            after = (rows[-1][0], rows[-1][1]) if rows else after
            await asyncio.sleep(0)
    return Holding(shards, size_bytes)


def shard_bytes(plaintext: int, k: int, m: int) -> int:
    """Of one shard of a chunk; `plaintext`: what is left of the blob from its beginning."""
    return codec(k, m).shard_size(sealed_size(min(CHUNK_BYTES, plaintext)))


def _check(conn: Connection, number: NodeNumber) -> None:
    """Whether the others can hold a chunk without it."""
    known = {row.number: row for row in nodes.read_all(conn)}
    if number not in known or known[number].state == GONE:
        raise DrainRefused("no such node")
    staying = [each for each in known.values() if each.state == UP and not each.leaving and each.number != number]
    newest = max(placements.read_all(conn), key=lambda each: each.id, default=None)
    if newest is not None and len(staying) < len(newest.nodes):
        raise DrainRefused(
            f"the {len(staying)} nodes that would be left cannot hold the {len(newest.nodes)} shards of a chunk: "
            "add nodes first"
        )


def _node(conn: Connection, number: NodeNumber) -> NodeRow:
    return next(row for row in nodes.read_all(conn) if row.number == number)


def _chunks_by_node(conn: Connection, numbers: set[NodeNumber]) -> Mapping[NodeNumber, int]:
    lists = {row.id: row for row in placements.read_all(conn)}
    found = dict.fromkeys(numbers, 0)
    for placement, count in blobs.count_by_placement(conn).items():
        for number in numbers.intersection(lists[placement].nodes):
            found[number] += count
    return found


def _reasons(conn: Connection, node: NodeRow, left: int) -> tuple[str, ...]:
    """What a drain that goes on waits for."""
    if left:
        return (f"{left} chunks still lie there",)
    if drains.has_leftovers(conn, node.number):
        return ("what has moved is still to be deleted there",)
    return ("looked at once more",)
