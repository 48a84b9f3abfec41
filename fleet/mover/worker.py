"""The mover: read repair, scrub repair, replaced nodes, lost folders and nodes that stay away, all by one way.

Each step makes successors where the plan says so, heals a bounded batch of the chunks most at risk, and commits it
under the mover's own write session. Nothing is remembered but in the database, so it stops and goes on anywhere; a
placement that has a successor is looked at for good, because a write that was under way may still commit into it.
It stays below its rate, codes in threads of low priority and holds a few chunks at a time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.settings import MoverSettings
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, cluster, leases, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.leases import Held
from cyxcloud.meta.nodes import read_all as read_nodes
from cyxcloud.meta.rows import DOWN, LOST, PlacementState
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.session import HeldSession
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import CHUNK_BYTES, sealed_size
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.shards.plane import DataPlane
from fleet.mover import succession
from fleet.mover.bounds import Bounds, Use
from fleet.mover.breaker import Cohort, cohort
from fleet.mover.commit import Commit, Outcome
from fleet.mover.levelling import Levelling
from fleet.mover.levelling import succeed as succeed_levelled
from fleet.mover.plan import Terms
from fleet.mover.queue import Queue, Wound
from fleet.mover.rebuild import Healed, Rebuilder, Task
from fleet.mover.shares import PLANNING, Shares, share_of
from fleet.mover.view import View, read_view
from fleet.mover.waiting import Waiting, waiting
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
IDLE_SECONDS = 3600.0
# A write that began before its node was replaced may commit long after into a placement that held nothing before.
LATE_WRITES_SECONDS = 10.0
# One is fetched while another is coded. Each holds some 14 MiB.
IN_FLIGHT = 2
# One transaction; at the default rate less than a second's work.
BATCH = 24
# Beyond nodes that are at their bounds it is looked so far for chunks of others.
MOST_PUT_OFF = 64
MIB = 1 << 20


@dataclass(slots=True)
class Tally:
    """What status shows. `stuck`: placements that lack a node and no other can stand in. `alert`: many nodes went
    together, and are `waiting_for` until then. `spread`: how far the fullest or emptiest node is from its share."""

    running: int = 0
    done: int = 0
    bytes: int = 0
    stuck: int = 0
    failing: int = 0
    waiting_for: tuple[str, ...] = ()
    waiting_until_ms: int = 0
    alert: str = ""
    spread: float = 0.0


class Mover:
    name = "mover"

    def __init__(  # noqa: PLR0917 - all that it works with
        self,
        plane: DataPlane,
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        settings: MoverSettings,
        delete_grace_seconds: float,
        rng: random.Random | None = None,
        shares: Shares | None = None,
    ) -> None:
        """`shares`: of several movers on one database; without it all the work is this one's."""
        self._shares = shares
        self._plane, self._reader, self._writer, self._clock = plane, reader, writer, clock
        self._enabled = settings.enabled
        self._terms = Terms(int(settings.away * 1000), int(settings.grace * 1000))
        self._breaker_ms = int(settings.breaker * 1000)
        self._grace_ms = int(delete_grace_seconds * 1000)
        self._random = rng or random.SystemRandom()
        self._rebuilder, self._queue = Rebuilder(plane), Queue(reader, self._owns)
        now = plane.clock.monotonic()
        self._bounds = Bounds(settings.mib_per_second * MIB, settings.node_mib_per_second * MIB, now)
        self._levelling = Levelling(reader, settings, now)
        self._started_ms = clock.now_ms()
        self._session = HeldSession(writer, "mover", clock.now_ms)
        self._epoch = self._planned_epoch = -1
        self._plan_at = 0.0
        self._view = View({}, {})
        self._held: dict[str, Held] = {}
        self._cohort = Cohort()
        self._urgent: set[NodeNumber] = set()
        self.tally = Tally()

    async def step(self, now: float) -> Did | Idle:
        if not self._enabled:
            return Idle(now + IDLE_SECONDS)
        await self._session.keep(now)
        self._look()
        self._take_shares()
        made = await self._succeed(now) if self._plans else 0
        if not self._bounds.has_room(now):
            return Idle(self._bounds.ready_at())
        tasks, held_back = self._choose(now)
        if not tasks and held_back:
            return Idle(min(now + LOOK_SECONDS, self._bounds.ready_at(held_back)))
        if not tasks:
            made += await self._level(now) if self._plans else 0
            return Did(made, "making successors") if made else Idle(now + LOOK_SECONDS)
        healed = await self._heal(tasks)
        outcome = await self._commit(healed)
        for key in outcome.again:
            self._queue.pause(key, now)
        self.tally.failing = self._queue.paused
        return Did(len(tasks) - len(outcome.again), "moving")

    # What operators ask for

    def give_up(self, number: NodeNumber) -> bool:
        """What a node that cannot be read holds is made anew now, though it may come back; until it does, or until this
        process ends. False for one that can be read."""
        if self._view.can_read(number):
            return False
        self._urgent.add(number)
        self._plan_at = 0.0
        return True

    def waiting(self) -> list[Waiting]:
        """What is not whole, or not where it belongs, and what each waits for."""
        with self._reader.snapshot():
            return waiting(self._reader, self.situation(self._clock.now_ms()))

    def situation(self, now_ms: int) -> succession.Situation:
        self._urgent = {number for number in self._urgent if not self._view.can_read(number)}
        return succession.Situation(now_ms, self._started_ms, self._terms, self._cohort, frozenset(self._urgent))

    # Where there are several

    def _take_shares(self) -> None:
        """What is done from now on is done under these."""
        held = self._held if self._shares is None else self._shares.held
        if held != self._held:
            self._held = dict(held)
            self._queue.reconsider()
            self._planned_epoch = -1

    def _owns(self, placement: PlacementId) -> bool:
        return self._shares is None or share_of(placement) in self._held

    @property
    def _plans(self) -> bool:
        return self._shares is None or PLANNING in self._held

    @property
    def _planning(self) -> list[Held]:
        return [self._held[PLANNING]] if PLANNING in self._held else []

    # What there is to do

    def _look(self) -> None:
        epoch = cluster.epochs(self._reader).topology
        if epoch != self._epoch:
            with self._reader.snapshot():
                self._epoch, self._view = cluster.epochs(self._reader).topology, read_view(self._reader)
            self._queue.reconsider()
        self._plane.hosts.refresh()

    async def _succeed(self, now: float) -> int:
        """New successors, where nodes are missing for so long."""
        if now < self._plan_at and self._planned_epoch == self._epoch:
            return 0
        may_fall_due = any(row.state in {DOWN, LOST} for row in self._view.nodes.values())
        self._plan_at = now + (LOOK_SECONDS if may_fall_due else LATE_WRITES_SECONDS)
        self._planned_epoch = self._epoch
        now_ms = self._clock.now_ms()
        self._watch_breaker(now_ms)
        situation, planning = self.situation(now_ms), self._planning
        plan = succession.look(self._reader, situation, self._random)
        self.tally.stuck = len(plan.stuck)
        if not plan.moves:
            return 0

        def succeed(conn: Connection) -> int:
            leases.check(conn, *planning)
            again = succession.look(conn, situation, self._random)
            return succession.succeed(conn, again)

        made = await self._session.submit(succeed)
        log.warning("placements get successors", count=made, stuck=len(plan.stuck))
        self._look()
        return made

    def _watch_breaker(self, now_ms: int) -> None:
        rows = list(read_nodes(self._reader))
        m = max((row.m for row in self._view.placements.values()), default=0)
        found = cohort(rows, now_ms, started_ms=self._started_ms, m=m, hold_ms=self._breaker_ms)
        if found.nodes != self._cohort.nodes:
            names = tuple(row.name for row in rows if row.number in found.nodes)
            where = f" in zone {', '.join(found.zones)}" if any(found.zones) else ""
            if names:
                self.tally.alert = f"{len(names)} of {len(rows)} nodes went together{where}: not repaired for now"
                log.error(self.tally.alert, nodes=names)
            else:
                self.tally.alert = ""
                log.warning("nodes that went together are not waited for any more", late=len(found.late))
            self.tally.waiting_for = names
        self._cohort, self.tally.waiting_until_ms = found, found.until_ms

    async def _level(self, now: float) -> int:
        """New successors because some nodes are emptier; only where there is nothing else to do."""
        moves = self._levelling.plan(self._view, now)
        self.tally.spread = round(self._levelling.spread, 3)
        if not moves:
            return 0
        planning = self._planning

        def succeed(conn: Connection) -> int:
            leases.check(conn, *planning)
            return succeed_levelled(conn, moves)

        made = await self._session.submit(succeed)
        log.info("placements get emptier nodes", count=made)
        return made

    def _choose(self, now: float) -> tuple[list[Task], list[Use]]:
        """The next batch, no more than the bounds allow, and what would go beyond a node's."""
        tasks: list[Task] = []
        put_off: list[Wound] = []
        held_back: list[Use] = []
        self._queue.fill(self._view, now)
        while len(tasks) < BATCH and len(put_off) < MOST_PUT_OFF and self._bounds.has_room(now):
            wound = self._queue.next()
            if wound is None:
                break
            task = self._task(wound)
            if task is None:
                self._queue.resolved((wound.blob, wound.chunk))
            elif self._bounds.allows(use := self._use(task), now):
                self._bounds.take(use)
                tasks.append(task)
            else:
                put_off.append(wound)
                held_back.append(use)
        self._queue.put_back(put_off)
        return tasks, held_back

    def _use(self, task: Task) -> Use:
        """Of mended shards too, as if all of them were written anew."""
        ref, slots = task.ref, {*task.moved, *task.suspects}
        shard = codec(ref.k, ref.m).shard_size(sealed_size(ref.size))
        sources = [number for number in task.old.nodes if self._view.can_read(number)]
        out = ref.k * shard / max(1, len(sources))
        return Use(ref.size, {task.new.nodes[at]: shard for at in slots}, dict.fromkeys(sources, out))

    def _task(self, wound: Wound) -> Task | None:
        """As its rows are now; None where there is nothing left to do."""
        row = blobs.read(self._reader, wound.blob)
        chunk = blobs.chunk_of(self._reader, wound.blob, wound.chunk)
        if row is None or row.refs == 0 or chunk is None or chunk.placement not in self._view.placements:
            return None
        old, new = self._view.placements[chunk.placement], self._view.target(chunk.placement)
        size = min(CHUNK_BYTES, row.size - chunk.n * CHUNK_BYTES)
        ref = ChunkRef(row.id, chunk.n, chunk.root, self._view.node_ids(old), size, row.k, row.m)
        suspects = tuple(
            at
            for at in repairs.of_chunk(self._reader, row.id, chunk.n)
            if old.nodes[at] == new.nodes[at] and self._view.can_read(old.nodes[at])
        )
        if old.state is not PlacementState.REPLACED and not suspects:
            return None
        return Task(ref, old, new, self._view.node_ids(new), suspects)

    # Doing it

    async def _heal(self, tasks: Sequence[Task]) -> list[Healed]:
        waiting = list(reversed(tasks))
        healed: list[Healed] = []

        async def work() -> None:
            while waiting:
                healed.append(await self._heal_one(waiting.pop()))
                self.tally.running -= 1

        self.tally.running = len(tasks)
        try:
            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        finally:
            self.tally.running = 0
        return healed

    async def _heal_one(self, task: Task) -> Healed:
        try:
            return await self._rebuilder.heal(task)
        except Exception as error:  # one chunk that is damaged in a new way must not stop all others
            log.exception("chunk not healed", blob=task.ref.blob, chunk=task.ref.index)
            return Healed(task, problem=f"{type(error).__name__}: {error}")

    async def _commit(self, healed: Sequence[Healed]) -> Outcome:
        for each in healed:
            if each.problem:
                log.info("chunk not whole yet", blob=each.task.ref.blob, chunk=each.task.ref.index, reason=each.problem)
        commit = Commit(self._view, self._clock.now_ms(), self._grace_ms)
        under = self._held

        def write(conn: Connection) -> Outcome:
            if self._shares is None:
                return commit(conn, healed)
            names = {share_of(each.task.old.id) for each in healed}
            good = leases.still_held(conn, [under[name] for name in names])
            lost = [each for each in healed if share_of(each.task.old.id) not in good]
            for each in lost:
                commit.leave(conn, each)
            outcome = commit(conn, [each for each in healed if share_of(each.task.old.id) in good])
            outcome.again += [(each.task.ref.blob, each.task.ref.index) for each in lost]
            return outcome

        outcome = await self._session.submit(write)
        again = set(outcome.again)
        for each in healed:
            key = (each.task.ref.blob, each.task.ref.index)
            if key not in again:
                self._queue.resolved(key)
                self.tally.done += 1
            if each.rebuilt:
                self.tally.bytes += each.task.ref.size
        return outcome
