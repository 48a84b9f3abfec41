"""Short-circuit reads: on one box a gateway reads the packs itself, by descriptors that their hosts lent it.

Places are cached per chunk and may be stale, packs may be gone or damaged: every block is verified as if it had come
over a socket, and the record's header must be, byte for byte, the one that the host found good, so that what the host
would not give (deleted, damaged, another's) is not taken here either. Whatever fails is left to the ordinary read
through the host, which also reports it. No read waits for a disk in the event loop or in the threads that decode: what
is not in the page cache is read in a few threads kept for that, and when a disk holds those up, through the host again.
"""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cyxcloud.core.ids import NodeId
from cyxcloud.core.merkle import BLOCK_BYTES
from cyxcloud.shards.frames import BlobCipher
from cyxcloud.shards.hosts import AVOID_SECONDS, HostGroup
from cyxcloud.shards.plan import ChunkRef, Piece, ReadPlan
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.verify import ChunkVerifier, Column, KnownChunk, Place
from cyxcloud.wire.shardhost import Extent, Lender, LocateAnswer
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status, WireError

# Before it is late: any host that is not held up answers in a tenth of this.
_FIND_SECONDS = 0.1
# A pack a gigabyte: half a terabyte of shards. No more than a quarter of what the process may open.
MAX_BORROWED = 512
# A disk that hangs holds up at most these; then what is not in the page cache is read through the host.
COLD_THREADS = 4
READ_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


class BorrowedPack:
    """Closed when nobody refers to it any more: evicted, and no thread reading it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class BorrowedPacks:
    """The descriptors used last, by node and number."""

    def __init__(self, limit: int = MAX_BORROWED) -> None:
        self._limit = limit
        self._packs: OrderedDict[tuple[NodeId, int], BorrowedPack] = OrderedDict()

    def __len__(self) -> int:
        return len(self._packs)

    def get(self, key: tuple[NodeId, int]) -> BorrowedPack | None:
        pack = self._packs.get(key)
        if pack is not None:
            self._packs.move_to_end(key)
        return pack

    def add(self, key: tuple[NodeId, int], fd: int) -> None:
        """Those whose file was removed go at the same time: a descriptor would keep its space from being given back."""
        self._packs[key] = BorrowedPack(fd)
        for gone in [held for held, pack in self._packs.items() if not os.fstat(pack.fd).st_nlink]:
            del self._packs[gone]
        while len(self._packs) > self._limit:
            self._packs.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Readable:
    """A piece of the plan and where to read it."""

    piece: Piece
    pack: BorrowedPack
    extent: Extent


@dataclass(slots=True)
class Taken:
    """What came of a read. The buffer is the caller's own unless `plaintext` says that all is done."""

    plaintext: memoryview | None
    buffer: memoryview
    good: dict[int, Column]
    cold: list[Readable]
    bad: list[int]


NOTHING = Taken(None, memoryview(b""), {}, [], [])


