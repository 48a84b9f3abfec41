"""One node's shards, written and deleted by the commit thread in rounds.

A round: write() and delete() put bytes into packs, the committer makes the touched packs durable, settle() then makes
the result visible. Until then nothing of the round is in the index, so no reader and no later PUT takes an unsynced
record for stored.
Crash: before the sync, a torn tail (recovery judges it); between sync and settle, whole records that nobody was told
of, which recovery takes in; after an order was logged, its tombstones are written by redo.
Any error of the disk but ENOSPC ends the store: after a failed fdatasync nobody knows what is on the disk until the
packs are read again.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.merkle import Buffer
from cyxcloud.wire.shardhost import PutBatch
from cyxcloud.wire.status import Status
from nodefs.findings import FindingsLog
from nodefs.folder import NodeFolder
from nodefs.index import Location, NodeIndex, PackState, shard_key
from nodefs.orders_log import OrderLog
from nodefs.pack import Pack
from nodefs.record import (
    ALIGN_BYTES,
    DELETED,
    HEAD_BYTES,
    LIVE,
    MAX_SHARD_BYTES,
    RecordDamaged,
    aligned,
    decode_header,
    header_bytes,
    header_crc,
)
from nodefs.shelf import READ_NOWAIT, ShardRead, Shelf, WouldBlock
from nodefs.space import DiskSpace

__all__ = ["READ_NOWAIT", "NodeStore", "PutItem", "ShardRead", "WouldBlock"]

_ZEROS = memoryview(bytes(ALIGN_BYTES))


@dataclass(slots=True)
class PutItem:
    """One shard of a batch on its way to disk."""

    batch: PutBatch
    at: int
    status: Status = Status.BUSY


Pending = tuple[int, PutItem, int, int]  # key, whose it is, the record's size and its header's CRC


class NodeStore(Shelf):
    def __init__(
        self,
        folder: NodeFolder,
        *,
        index: NodeIndex,
        packs: dict[int, Pack],
        states: dict[int, PackState],
        orders: OrderLog,
        findings: FindingsLog,
        space: DiskSpace,
        clock: Clock,
        disk: Disk = DISK,
    ) -> None:
        super().__init__(
            folder,
            index=index,
            packs=packs,
            states=states,
            orders=orders,
            findings=findings,
            space=space,
            clock=clock,
            disk=disk,
        )
        # The round in hand; only the commit thread looks at it.
        self._entries: dict[int, Location | None] = {}
        self._written: dict[int, PutItem] = {}
        self._items: list[PutItem] = []
        self._touched: dict[int, Pack] = {}
        self._replaced: set[int] = set()  # keys whose old record was found deleted
        self._punched: set[int] = set()  # keys whose record's bytes may be given back

    # -- a round, in the commit thread

    def write(self, items: Iterable[PutItem]) -> None:
        """Append what is new and can be held; every item gets its status, OK meaning: if the sync succeeds."""
        buffers: list[Buffer] = []
        pending: list[Pending] = []
        size = 0
        now_ms = self._clock.now_ms()
        for item in items:
            self._items.append(item)
            batch, at = item.batch, item.at
            key = shard_key(batch.blob, batch.chunk, batch.indexes[at])
            record = self._admit(key, item, size)
            if not record:
                continue
            if self._must_roll(size + record):
                self._append(buffers, size, pending)
                buffers, pending, size = [], [], 0
                self._roll()
            head = header_bytes(
                batch.blob,
                batch.chunk,
                batch.indexes[at],
                batch.total,
                batch.shard_size,
                batch.block_hashes[at],
                batch.proofs[at],
                self.incarnation,
                now_ms,
            )
            buffers += (head, batch.payloads[at], _ZEROS[: record - len(head) - batch.shard_size])
            pending.append((key, item, record, header_crc(head)))
            self._written[key] = item
            size += record
        self._append(buffers, size, pending)

    def _admit(self, key: int, item: PutItem, ahead: int) -> int:
        """The size of the record to write, or 0 with the item's status set."""
        batch, at = item.batch, item.at
        if self.fault:
            item.status = Status.DOWN
            return 0
        if (twin := self._written.get(key)) is not None:
            same = twin.batch.block_hashes[twin.at] == batch.block_hashes[at]
            item.status = Status.OK if same else Status.CONFLICT
            return 0
        if (known := self.index.find(key)) is not None and (status := self._compare(key, known, item)) is not None:
            item.status = status
            return 0
        if batch.shard_size > MAX_SHARD_BYTES:
            item.status = Status.DENIED
            return 0
        record = aligned(HEAD_BYTES + len(batch.block_hashes[at]) + len(batch.proofs[at]) + batch.shard_size)
        capacity = self.folder.capacity_bytes
        if (capacity and self.live_bytes + ahead + record > capacity) or not self.space.take(record):
            item.status = Status.FULL
            return 0
        return record

    def _compare(self, key: int, known: Location, item: PutItem) -> Status | None:
        """Same content or a conflict; None where the record turns out to be gone, so that it is written anew."""
        try:
            page = self.packs[known.pack].pread(min(ALIGN_BYTES, known.size), known.offset)
            header = decode_header(page)
            if header.crc != known.crc:
                raise RecordDamaged("another record than was put")  # noqa: TRY301 - as any other damage
        except RecordDamaged:
            self.suspects.add(key)
            return Status.CORRUPT
        except OSError as error:
            self.read_failed(key, self.packs[known.pack], error)
            return Status.IO_ERROR
        if header.state != LIVE:
            self._replaced.add(key)
            return None
        same = header.block_hashes == item.batch.block_hashes[item.at] and header.shard_size == item.batch.shard_size
        return Status.OK if same else Status.CONFLICT

    def _must_roll(self, size: int) -> bool:
        return not self.packs or self._open_pack().end + size > self._max_pack_bytes

    def _open_pack(self) -> Pack:
        return self.packs[max(self.packs)]

    def _roll(self) -> None:
        number = max(self.packs, default=0) + 1
        try:
            self.packs[number] = Pack.create(self.folder.packs, number, self.node_id, self._disk)
            self.states[number] = PackState(self.packs[number].end)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self.packs:
                self.fail("making a pack", error)

    def _append(self, buffers: list[Buffer], size: int, pending: list[Pending]) -> None:
        if not pending:
            return
        status = self._append_to_pack(buffers, size, pending)
        for key, item, *_ in pending:
            item.status = status
            if status is not Status.OK:
                del self._written[key]

    def _append_to_pack(self, buffers: list[Buffer], size: int, pending: list[Pending]) -> Status:
        if self.fault:
            return Status.IO_ERROR
        pack = self._open_pack()
        offset = pack.end
        try:
            pack.append(buffers, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.space.room_bytes = 0
                return Status.FULL  # what was written lies behind the end and is written over
            self.fail(f"writing {pack.path}", error)
            return Status.IO_ERROR
        self._touched[pack.number] = pack
        for key, _, record, crc in pending:
            self._entries[key] = Location(pack.number, offset, record, crc)
            offset += record
        return Status.OK

    def delete(self, keys: Iterable[int]) -> list[Status]:
        """Tombstones for an order that is in the log already; OK means: if the sync succeeds."""
        return [self.drop(key, DELETED) for key in keys]

    def drop(self, key: int, state: int) -> Status:
        """Mark a record as gone, for the reason that the state word says."""
        if self.fault:
            return Status.DOWN
        where = self._entries[key] if key in self._entries else self.index.find(key)
        if where is None:
            return Status.NOT_FOUND
        if not self.mark(where.pack, where.offset, state):
            return Status.IO_ERROR
        self._entries[key] = None
        if state == DELETED:
            self._punched.add(key)
        return Status.OK

    def mark(self, number: int, offset: int, state: int) -> bool:
        """Only the record; what the index says is left as it is."""
        pack = self.packs[number]
        try:
            pack.mark(offset, state)
        except OSError as error:
            self.fail(f"writing {pack.path}", error)
            return False
        self._touched[number] = pack
        return True

    def point(self, key: int, where: Location | None) -> None:
        """Only the index: the shard is there, or nowhere."""
        self._entries[key] = where
        self._replaced.add(key)

    def take_touched(self) -> list[Pack]:
        """The packs to make durable before settle()."""
        return list(self._touched.values())

    def settle(self) -> None:
        """The syncs are through (or fail() was called): make the round visible, or take its promises back."""
        if not self.fault and not all(pack.is_still_there() for pack in self._touched.values()):
            self.fail(f"{self.folder.packs}: packs were moved or removed under the running node")
        if self.fault:
            for item in self._items:
                if item.status is Status.OK:
                    item.status = Status.IO_ERROR
        else:
            self._publish()
        self._entries, self._written, self._items, self._touched = {}, {}, [], {}
        self._replaced, self._punched = set(), set()

    def _publish(self) -> None:
        with self._lock:
            for key, where in self._entries.items():
                before = self.index.find(key) if where is None or key in self._replaced else None
                self._count(where, before)
                if before is not None and key in self._punched:
                    self.holes.append((self.packs[before.pack], before.offset, before.size))
            for number, pack in self._touched.items():
                self.states[number].scanned_to = pack.end
            self.index.publish(self._entries)
            self._orders_done = self.orders.position

    def _count(self, added: Location | None, removed: Location | None) -> None:
        for where, sign in ((added, 1), (removed, -1)):
            if where is None:
                continue
            state = self.states[where.pack]
            state.live_bytes += sign * where.size
            state.live_count += sign
            self.live_bytes += sign * where.size
            self.live_count += sign
