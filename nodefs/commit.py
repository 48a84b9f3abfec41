"""Group commit for the nodes of one disk: a round takes all that waits, writes it, syncs the touched packs, answers.

One thread does a round's writing, so that each node's packs have a single writer. What arrives during a round waits for
the next.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.merkle import block_hashes
from cyxcloud.wire.orders import Order, make_receipt, order_hash
from cyxcloud.wire.shardhost import DeleteAnswer
from cyxcloud.wire.status import Status
from nodefs.health import Sample
from nodefs.index import shard_key
from nodefs.settled import Settled
from nodefs.space import DiskSpace
from nodefs.store import NodeStore, PutItem
from nodefs.syncing import Syncer

# A round of this size keeps a disk busy for a while; more only makes the first of it wait.
_ROUND_BYTES = 32 * 1024 * 1024
# Where several clients write, those that were answered by the last round come again at once: waiting this long for them
# makes one round, and one fdatasync a pack, of what would be two or three. A client that is alone never waits.
_GATHER_SECONDS = 0.002


@dataclass(slots=True)
class PutJob:
    """The shards of one request that go to this disk."""

    items: list[tuple[NodeStore, PutItem]]
    size: int
    done: Callable[[PutJob], None]  # called in the event loop
    given_up: bool = False


@dataclass(slots=True)
class DeleteJob:
    """An order that was checked already, but for whether it comes too late."""

    store: NodeStore
    told: Order
    order: bytes
    signature: bytes
    done: Callable[[DeleteJob], None]
    statuses: list[Status] = field(default_factory=list)
    answer: DeleteAnswer | None = None
    refused: str = ""  # why there is no answer, where that is no fault of the store
    status: Status = Status.IO_ERROR  # with `refused`
    size: int = 0
    given_up: bool = False


@dataclass(slots=True)
class TaskJob:
    """Something else that must not run beside a round: the mending of one node's packs."""

    store: NodeStore
    run: Callable[[], None]
    done: Callable[[TaskJob], None]
    size: int = 0


Job = PutJob | DeleteJob | TaskJob


# Of a committer's thread and its syncs: beyond this its disk hangs, and is left to the end of the process.
_STOP_SECONDS = 10.0


class Committer:
    def __init__(self, loop: AbstractEventLoop, space: DiskSpace, clock: Clock, disk: Disk = DISK) -> None:
        self._loop = loop
        self._space = space
        self._clock = clock
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._syncs = Syncer(disk)
        self._last_round = 0
        self._in_hand: list[Job] = []
        self._began: float | None = None
        self._slowest = 0.0
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)

    def start(self) -> None:
        self._syncs.start()
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._queue.put(job)

    def look(self) -> Sample:
        """How long the slowest round since the last look took, or the one in hand where that is longer."""
        began, slowest, self._slowest = self._began, self._slowest, 0.0
        age = 0.0 if began is None else self._clock.monotonic() - began
        return Sample(age, ended=False) if age > slowest else Sample(slowest)

    def give_up(self) -> None:
        """In the event loop: the disk hangs, and nothing is known of what waits for it. A round in hand may yet end."""
        waiting, kept = list(self._in_hand), list[Job | None]()
        with contextlib.suppress(Empty):
            while True:
                job = self._queue.get_nowait()
                if job is None or isinstance(job, TaskJob):
                    kept.append(job)
                else:
                    waiting.append(job)
        for job in kept:
            self._queue.put(job)
        for job in waiting:
            if not isinstance(job, TaskJob) and not job.given_up:
                job.given_up = True
                job.done(job)  # type: ignore[arg-type]  # each takes its own kind

    def stop(self) -> bool:
        """After the round in hand and what was queued before; nothing may be submitted any more. False: it hangs."""
        self._queue.put(None)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            return False
        self._syncs.stop()
        return True

    def _run(self) -> None:
        while jobs := self._next_round():
            self._in_hand, self._began = jobs, self._clock.monotonic()
            commit_round(jobs, self._space, self._syncs, self._clock)
            self._slowest = max(self._slowest, self._clock.monotonic() - self._began)
            self._in_hand, self._began = [], None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_answer, jobs)

    def _next_round(self) -> list[Job]:
        first = self._queue.get()
        if first is None:
            return []
        if self._last_round > 1 and self._queue.qsize() + 1 < self._last_round:
            time.sleep(_GATHER_SECONDS)
        jobs, size = [first], first.size
        while size < _ROUND_BYTES:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            jobs.append(job)
            size += job.size
        self._last_round = len(jobs)
        return jobs


