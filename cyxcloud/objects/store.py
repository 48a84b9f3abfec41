"""The store as one process sees it: what every function of objects/ is given. Built once, in a server's app.py."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import BlobId, BucketId, IdSource, UploadId, VersionId
from cyxcloud.meta import blobs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.room import Room
from cyxcloud.meta.rows import BlobRow, ChunkRow, SegmentRow
from cyxcloud.meta.writer import BoundWriter
from cyxcloud.objects.accounts import Accounts
from cyxcloud.objects.bucket_cache import BucketCache
from cyxcloud.objects.kms import Kms, NoKeys
from cyxcloud.objects.topology import Topology
from cyxcloud.objects.wrapping import Wrapping
from cyxcloud.shards.frames import CHUNK_BYTES, DEK_BYTES
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.reader import ChunkReader

T = TypeVar("T")

# Bodies up to this many bytes are a row of the database instead of shards; 14 shards of them would be 14 disk blocks.
INLINE_BYTES = 16 * 1024
# How long the bytes of a removed object stay: longer than any read of it runs, and than the snapshot interval.
DELETE_GRACE_SECONDS = 24 * 3600
DAY_MS = 24 * 3600 * 1000
# The coordinator writes its time every 5 s; a process that is further ahead of it started with a wrong wall clock.
MAX_AHEAD_MS = 30_000
# A process that was stopped for longer does not know how old a reading is.
MAX_READ_SECONDS = 5.0
# Chunk lists are immutable but for where they lie; a cached list is 100 bytes a chunk, so this is some 40 MB at most.
MAX_CACHED_CHUNKS = 200_000
# Copies that are encrypted anew read and write at once: few enough that their readers never hold all the memory that
# their writers wait for, nor the other way round.
RECODED_AT_ONCE = 2


class StoreClock:
    """The store's own time: what the coordinator last wrote, moved on by this process's monotonic clock.

    A process that starts after the wall clock was set begins with what was kept, or with a wrong time that is ahead:
    the coordinator's next reading puts that right. Otherwise this process's time never goes back.
    """

    def __init__(self, clock: Clock, kept_ms: int = 0) -> None:
        self._clock = clock
        self._offset_ms = max(kept_ms, clock.now_ms()) - int(clock.monotonic() * 1000)
        self._reading_ms: int | None = None
        self._read_at = 0.0

    def now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000) + self._offset_ms

    def follow(self, store_ms: int) -> None:
        """Takes over the coordinator's reading where it is ahead of ours, or ours cannot be right. Called each second:
        a reading that is another than at the last call was made a moment ago."""
        now = self._clock.monotonic()
        offset_ms = store_ms - int(now * 1000)
        is_new = (
            self._reading_ms is not None and store_ms != self._reading_ms and now - self._read_at < MAX_READ_SECONDS
        )
        self._reading_ms, self._read_at = store_ms, now
        if offset_ms > self._offset_ms or (is_new and self._offset_ms - offset_ms > MAX_AHEAD_MS):
            self._offset_ms = offset_ms


@dataclass(frozen=True, slots=True)
class BlobMap:
    """Where a chunked blob lies."""

    blob: BlobRow
    chunks: list[ChunkRow]


class BlobMaps:
    """Blob maps of late, by how many chunks they name. Roots never change; where a chunk lies may, so a read that does
    not find its shards forgets the map and asks again."""

    def __init__(self, limit: int = MAX_CACHED_CHUNKS) -> None:
        self._limit = limit
        self._held = 0
        self._maps: OrderedDict[BlobId, BlobMap] = OrderedDict()

    def get(self, blob: BlobId) -> BlobMap | None:
        found = self._maps.get(blob)
        if found is not None:
            self._maps.move_to_end(blob)
        return found

    def put(self, found: BlobMap) -> None:
        self.forget(found.blob.id)
        self._maps[found.blob.id] = found
        self._held += len(found.chunks)
        while self._held > self._limit and len(self._maps) > 1:
            self._held -= len(self._maps.popitem(last=False)[1].chunks)

    def forget(self, blob: BlobId) -> None:
        dropped = self._maps.pop(blob, None)
        if dropped is not None:
            self._held -= len(dropped.chunks)


class KeySource:
    """Random data keys, drawn from the system some at a time: it is asked without the interpreter's lock, and getting
    that back costs more than the drawing."""

    def __init__(self, at_once: int = 64) -> None:
        self._bytes = at_once * DEK_BYTES
        self._drawn = b""
        self._at = 0

    def new(self) -> bytes:
        if self._at == len(self._drawn):
            self._drawn, self._at = os.urandom(self._bytes), 0
        self._at += DEK_BYTES
        return self._drawn[self._at - DEK_BYTES : self._at]


@dataclass(frozen=True, slots=True)
class Store:
    """`reader` belongs to the event loop's thread and serves short reads without a hop; changes go through `writer`.

    Ids and writer belong to one write session. A process whose session was closed makes another Store for the requests
    that come; those under way keep theirs, and their commits fail.
    """

    reader: Connection
    writer: BoundWriter
    ids: IdSource
    plane: DataPlane
    chunk_reader: ChunkReader
    topology: Topology
    wrapping: Wrapping
    clock: StoreClock
    kms: Kms = field(default_factory=NoKeys)
    room: Room | None = None  # of the metadata, where it lies on a disk of this box
    inline_bytes: int = INLINE_BYTES
    delete_grace_seconds: float = DELETE_GRACE_SECONDS
    day_ms: int = DAY_MS  # of lifecycle rules; shorter only for tests
    buckets: BucketCache | None = None
    configs: dict[BucketId, tuple[int, object]] = field(default_factory=dict)  # see bucket_config.of
    maps: BlobMaps = field(default_factory=BlobMaps)
    completing: dict[UploadId, asyncio.Event] = field(default_factory=dict)
    data_keys: KeySource = field(default_factory=KeySource)
    recoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RECODED_AT_ONCE))
    accounts: Accounts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "accounts", Accounts(self.reader))

    async def change(self, function: Callable[[Connection], T], *, is_long: bool = False) -> T:
        """Runs a re-runnable function in a transaction; its result is durable when this returns. One that is long runs
        beside the event loop."""
        return await self.writer.submit(function, is_long=is_long)

    def with_session(self, ids: IdSource, writer: BoundWriter) -> Store:
        return replace(self, ids=ids, writer=writer)

    def new_blob(self) -> BlobId:
        return self.ids.blob()

    def new_version(self) -> VersionId:
        return VersionId(self.ids.next())

    def release(self, conn: Connection, removed: Iterable[SegmentRow]) -> None:
        """These are no longer anybody's, in the transaction that removes their owner; their bytes go after the
        grace."""
        now_ms = self.clock.now_ms()
        due_ms = now_ms + int(self.delete_grace_seconds * 1000)
        blobs.release(conn, removed, due_ms, removed_at_ms=now_ms)

    def chunk_ref(self, found: BlobMap, index: int) -> ChunkRef:
        """Raises UnknownPlacement where metadata names a placement that does not exist. A chunk of a placement that has
        a successor may have moved since its map was read, so it is asked for anew."""
        chunk, blob = found.chunks[index], found.blob
        if chunk.placement in self.topology.replaced:
            chunk = found.chunks[index] = blobs.chunk_of(self.reader, blob.id, index) or chunk
        placement = self.topology.placement(chunk.placement)
        size = min(CHUNK_BYTES, blob.size - index * CHUNK_BYTES)
        return ChunkRef(blob.id, index, chunk.root, placement.nodes, size, blob.k, blob.m)