class _Scratch(threading.local):
    """Ciphertext is dead once it is decrypted: each thread reads into the same pages again and again."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def take(self, size: int) -> memoryview:
        if len(self.buffer) < size:
            self.buffer = bytearray(size)
        return memoryview(self.buffer)[:size]

    def give_up(self) -> None:
        self.buffer = bytearray()


_scratch = _Scratch()


def _take(
    found: Sequence[Readable], buffer: memoryview, verifier: ChunkVerifier, flags: int
) -> tuple[list[Piece], list[Readable], list[int]]:
    """Pieces that are as the chunk root says; with flags, those that would have to be waited for; bad ones."""
    good: list[Piece] = []
    cold: list[Readable] = []
    bad: list[int] = []
    for readable in found:
        piece = readable.piece
        view = buffer[piece.at : piece.at + piece.size]
        try:
            size, header_is_good = _read(readable, view, flags)
        except OSError:
            size, header_is_good = -1, False
        if header_is_good and size == piece.size and verifier.matches(piece.shard, piece.first_block, view):
            good.append(piece)
        elif flags and size < piece.size:
            cold.append(readable)  # or its disk is broken, or the pack too short: reading without flags will tell
        else:
            bad.append(piece.shard)
    return good, cold, bad


def _read(readable: Readable, view: memoryview, flags: int) -> tuple[int, bool]:
    """How much of the payload came, and whether the record is still the one that was located."""
    extent, fd, first = readable.extent, readable.pack.fd, readable.piece.first_block
    head = bytearray(extent.header_bytes)
    before = extent.offset - extent.header_bytes
    if first == 0:
        size = os.preadv(fd, (head, view), before, flags) - extent.header_bytes
    else:
        os.preadv(fd, (head,), before, flags)
        size = os.preadv(fd, (view,), extent.offset + first * BLOCK_BYTES, flags)
    return size, zlib.crc32(head) == extent.header_crc


def _columns(pieces: Sequence[Piece], buffer: memoryview) -> dict[int, Column]:
    return {piece.shard: Column(piece.first_block, buffer[piece.at : piece.at + piece.size]) for piece in pieces}


class LentReads:
    def __init__(self, plane: DataPlane, packs: BorrowedPacks | None = None, nowait: int = READ_NOWAIT) -> None:
        self._plane = plane
        self._nowait = nowait  # 0: nothing can be told to be in the page cache
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._packs = packs if packs is not None else BorrowedPacks(min(MAX_BORROWED, soft // 4))
        self._borrowing = asyncio.Lock()
        self._resting: dict[int, float] = {}  # lenders that failed, by identity, until when
        self._cold_threads = ThreadPoolExecutor(COLD_THREADS, thread_name_prefix="cold")
        self._cold = 0

    def known(self, ref: ChunkRef, plan: ReadPlan, chunk: KnownChunk) -> list[Readable]:
        """The pieces that can be read without asking anybody."""
        readable, places, packs, nodes = self._plane.hosts.readable, chunk.places, self._packs, ref.nodes
        found: list[Readable] = []
        for piece in plan.pieces:
            place = places.get(piece.shard)
            # A shard that was moved is asked for anew; a node that is down or being avoided is left alone here as well.
            if place is not None and place.node == nodes[piece.shard] and place.node in readable:
                pack = packs.get(place.pack)
                if pack is not None:
                    found.append(Readable(piece, pack, place.extent))
        return found

    async def find(self, ref: ChunkRef, plan: ReadPlan, chunk: KnownChunk, seconds: float) -> list[Readable]:
        """Ask the hosts where the other pieces are and borrow their packs, for no longer than this."""
        now = self._plane.clock.monotonic()
        if now < chunk.locate_after:
            return self.known(ref, plan, chunk)
        seconds = max(seconds, _FIND_SECONDS)
        readable, places, nodes = self._plane.hosts.readable, chunk.places, ref.nodes
        wanted = [piece.shard for piece in plan.pieces if nodes[piece.shard] in readable]
        unknown = tuple(at for at in wanted if (place := places.get(at)) is None or place.node != nodes[at])
        groups = self._plane.hosts.group(nodes, unknown) if unknown else []
        if len(groups) == 1:
            await self._locate(ref, plan, chunk, groups[0], seconds)
        elif groups:
            await asyncio.gather(*(self._locate(ref, plan, chunk, group, seconds) for group in groups))
        for at in wanted:
            place = places.get(at)
            if place is not None and self._packs.get(place.pack) is None:
                await self._borrow(place, seconds)
        found = self.known(ref, plan, chunk)
        if len(found) < len(plan.pieces):
            chunk.locate_after = now + AVOID_SECONDS
        return found

    def read_and_open(
        self, ref: ChunkRef, cipher: BlobCipher, plan: ReadPlan, verifier: ChunkVerifier, found: Sequence[Readable]
    ) -> Taken:
        """In any thread: read and verify what is in the page cache, and if that was all, decrypt it."""
        buffer = _scratch.take(plan.wire_bytes)
        good, cold, bad = _take(found, buffer, verifier, self._nowait) if self._nowait else ([], list(found), [])
        if len(good) < len(plan.pieces):
            _scratch.give_up()
            return Taken(None, buffer, _columns(good, buffer), cold, bad)
        base = plan.base
        opened = cipher.open_frames(
            ref.index, plan.frames, ref.size, lambda start, end: buffer[start - base : end - base]
        )
        return Taken(opened, buffer, {}, [], [])

    async def wait_for(self, taken: Taken, chunk: KnownChunk, seconds: float) -> dict[int, Column]:
        """What was not in the page cache, from the disk if that answers in time."""
        if self._cold >= COLD_THREADS:
            return {}
        self._cold += 1
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._cold_threads, _take, taken.cold, taken.buffer, chunk.verifier, 0)
        work.add_done_callback(self._one_less)
        done, _ = await asyncio.wait((work,), timeout=seconds)
        if not done:
            return {}
        good, _, bad = work.result()
        self.forget(chunk, bad)
        return _columns(good, taken.buffer)

    def forget(self, chunk: KnownChunk, shards: Sequence[int]) -> None:
        """These were not where they should be."""
        if shards:
            chunk.locate_after = self._plane.clock.monotonic() + AVOID_SECONDS
            for shard in shards:
                chunk.places.pop(shard, None)

    def _one_less(self, _: object) -> None:
        self._cold -= 1

    def _lender(self, node: NodeId) -> Lender | None:
        host = self._plane.hosts.host(node)
        lender = host.lender if host is not None else None
        if lender is None or self._resting.get(id(lender), 0.0) > self._plane.clock.monotonic():
            return None
        return lender

    def _rest(self, lender: Lender) -> None:
        """It did not answer: no read waits for it again for a while."""
        self._resting[id(lender)] = self._plane.clock.monotonic() + AVOID_SECONDS

    async def _locate(self, ref: ChunkRef, plan: ReadPlan, chunk: KnownChunk, group: HostGroup, seconds: float) -> None:
        lender = self._lender(group.nodes[0])
        if lender is None:
            return
        try:
            answer = await lender.locate(ref.blob, ref.index, group.indexes, group.nodes, seconds=seconds)
        except (HostUnavailable, HostRefused, WireError) as error:
            self._rest(lender)
            if isinstance(error, HostUnavailable):
                self._plane.hosts.leave_out(group.host)
            return
        if answer.shard_size == plan.shard_size:
            _remember(chunk, group, answer)

    async def _borrow(self, place: Place, seconds: float) -> None:
        async with self._borrowing:
            lender = self._lender(place.node)
            if lender is None or self._packs.get(place.pack) is not None:
                return
            try:
                fd = await lender.borrow(place.node, place.pack[1], seconds=seconds)
            except HostUnavailable:
                self._rest(lender)
            except HostRefused:
                return
            else:
                self._packs.add(place.pack, fd)


def _remember(chunk: KnownChunk, group: HostGroup, answer: LocateAnswer) -> None:
    """Only shards whose block hashes are proven have a place, so that `matches` can be asked about all of them."""
    at = 0
    for index, node, status in zip(group.indexes, group.nodes, answer.statuses, strict=True):
        if status is not Status.OK:
            continue
        if chunk.verifier.accept(index, answer.shard_size, answer.hashes[at], answer.proofs[at]):
            extent = answer.extents[at]
            chunk.places[index] = Place(node, (node, extent.pack), extent)
        at += 1
    chunk.verifier.shed()