def _answer(jobs: list[Job]) -> None:
    for job in jobs:
        if not isinstance(job, TaskJob) and job.given_up:
            continue
        job.done(job)  # type: ignore[arg-type]  # each takes its own kind


def commit_round(jobs: list[Job], space: DiskSpace, syncs: Syncer, clock: Clock) -> None:
    """Write, sync, settle. Everything in `jobs` has its final status afterwards."""
    with contextlib.suppress(OSError):  # the write itself will say what is wrong
        space.refresh()
    puts = _by_store(job for job in jobs if isinstance(job, PutJob))
    for store, items in puts.items():
        store.write(items)
    stores = set(puts)
    for job in jobs:
        if not isinstance(job, PutJob):
            stores.add(job.store)
            _do_other(job)
    _sync(stores, syncs, sum(job.size for job in jobs))
    for store in stores:
        store.settle()
    ordered = [job for job in jobs if isinstance(job, DeleteJob)]
    for job in ordered:
        _receipt(job, clock)
    for store in {job.store for job in ordered}:
        store.orders.end_round()


def _by_store(jobs: Iterable[PutJob]) -> dict[NodeStore, list[PutItem]]:
    puts: dict[NodeStore, list[PutItem]] = {}
    for job in jobs:
        for store, item in job.items:
            if item.batch.verify and not _verified(item):
                continue
            items = puts.get(store)
            if items is None:
                puts[store] = [item]
            else:
                items.append(item)
    return puts


def _verified(item: PutItem) -> bool:
    batch, at = item.batch, item.at
    if b"".join(block_hashes(batch.payloads[at])) == batch.block_hashes[at]:
        return True
    item.status = Status.CORRUPT
    return False


def _do_other(job: DeleteJob | TaskJob) -> None:
    if isinstance(job, TaskJob):
        job.run()
    elif not job.store.fault:
        _carry_out(job)


def _carry_out(job: DeleteJob) -> None:
    orders = job.store.orders
    job.answer = orders.answer_to(order_hash(job.order))
    if job.answer is not None:
        return
    job.refused = orders.against(job.told)
    if job.refused:
        job.status = Status.DENIED
    elif _logged(job, lambda: orders.append(job.told, job.order, job.signature)):
        job.statuses = job.store.delete(shard_key(shard.blob, shard.chunk, shard.index) for shard in job.told.shards)


def _logged(job: DeleteJob, write: Callable[[], None]) -> bool:
    try:
        write()
    except OSError as error:
        job.refused = f"writing the order log: {error.strerror or error}"
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            job.store.fail("writing the order log", error)
        return False
    return True


def _receipt(job: DeleteJob, clock: Clock) -> None:
    """The tombstones are on the disk. Where the order came twice in this round, both get the one receipt."""
    store = job.store
    job.answer = job.answer or store.orders.answer_to(order_hash(job.order))
    if job.answer is None and not job.refused and not store.fault:
        receipt, signature = make_receipt(store.folder.identity, job.order, job.statuses, clock.now_ms())
        settled = Settled.of(job.told, receipt, signature)
        if _logged(job, lambda: store.orders.settle(settled)):
            job.answer = settled.answer()
    job.statuses = [job.status] * len(job.told.shards) if job.answer is None else job.answer.statuses


def _sync(stores: Iterable[NodeStore], syncs: Syncer, written: int) -> None:
    touched = [(store, pack) for store in stores for pack in store.take_touched()]
    for (store, pack), error in zip(touched, syncs.run([pack for _, pack in touched], written), strict=True):
        if error is not None:
            store.fail(f"syncing {pack.path}", error)
