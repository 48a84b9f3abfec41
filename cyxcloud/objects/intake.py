"""Takes a body in: received, hashed, encrypted and, unless it is small, coded and stored, chunk beside chunk.

Nothing is visible yet when this returns: the caller commits the rows in one transaction. When a process dies here, its
shards stand on nodes without a row; its session is closed later and the reconciler removes what that session left.
A body that is refused after its shards were stored (wrong digest, failed condition) is handed to `discard` at once.

Hashing frees the interpreter's lock, so a chunk is digested in one thread while it is encoded in another and the next
one is received; the worker's byte budgets bound what all bodies hold together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from blake3 import blake3

from cyxcloud.core.ids import BlobId
from cyxcloud.core.keywrap import Mode
from cyxcloud.core.profile import Profile
from cyxcloud.meta import blobs, repairs
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, ChunkRow, RepairRow, SegmentRow
from cyxcloud.objects import encryption
from cyxcloud.objects.body import Body, Digests
from cyxcloud.objects.encryption import BY_KEYRING, Sealing
from cyxcloud.objects.errors import ObjectTooLarge
from cyxcloud.objects.store import Store
from cyxcloud.shards import cid
from cyxcloud.shards.erasure import CODEC_ID
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher
from cyxcloud.shards.plane import INLINE_BYTES as HASH_IN_LOOP_BYTES
from cyxcloud.shards.sink import BlobSink
from cyxcloud.shards.writer import WrittenChunk

# The largest single PUT and the largest part that S3 takes.
MAX_BODY_BYTES = 5 << 30
NO_BLOB = BlobId(0)


@dataclass(frozen=True, slots=True)
class Taken:
    """A body that is durable but not referenced yet: `sealed` if it goes inline, else `chunks`; neither if empty."""

    segment: SegmentRow
    digests: Digests
    etag: str
    sealed: bytes | None = None
    chunks: tuple[WrittenChunk, ...] = ()

    @property
    def size(self) -> int:
        return self.segment.length


async def take(store: Store, body: Body, sealing: Sealing = BY_KEYRING, profile: Profile | None = None) -> Taken:
    """Receives the body to its end; its chunks are of that profile, else of the store's. Raises what the body raises,
    QuorumLost, StorageFull, ObjectTooLarge."""
    if store.room is not None:
        store.room.assert_left()
    if body.length is not None:
        if body.length > MAX_BODY_BYTES:
            raise ObjectTooLarge
        if body.length <= store.inline_bytes:
            buffer = bytearray(body.length)
            got = await body.fill(memoryview(buffer))
            await body.drain()
            return _take_small(store, body, sealing, memoryview(buffer)[:got])
    return await _Intake(store, body, sealing, profile).run()


def _take_small(store: Store, body: Body, sealing: Sealing, plaintext: memoryview) -> Taken:
    body.digest(plaintext)
    digests = body.finish()
    if not plaintext:
        return Taken(empty_segment(), digests, digests.md5.hex())
    blob, dek = store.new_blob(), store.data_keys.new()
    sealed = BlobCipher(blob, dek).seal(0, plaintext)
    wrapped = encryption.wrap(store, sealing, blob, dek)
    segment = _segment(blob, sealing.mode, wrapped, len(plaintext), [blake3(plaintext).digest()])
    return Taken(segment, digests, encryption.etag(sealing, dek, digests.md5), sealed=sealed)


class _Intake:
    """One body of more than a few KiB. The buffer of a chunk is filled while the one before is digested and encoded."""

    def __init__(self, store: Store, body: Body, sealing: Sealing, profile: Profile | None) -> None:
        self._store, self._body, self._sealing = store, body, sealing
        self._dek = store.data_keys.new()
        self._sink = BlobSink(store.plane, store.new_blob(), self._dek, profile)
        self._digesting: asyncio.Future[None] | None = None
        self._size = 0

    async def run(self) -> Taken:
        try:
            first = await self._receive(0)
            if first is not None:
                return first
            await self._body.drain()
            await self._digested()
            digests = self._body.finish()
        except BaseException:
            await self._give_up()
            raise
        chunks = await self._sink.finish()
        hashes = [each.digest for each in chunks]
        wrapped = encryption.wrap(self._store, self._sealing, self._sink.blob, self._dek)
        segment = _segment(self._sink.blob, self._sealing.mode, wrapped, self._size, hashes)
        return Taken(segment, digests, encryption.etag(self._sealing, self._dek, digests.md5), chunks=tuple(chunks))

    async def _receive(self, index: int) -> Taken | None:
        """Chunk after chunk to the end; a body that turns out to be small is taken as one."""
        while True:
            buffer = await self._sink.buffer(self._next_size())
            got = await self._body.fill(memoryview(buffer))
            self._size += got
            if self._size > MAX_BODY_BYTES:
                raise ObjectTooLarge
            if index == 0 and got <= self._store.inline_bytes:
                await self._body.drain()
                small = _take_small(self._store, self._body, self._sealing, memoryview(buffer)[:got])
                await self._sink.abort()
                return small
            if got:
                await self._digest(memoryview(buffer)[:got])
                await self._sink.put_chunk(index, buffer, got, self._digesting)
            if got < CHUNK_BYTES or self._size == self._body.length:
                return None
            index += 1

    def _next_size(self) -> int:
        left = CHUNK_BYTES if self._body.length is None else self._body.length - self._size
        return min(CHUNK_BYTES, left)

    async def _digest(self, received: memoryview) -> None:
        """Digests are chained, so one piece at a time; the last one goes on while its chunk is encoded."""
        await self._digested()
        if len(received) <= HASH_IN_LOOP_BYTES:
            self._body.digest(received)
        else:
            loop = asyncio.get_running_loop()
            self._digesting = loop.run_in_executor(self._store.plane.threads, self._body.digest, received)

    async def _digested(self) -> None:
        if self._digesting is not None:
            await self._digesting
            self._digesting = None

    async def _give_up(self) -> None:
        """The body is refused: nothing of it may stay behind, nor a thread still read its buffer."""
        if self._digesting is not None:
            await asyncio.gather(self._digesting, return_exceptions=True)
        await discard_sink(self._store, self._sink, self._size)


async def discard_sink(store: Store, sink: BlobSink, size: int) -> None:
    """What a refused body has already written is queued for deletion; what is still on its way is left to the sweep of
    this session, since nobody can name the shards of a chunk whose write was broken off."""
    written = await sink.abandon()
    if written:
        await _queue(store, sink.blob, size, written)


async def discard(store: Store, taken: Taken) -> None:
    """The body was stored whole but its commit was refused (a failed condition): its shards go at once."""
    if taken.chunks:
        await _queue(store, taken.segment.blob, taken.size, taken.chunks)


async def _queue(store: Store, blob: BlobId, size: int, chunks: tuple[WrittenChunk, ...]) -> None:
    rows = _chunk_rows(chunks)
    if [row.n for row in rows] != list(range(len(rows))):
        return  # a gap: the blob cannot be described by rows; the session's sweep takes it
    row = _blob_row(store, blob, size, chunks)
    gone = SegmentRow(blob, 0, size, b"", 0, Mode.SSE_S3, b"")
    now_ms = store.clock.now_ms()  # no grace: it was never anybody's, so no read and no snapshot knows it

    def queue(conn: Connection) -> None:
        blobs.insert_chunked(conn, row, rows)
        blobs.release(conn, [gone], now_ms)

    await store.change(queue)


def insert(conn: Connection, store: Store, taken: Taken) -> None:
    """The rows of a taken body, with its one reference; shards that are missing become repair entries with it."""
    if taken.sealed is not None:
        blobs.insert_inline(conn, taken.segment.blob, taken.sealed)
    elif taken.chunks:
        blob = taken.segment.blob
        blobs.insert_chunked(conn, _blob_row(store, blob, taken.size, taken.chunks), _chunk_rows(taken.chunks))
        missing = [(chunk.index, shard) for chunk in taken.chunks for shard in chunk.missing]
        if missing:
            now_ms = store.clock.now_ms()
            repairs.add(conn, [RepairRow(blob, chunk, shard, "not written", now_ms) for chunk, shard in missing])


def _blob_row(store: Store, blob: BlobId, size: int, chunks: tuple[WrittenChunk, ...]) -> BlobRow:
    placement = store.topology.placement(chunks[0].placement)
    return BlobRow(blob, 1, size, placement.k, placement.m, CODEC_ID, len(chunks))


def _chunk_rows(chunks: tuple[WrittenChunk, ...]) -> list[ChunkRow]:
    return [ChunkRow(each.index, each.root, each.placement) for each in sorted(chunks, key=lambda each: each.index)]


def empty_segment() -> SegmentRow:
    return SegmentRow(NO_BLOB, 0, 0, b"", 0, Mode.SSE_S3, cid.chunks_cid(0, []))


def _segment(blob: BlobId, mode: Mode, wrapped: tuple[int, bytes], size: int, chunk_digests: list[bytes]) -> SegmentRow:
    key_id, dek = wrapped
    return SegmentRow(blob, 0, size, dek, key_id, mode, cid.chunks_cid(size, chunk_digests))
