"""One node's shards as everybody but the commit thread sees them: reading, what state it is in, its counters.

A fault of its own (a failed write or sync, too many failed reads) is for good: nobody knows what is on the disk until
the packs are read again, for which the rack opens a new store in place of this one. Where only writing is impossible
(the filesystem turned read-only) reads go on until then. What is wrong with the disk as a whole is told from outside,
as a condition, and passes.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.ids import NodeId
from cyxcloud.core.merkle import BLOCK_BYTES
from cyxcloud.wire.shardhost import NodeInfo, range_bytes
from cyxcloud.wire.status import NodeState, Status
from nodefs.findings import FindingsLog
from nodefs.folder import NodeFolder
from nodefs.health import GOOD, Condition
from nodefs.index import NodeIndex, OrdersPosition, PackState, shard_key
from nodefs.orders_log import OrderLog
from nodefs.pack import MAX_PACK_BYTES, Pack
from nodefs.record import (
    ALIGN_BYTES,
    MAX_SHARD_BYTES,
    RecordDamaged,
    decode_header,
    header_crc,
    payload_is_good,
    read_live,
)
from nodefs.space import DiskSpace

# Up to here a record is read whole by one call, above it header and blocks separately.
_WHOLE_READ_BYTES = 96 * 1024
# A sector that cannot be read is one record's damage; so many are the disk's.
MOST_READ_ERRORS = 8
# Full below the first, and so until there is twice as much.
_FULL_BYTES = MAX_SHARD_BYTES // 8

READ_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


class WouldBlock(Exception):
    """Not in the page cache: read it again in a thread."""


@dataclass(frozen=True, slots=True)
class ShardRead:
    shard_size: int
    block_hashes: bytes
    proof: bytes
    payload: memoryview
    header: memoryview  # all that comes before the payload


class Shelf:
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
        status = disk.stat(folder.path)
        self.device = status.st_dev
        self.place = (status.st_dev, status.st_ino)  # of the folder that was opened
        self.down_reason = ""  # a fault of its own: neither reads nor writes until it is opened again
        self.read_only_reason = ""  # the same, but what is here can be read
        self.condition = GOOD  # its disk's
        self.readable = self.writable = True  # all of the above together
        self.on_change: Callable[[Shelf], None] = lambda _: None
        self.suspects: set[int] = set()  # keys whose record was found damaged
        self.strays: set[tuple[int, int]] = set()  # (pack, offset) of live records that the index does not point at
        self.odd_packs: set[int] = set()  # damaged first page, or bytes behind the end
        self.holes: list[tuple[Pack, int, int]] = []  # records deleted since the last punching
        self._clock = clock
        self._disk = disk
        self._max_pack_bytes = min(MAX_PACK_BYTES, max(16 * ALIGN_BYTES, space.total_bytes >> 6))
        self._lock = threading.Lock()  # counters and index change together
        self._checkpointing = threading.Lock()
        self._retired = False
        self._orders_done = orders.position
        self._read_errors = 0
        self._full = False
        self.live_bytes = sum(state.live_bytes for state in states.values())
        self.live_count = sum(state.live_count for state in states.values())

    # -- reading, from any thread

    def read(  # noqa: PLR0911, PLR0917 - one return a status; the hottest call of all
        self, blob: int, chunk: int, index: int, first_block: int, block_count: int, flags: int = 0
    ) -> ShardRead | Status:
        """flags = RWF_NOWAIT raises WouldBlock instead of waiting for the disk. The payload is not verified here."""
        if not self.readable:
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
            if header_crc(head) != where.crc:
                raise RecordDamaged("another record than was put")  # noqa: TRY301 - as any other damage
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
            self.read_failed(key, pack, error)
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

    @property
    def fault(self) -> str:
        """Why it must be opened again; empty while all is well with it."""
        return self.down_reason or self.read_only_reason

    def fail(self, reason: str, error: OSError | None = None) -> None:
        """Nothing that was written last is trusted, until it is opened again."""
        text = reason if error is None else f"{reason}: {error.strerror or error}"
        if error is not None and error.errno == errno.EROFS:
            if self.fault:
                return
            self.read_only_reason = text
        elif self.down_reason:
            return
        else:
            self.down_reason = text
        self._update()

    def read_failed(self, key: int, pack: Pack, error: OSError) -> None:
        self.suspects.add(key)
        self._read_errors += 1
        if self._read_errors >= MOST_READ_ERRORS:
            self.fail(f"reading {pack.path}", error)

    def judged(self, condition: Condition) -> None:
        """What its disk can do now; called in the event loop."""
        if condition != self.condition:
            self.condition = condition
            self._update()

    def _update(self) -> None:
        self.readable = not self.down_reason and self.condition.state in {NodeState.UP, NodeState.READ_ONLY}
        self.writable = not self.fault and self.condition.writable
        self.on_change(self)

    def measure(self) -> None:
        """Look whether there still is room, or again: whoever is connected hears of it without asking."""
        was_full = self._full
        self._full = self._free() < (2 * _FULL_BYTES if was_full else _FULL_BYTES)
        if self._full != was_full:
            self.on_change(self)

    def _free(self) -> int:
        """Its share of what the disk has left, within its capacity."""
        free = max(0, self.space.room_bytes) // max(1, self.space.sharers)
        capacity = self.folder.capacity_bytes
        return min(free, max(0, capacity - self.live_bytes)) if capacity else free

    def info(self) -> NodeInfo:
        space, capacity = self.space, self.folder.capacity_bytes
        sharers, free = max(1, space.sharers), self._free()
        state, reason = self._told()
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

    def _told(self) -> tuple[NodeState, str]:
        if self.down_reason:
            return NodeState.DOWN, self.down_reason
        if self.condition.state is not NodeState.UP:
            return self.condition.state, self.condition.reason
        if self.read_only_reason:
            return NodeState.READ_ONLY, self.read_only_reason
        if self._full:
            return NodeState.READ_ONLY, "no room above the reserve"
        return NodeState.UP, ""

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
        if not self.fault:
            self.checkpoint()
        self.index.close()
        self.orders.close()
        self.close_packs()
