"""One node's shards: written and deleted by the commit thread in rounds, read by anybody.

A round: write() and delete() put bytes into packs, the committer makes the touched packs durable, settle() then makes
the result visible. Until then nothing of the round is in the index, so no reader and no later PUT takes an unsynced
record for stored.
Crash: before the sync, a torn tail (recovery judges it); between sync and settle, whole records that nobody was told
of, which recovery takes in; after an order was logged, its tombstones are written by redo.
Any error of the disk but ENOSPC takes the node down: after a failed fdatasync nobody knows what is on the disk until
the packs are read again at the next start.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.ids import NodeId
from cyxcloud.core.merkle import BLOCK_BYTES, Buffer
from cyxcloud.wire.shardhost import NodeInfo, PutBatch, range_bytes
from cyxcloud.wire.status import NodeState, Status
from nodefs.findings import FindingsLog
from nodefs.folder import NodeFolder
from nodefs.index import Location, NodeIndex, OrdersPosition, PackState, shard_key
from nodefs.orders_log import OrderLog
from nodefs.pack import MAX_PACK_BYTES, Pack
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
    payload_is_good,
    read_live,
)
from nodefs.space import DiskSpace

# Up to here a record is read whole by one call, above it header and blocks separately.
_WHOLE_READ_BYTES = 96 * 1024
_ZEROS = memoryview(bytes(ALIGN_BYTES))


class WouldBlock(Exception):
    """Not in the page cache: read it again in a thread."""


@dataclass(slots=True)
class PutItem:
    """One shard of a batch on its way to disk."""

    batch: PutBatch
    at: int
    status: Status = Status.BUSY


@dataclass(frozen=True, slots=True)
class ShardRead:
    shard_size: int
    block_hashes: bytes
    proof: bytes
    payload: memoryview
    header: memoryview  # all that comes before the payload


class NodeStore:
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
        self.folder = folder
        self.node_id: NodeId = folder.identity.node_id
        self.incarnation = folder.marker.incarnation
        self.index = index
        self.packs = packs
        self.states = states
        self.orders = orders
        self.findings = findings
        self.space = space
        self.device = disk.stat(folder.path).st_dev
        self.down_reason = ""
        self.on_down: Callable[[NodeStore], None] = lambda _: None
        self.suspects: set[int] = set()  # keys whose record was found damaged by a reader
        self.holes: list[tuple[Pack, int, int]] = []  # records deleted since the last punching
        self._clock = clock
        self._disk = disk
        self._max_pack_bytes = min(MAX_PACK_BYTES, max(16 * ALIGN_BYTES, space.total_bytes >> 6))
        self._lock = threading.Lock()  # counters and index change together
        self._checkpointing = threading.Lock()
        self._retired = False
        self._orders_done = orders.position
        self.live_bytes = sum(state.live_bytes for state in states.values())
        self.live_count = sum(state.live_count for state in states.values())
        # The round in hand; only the commit thread looks at it.
        self._entries: dict[int, Location | None] = {}
        self._written: dict[int, PutItem] = {}
        self._items: list[PutItem] = []
        self._touched: dict[int, Pack] = {}
        self._replaced: set[int] = set()  # keys whose old record was found deleted

    # -- a round, in the commit thread

    def write(self, items: Iterable[PutItem]) -> None:
        """Append what is new and can be held; every item gets its status, OK meaning: if the sync succeeds."""
        buffers: list[Buffer] = []
        pending: list[tuple[int, PutItem, int]] = []
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
            pending.append((key, item, record))
            self._written[key] = item
            size += record
        self._append(buffers, size, pending)

    def _admit(self, key: int, item: PutItem, ahead: int) -> int:
        """The size of the record to write, or 0 with the item's status set."""
        batch, at = item.batch, item.at
        if self.down_reason:
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
        except RecordDamaged:
            self.suspects.add(key)
            return Status.CORRUPT
        except OSError as error:
            self.fail(f"reading {self.packs[known.pack].path}: {error}")
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
                self.fail(f"making a pack: {error}")

    def _append(self, buffers: list[Buffer], size: int, pending: list[tuple[int, PutItem, int]]) -> None:
        if not pending:
            return
        status = self._append_to_pack(buffers, size, pending)
        for key, item, _ in pending:
            item.status = status
            if status is not Status.OK:
                del self._written[key]

    def _append_to_pack(self, buffers: list[Buffer], size: int, pending: list[tuple[int, PutItem, int]]) -> Status:
        if self.down_reason:
            return Status.IO_ERROR
        pack = self._open_pack()
        offset = pack.end
        try:
            pack.append(buffers, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.space.room_bytes = 0
                return Status.FULL  # what was written lies behind the end and is written over
            self.fail(f"writing {pack.path}: {error}")
            return Status.IO_ERROR
        self._touched[pack.number] = pack
        for key, _, record in pending:
            self._entries[key] = Location(pack.number, offset, record)
            offset += record
        return Status.OK

    def delete(self, keys: Iterable[int]) -> list[Status]:
        """Tombstones for an order that is in the log already; OK means: if the sync succeeds."""
        return [self.drop(key, DELETED) for key in keys]

    def drop(self, key: int, state: int) -> Status:
        """Mark a record as gone, for the reason that the state word says."""
        if self.down_reason:
            return Status.DOWN
        where = self._entries[key] if key in self._entries else self.index.find(key)
        if where is None:
            return Status.NOT_FOUND
        pack = self.packs[where.pack]
        try:
            pack.mark(where.offset, state)
        except OSError as error:
            self.fail(f"writing {pack.path}: {error}")
            return Status.IO_ERROR
        self._touched[pack.number] = pack
        self._entries[key] = None
        return Status.OK

    def take_touched(self) -> list[Pack]:
        """The packs to make durable before settle()."""
        return list(self._touched.values())

    def settle(self) -> None:
        """The syncs are through (or fail() was called): make the round visible, or take its promises back."""
        if not self.down_reason and not all(pack.is_still_there() for pack in self._touched.values()):
            self.fail(f"{self.folder.packs}: packs were moved or removed under the running node")
        if self.down_reason:
            for item in self._items:
                if item.status is Status.OK:
                    item.status = Status.IO_ERROR
        else:
            self._publish()
        self._entries, self._written, self._items, self._touched, self._replaced = {}, {}, [], {}, set()

    def _publish(self) -> None:
        with self._lock:
            for key, where in self._entries.items():
                before = self.index.find(key) if where is None or key in self._replaced else None
                self._count(where, before)
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
            if sign < 0:
                self.holes.append((self.packs[where.pack], where.offset, where.size))

    # -- reading, from any thread

    def read(  # noqa: PLR0911, PLR0917 - one return a status; the hottest call of all
        self, blob: int, chunk: int, index: int, first_block: int, block_count: int, flags: int = 0
    ) -> ShardRead | Status:
        """flags = RWF_NOWAIT raises WouldBlock instead of waiting for the disk. The payload is not verified here."""
        if self.down_reason:
            return Status.DOWN
        key = shard_key(blob, chunk, index)
        where = self.index.find(key)
        if where is None:
            return Status.NOT_FOUND
        pack = self.packs.get(where.pack)
        if pack is None:
            return Status.NOT_FOUND
        try:
            ahead = where.size if where.size <= _WHOLE_READ_BYTES else ALIGN_BYTES
            head = self._pread(pack, ahead, where.offset, flags)
            found = read_live(head, blob, chunk, index)
            if found is None:
                return Status.NOT_FOUND
            size, hashes, proof, payload_at = found
            start = payload_at + first_block * BLOCK_BYTES
            length = range_bytes(size, first_block, block_count)
            if start + length <= len(head):
                payload = head[start : start + length]
            else:
                payload = self._pread(pack, length, where.offset + start, flags)
        except RecordDamaged:
            self.suspects.add(key)
            return Status.CORRUPT
        except OSError as error:
            # A filesystem that cannot promise not to wait (tmpfs, NFS) says EOPNOTSUPP: that is no fault of the disk.
            if flags and error.errno in (errno.EAGAIN, errno.EOPNOTSUPP):
                raise WouldBlock from error
            self.fail(f"reading {pack.path}: {error}")
            return Status.IO_ERROR
        return ShardRead(size, hashes, proof, payload, head[:payload_at])

    def _pread(self, pack: Pack, size: int, offset: int, flags: int) -> memoryview:
        if flags:
            buffer = memoryview(bytearray(size))
            if pack.preadv(buffer, offset, flags) < size:
                raise WouldBlock
            return buffer
        data = pack.pread(size, offset)
        if len(data) < size:
            raise RecordDamaged("the pack ends within a record")
        return memoryview(data)

    def check(self, blob: int, chunk: int, index: int) -> tuple[Status, ShardRead | None]:
        """Read a whole record and compare payload with hashes, as scrub and VERIFY do."""
        found = self.read(blob, chunk, index, 0, 0)
        if isinstance(found, Status):
            return found, None
        key = shard_key(blob, chunk, index)
        where = self.index.find(key)
        if where is None:
            return Status.NOT_FOUND, None
        page = self.packs[where.pack].pread(min(where.size, ALIGN_BYTES), where.offset)
        if payload_is_good(decode_header(page), found.payload):
            return Status.OK, found
        self.suspects.add(key)
        return Status.CORRUPT, found

    # -- state

    def fail(self, reason: str) -> None:
        """Down until the next start of the host."""
        if not self.down_reason:
            self.down_reason = reason
            self.on_down(self)

    def info(self) -> NodeInfo:
        space, capacity = self.space, self.folder.capacity_bytes
        sharers = max(1, space.sharers)
        free = max(0, space.room_bytes) // sharers
        if capacity:
            free = min(free, max(0, capacity - self.live_bytes))
        state, reason = NodeState.UP, ""
        if self.down_reason:
            state, reason = NodeState.DOWN, self.down_reason
        elif free < MAX_SHARD_BYTES // 8:
            state, reason = NodeState.READ_ONLY, "no room above the reserve"
        return NodeInfo(
            node_id=self.node_id,
            name=self.folder.marker.name,
            disk=self.device,
            state=state,
            incarnation=self.incarnation,
            total_bytes=capacity or space.total_bytes // sharers,
            used_bytes=self.live_bytes,
            free_bytes=free,
            shard_count=self.live_count,
            reason=reason,
        )

    def checkpoint(self) -> None:
        """Flush the index; sqlite3.Error leaves everything as it was, to be tried again."""
        with self._checkpointing:
            if self._retired:
                return
            with self._lock:
                states = {
                    number: PackState(state.scanned_to, state.live_bytes, state.live_count)
                    for number, state in self.states.items()
                }
                orders: OrdersPosition = self._orders_done
                self.index.begin_checkpoint()
            self.index.finish_checkpoint(states, orders)

    def retire(self) -> None:
        """In the commit thread: its folder will be opened anew, so nothing of this one may reach the index any more.

        Readers may still be in its packs, so these are closed by close_packs() later: a descriptor's number that is
        given out again would have them read, and write, another file.
        """
        self.fail("is opened again")
        with self._checkpointing:
            self._retired = True
        self.index.close()
        self.orders.close()

    def close_packs(self) -> None:
        for pack in self.packs.values():
            pack.close()

    def close(self) -> None:
        if not self.down_reason:
            self.checkpoint()
        self.index.close()
        self.orders.close()
        self.close_packs()


READ_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
