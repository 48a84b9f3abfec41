"""Finds shards on the nodes that nothing refers to, and puts them in the trash (`stray` rows) for the delete grace.

The order is what makes it safe: first lapsed sessions are closed, then it is read which are, then a node is listed, and
only then the rows are read that place what was listed. So whatever could still be committed belongs to a session that
was open when the pass began, and stays. A shard that the mover has written lies where its chunk's placement, or a
successor of it, says. What is in the trash is looked at once more in the transaction that orders it.

Nothing goes before a restored store is adopted (it is only counted), and nothing on any node where more looks
unreferenced on one of them than is believed: then the whole pass is held until an operator lets the next one go on.

A step is one page of one node. A pass is kept in memory, since one takes minutes: after a crash it begins again, and
what it had put in the trash is known. Sessions closed since the last pass are looked through by themselves, at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from cyxcloud.core.ids import SHARD_ID_BYTES, NodeNumber, SessionNumber, ShardId, session_of
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import cluster, nodes, orders, placements, reconcile, strays
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DOWN, GONE, LOST, NodeRow, ReconcileRow, ReconcileState, StrayRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.orders import decode_order
from cyxcloud.wire.shardhost import ListAnswer, ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable
from fleet.sessions import SessionWatch
from fleet.storeclock import CoordinatorClock
from fleet.unreferenced import Sessions, Tally, held, unreferenced

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
# Shards in one step: their rows are read in a few milliseconds, on the coordinator's event loop.
PAGE_SHARDS = 500
# What a pass remembers of all nodes together; more is found again by the next one.
MAX_FOUND = 1_000_000
BATCH_STRAYS = 1000
# So many that a node has not carried out: what they name would have to be looked through for each page.
MAX_UNSETTLED = 100
MAX_UNKNOWN = 1000
_AWAY = frozenset({DOWN, LOST, GONE})


_Job = tuple[NodeNumber, SessionNumber | None, ShardId | None]


@dataclass(slots=True)
class _Found:
    """On one node."""

    row: NodeRow
    listed_bytes: int = 0
    found_bytes: int = 0
    found_shards: int = 0
    kept: bytearray = field(default_factory=bytearray)

    def add(self, shards: dict[ShardId, int], room: int) -> None:
        self.found_bytes += sum(shards.values())
        self.found_shards += len(shards)
        for shard in list(shards)[:room]:
            self.kept += shard.pack()

    def shards(self) -> Iterator[ShardId]:
        for at in range(0, len(self.kept), SHARD_ID_BYTES):
            yield ShardId.unpack(bytes(self.kept[at : at + SHARD_ID_BYTES]))

    @property
    def is_whole(self) -> bool:
        return self.found_shards * SHARD_ID_BYTES == len(self.kept)

    def tally(self) -> Tally:
        size = max(self.row.used_bytes, self.listed_bytes)
        return Tally(self.row.number, size, self.found_bytes, self.found_shards)


@dataclass(slots=True)
class _Pass:
    """Over whole nodes, or over some sessions' shards (`is_whole` False). `jobs`: what is still to be listed, with the
    last shard seen."""

    began_ms: int
    is_whole: bool
    closed: frozenset[SessionNumber]
    allowed: frozenset[NodeNumber]
    found: dict[NodeNumber, _Found]
    jobs: deque[_Job]

    @property
    def room(self) -> int:
        return MAX_FOUND - sum(len(each.kept) for each in self.found.values()) // SHARD_ID_BYTES

    def drop(self, node: NodeNumber) -> None:
        """It went away: another pass will see it."""
        self.found.pop(node, None)
        self.jobs = deque(job for job in self.jobs if job[0] != node)


class Reconciler:
    name = "reconciler"

    def __init__(
        self,
        hosts: Sequence[ShardHost],
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        sessions: SessionWatch,
        *,
        interval_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._hosts, self._reader, self._writer, self._clock = hosts, reader, writer, clock
        self._sessions = sessions
        self._interval_ms, self._grace_ms = int(interval_seconds * 1000), int(grace_seconds * 1000)
        self._look_seconds = min(LOOK_SECONDS, max(0.1, interval_seconds))
        self._swept: frozenset[SessionNumber] | None = None
        self._pass: _Pass | None = None
        self.unknown: set[SessionNumber] = set()  # of what the last whole pass saw; some of them

    async def step(self, now: float) -> Did | Idle:
        if self._pass is None:
            await self._begin(now)
        current = self._pass
        if current is None:
            return Idle(now + self._look_seconds)
        if current.jobs:
            return Did(await self._list(current), "comparing nodes with the metadata")
        self._pass = None
        return Did(await self._end(current), "filing unreferenced shards")

    # Which pass

    async def _begin(self, now: float) -> None:
        known = {row.node: row for row in reconcile.read_all(self._reader)}
        if any(row.state is ReconcileState.HELD and not row.allowed for row in known.values()):
            return
        await self._sessions.close_lapsed(now)
        closed = reconcile.closed_sessions(self._reader)
        rows = [row for row in nodes.read_all(self._reader) if row.state not in _AWAY and self._host(row)]
        due = [row for row in rows if self._is_due(known.get(row.number))]
        fresh = frozenset(closed) - self._swept_before(closed, known)
        if due:
            allowed = frozenset(node for node, row in known.items() if row.allowed)
            self._open(due, [None], closed, allowed)
        elif fresh:
            self._open(rows, sorted(fresh), closed, frozenset())
        if len(due) == len(rows) or not due:
            self._swept = frozenset(closed)

    def _open(
        self,
        rows: Sequence[NodeRow],
        sessions: Sequence[SessionNumber | None],
        closed: Iterable[SessionNumber],
        allowed: frozenset[NodeNumber],
    ) -> None:
        jobs: deque[_Job] = deque((row.number, session, None) for row in rows for session in sessions)
        found = {row.number: _Found(row) for row in rows}
        is_whole = None in sessions
        if is_whole:
            self.unknown.clear()
        self._pass = _Pass(self._clock.now_ms(), is_whole, frozenset(closed), allowed, found, jobs)

    def _is_due(self, last: ReconcileRow | None) -> bool:
        store = cluster.read(self._reader)
        assert store is not None
        if last is None or last.allowed or last.began_at_ms < (store.restored_at_ms or 0):
            return True
        if last.state is ReconcileState.COUNTED and store.adopted:
            return True
        return self._clock.now_ms() - last.began_at_ms >= self._interval_ms

    def _swept_before(
        self, closed: dict[SessionNumber, int], known: dict[NodeNumber, ReconcileRow]
    ) -> frozenset[SessionNumber]:
        """Sessions that every node was looked through for, since they were closed."""
        if self._swept is not None:
            return self._swept
        since_ms = min((row.began_at_ms for row in known.values()), default=0)
        return frozenset(number for number, at_ms in closed.items() if at_ms < since_ms)

    # One page

    async def _list(self, current: _Pass) -> int:
        node, session, after = current.jobs[0]
        row = current.found[node].row
        host = self._host(row)
        unsettled = orders.unsettled(self._reader, node, MAX_UNSETTLED)
        # Orders from this one on may delete what the list is going to name.
        first = unsettled[0].sequence if unsettled else orders.next_sequence(self._reader, node)
        try:
            if host is None or len(unsettled) == MAX_UNSETTLED:
                raise HostUnavailable("its host is gone, or it has many orders to carry out first")  # noqa: TRY301
            answer = await host.list_shards(row.node_id, after, PAGE_SHARDS, session)
        except (HostUnavailable, HostRefused) as error:
            log.info("node left out of this pass", node=row.name, reason=str(error))
            current.drop(node)
            return 0
        self._judge(current, node, answer, first)
        if answer.more and answer.shards:
            current.jobs[0] = (node, session, answer.shards[-1])
        else:
            current.jobs.popleft()
        return len(answer.shards)

    def _judge(self, current: _Pass, node: NodeNumber, answer: ListAnswer, first_order: int) -> None:
        reader = self._reader
        listed = dict(zip(answer.shards, answer.sizes, strict=True))
        with reader.snapshot():
            store = cluster.read(reader)
            assert store is not None
            where = reconcile.homes(placements.read_all(reader))
            pending = reconcile.waiting(reader, node, answer.shards)
            for order in orders.since(reader, node, first_order):
                pending.update(decode_order(order.body).shards)
            sessions = Sessions(
                current.closed,
                lambda number: reconcile.is_known(reader, number),
                unknown_are_closed=store.restored_at_ms is not None,
            )
            self._note_unknown(answer.shards)
            found = unreferenced(listed, reconcile.placed(reader, node, answer.shards, where), pending, sessions)
        there = current.found[node]
        there.listed_bytes += sum(listed.values())
        there.add(found, current.room)

    def _note_unknown(self, shards: Iterable[ShardId]) -> None:
        for number in {session_of(shard.blob) for shard in shards}:
            if len(self.unknown) < MAX_UNKNOWN and not reconcile.is_known(self._reader, number):
                self.unknown.add(number)

    def _host(self, row: NodeRow) -> ShardHost | None:
        return next((each for each in self._hosts if each.connected and row.node_id in each.nodes), None)

    # Its end

    async def _end(self, current: _Pass) -> int:
        tallies = [each.tally() for each in current.found.values()]
        too_much = {tally.node for tally in held(tallies, current.allowed)}
        for tally in tallies:
            if tally.node in too_much:
                log.error(
                    "reconciliation is held: too much looks unreferenced; see `cyxcloud meta adopt`",
                    node=current.found[tally.node].row.name,
                    unreferenced_bytes=tally.found_bytes,
                    node_bytes=tally.node_bytes,
                )
        filed = 0
        store = cluster.read(self._reader)
        is_adopted = store is not None and store.adopted
        if is_adopted and not too_much:
            filed = await self._file(current)
        if current.is_whole or too_much:
            rows = [self._outcome(current, tally, too_much, is_adopted=is_adopted) for tally in tallies]
            await self._writer.submit(lambda conn: reconcile.put(conn, rows))
        return filed

    def _outcome(self, current: _Pass, tally: Tally, too_much: set[NodeNumber], *, is_adopted: bool) -> ReconcileRow:
        state = ReconcileState.DONE
        if tally.node in too_much:
            state = ReconcileState.HELD
        elif too_much or not is_adopted or not current.found[tally.node].is_whole:
            state = ReconcileState.COUNTED
        return ReconcileRow(tally.node, state, tally.found_bytes, tally.found_shards, current.began_ms)

    async def _file(self, current: _Pass) -> int:
        due_ms = self._clock.now_ms() + self._grace_ms
        found = [
            StrayRow(node, shard.blob, shard.chunk, shard.index, due_ms)
            for node, there in current.found.items()
            for shard in there.shards()
        ]
        for at in range(0, len(found), BATCH_STRAYS):
            some = found[at : at + BATCH_STRAYS]
            await self._writer.submit(lambda conn: strays.add(conn, some), is_long=True)  # noqa: B023 - awaited here
        if found:
            log.info("unreferenced shards put in the trash", shards=len(found), bytes=_bytes_of(current))
        return len(found)


def _bytes_of(current: _Pass) -> int:
    return sum(each.found_bytes for each in current.found.values())
