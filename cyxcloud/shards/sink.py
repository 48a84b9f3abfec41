"""A blob being written: takes plaintext chunks as they arrive and stores them pipelined, within the worker's budgets.

    buffer = await sink.buffer(size)     reserves before anything is received
    await sink.put_chunk(0, buffer, size)    returns as soon as there is room for the next chunk
    chunks = await sink.finish()         or `await sink.abort()`

The sink owns a buffer from `put_chunk` on. The first chunk that fails ends the blob: the next call raises its error.
"""

from __future__ import annotations

import asyncio

from cyxcloud.core.ids import BlobId
from cyxcloud.core.profile import Profile
from cyxcloud.shards.frames import BlobCipher, Buffer, sealed_size
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.writer import ChunkSend, WrittenChunk, encode, find_placement

# A chunk is stored in some ten milliseconds; a refused client need not wait for one that takes much longer.
ABANDON_SECONDS = 2.0


class BlobSink:
    def __init__(self, plane: DataPlane, blob: BlobId, dek: bytes, profile: Profile | None = None) -> None:
        self.blob = blob
        self.cipher = BlobCipher(blob, dek)
        self._plane, self._profile = plane, profile
        self._room = asyncio.Semaphore(plane.limits.chunks_in_flight)
        self._tasks: list[asyncio.Task[WrittenChunk]] = []
        self._failed: BaseException | None = None
        self._reserved = 0

    async def buffer(self, size: int) -> bytearray:
        """Room for one chunk's plaintext, waited for in line with all others of this worker."""
        await self._plane.receiving.reserve(size)
        self._reserved += size
        return self._plane.plain.take(size)

    async def put_chunk(
        self, index: int, plaintext: bytearray, length: int, reading: asyncio.Future[None] | None = None
    ) -> None:
        """Store the first `length` bytes of a buffer as chunk `index`. `reading` ends when the caller's own use of the
        buffer does."""
        await self._room.acquire()
        if self._failed is not None:
            self._room.release()
            raise self._failed
        task = asyncio.create_task(self._store(index, plaintext, length, reading))
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def finish(self) -> list[WrittenChunk]:
        """All chunks, durable, in the order of their indexes; raises the first failure after stopping the rest."""
        try:
            written = await asyncio.gather(*self._tasks)
        except BaseException:
            await self.abort()
            raise
        # A body without a length that ends with a whole chunk leaves the buffer behind that found nothing more.
        self._unreserve(self._reserved)
        return sorted(written, key=lambda chunk: chunk.index)

    async def abort(self) -> None:
        """Stop whatever is under way and give back what was reserved. Safe to call at any time, and again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._unreserve(self._reserved)

    async def abandon(self) -> tuple[WrittenChunk, ...]:
        """As abort, but the chunks that are durable are given back, so that they can be deleted by name; those on their
        way get a moment to become so, since of a write that was broken off nobody can say what it left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ABANDON_SECONDS)
        await self.abort()
        done = [task for task in self._tasks if not task.cancelled() and task.exception() is None]
        return tuple(sorted((task.result() for task in done), key=lambda chunk: chunk.index))

    async def _store(
        self, index: int, buffer: bytearray, length: int, reading: asyncio.Future[None] | None
    ) -> WrittenChunk:
        plane = self._plane
        placement = await find_placement(plane, self._profile)
        coded = sealed_size(length) * len(placement.nodes) // placement.k
        await plane.sending.reserve(coded)
        try:
            plaintext: Buffer = buffer if length == len(buffer) else memoryview(buffer)[:length]
            encoded = await encode(plane, self.cipher, index, plaintext, placement)
            try:
                if reading is not None:
                    await asyncio.wait([reading])
                self._unreserve(len(buffer))
                # Not where this was cancelled: a thread may still read it then.
                plane.plain.give(buffer)
                del plaintext, buffer
                return await ChunkSend(plane, self.blob, index, encoded).run(placement)
            finally:
                encoded.release()
        finally:
            plane.sending.release(coded)

    def _unreserve(self, size: int) -> None:
        self._reserved -= size
        self._plane.receiving.release(size)

    def _ended(self, task: asyncio.Task[WrittenChunk]) -> None:
        self._room.release()
        if self._failed is None and not task.cancelled():
            self._failed = task.exception()
