"""Reads plaintext back: plan, gather verified columns, decrypt. Wrong bytes never leave this module.

Every block is checked against the chunk root before it is decoded or decrypted, every frame authenticates itself under
the blob's key. Shards found missing or corrupt are reported through `on_bad`; the caller decides what to file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from cyxcloud.core.ids import NodeId, ShardId
from cyxcloud.core.merkle import BLOCK_BYTES
from cyxcloud.shards.frames import CHUNK_BYTES, FRAME_BYTES, BlobCipher, Buffer
from cyxcloud.shards.gather import Fault, Gathering
from cyxcloud.shards.latency import Latency
from cyxcloud.shards.lent import NOTHING, LentReads, Taken
from cyxcloud.shards.plan import ChunkRef, ReadPlan, plan_read
from cyxcloud.shards.plane import INLINE_BYTES, DataPlane
from cyxcloud.shards.verify import Column, KnownChunk, KnownChunks

OnBad = Callable[[ShardId, NodeId, Fault], None]

# A chunk being read is held twice: as the shards that came and as the plaintext.
MEMORY_FACTOR = 2


class ChunkReader:
    def __init__(self, plane: DataPlane, on_bad: OnBad, lent: LentReads | None = None) -> None:
        self._plane = plane
        self._on_bad = on_bad
        self._chunks = KnownChunks()
        self._lent = lent or LentReads(plane)
        self._small, self._big = (Latency(plane.limits.first_hedge_seconds) for _ in range(2))

    async def read(self, ref: ChunkRef, cipher: BlobCipher, start: int, end: int) -> memoryview:
        """Plaintext [start, end) of one chunk; ChunkUnavailable where fewer than k good shards can be had."""
        plan = plan_read(ref.size, ref.k, start, end)
        chunk = self._chunks.get(ref.blob, ref.index, ref.root, ref.k + ref.m)
        latency = self._big if plan.wire_bytes > INLINE_BYTES else self._small
        asked_at = self._plane.clock.monotonic()
        first = plan.frames.start * FRAME_BYTES
        taken = await self._short_circuit(ref, cipher, plan, chunk, latency.hedge_seconds)
        if taken.plaintext is not None:
            latency.add(self._plane.clock.monotonic() - asked_at)
            return taken.plaintext[start - first : end - first]
        gathering = Gathering(self._plane, ref, plan, chunk.verifier, self._on_bad, taken.good)
        columns = await gathering.run(latency.hedge_seconds)
        latency.add(self._plane.clock.monotonic() - asked_at)
        opened: memoryview = await self._run(plan, _decrypt, ref, cipher, plan, columns)
        return opened[start - first : end - first]

    async def _short_circuit(
        self, ref: ChunkRef, cipher: BlobCipher, plan: ReadPlan, chunk: KnownChunk, hedge_seconds: float
    ) -> Taken:
        """All or some of it from packs that hosts on this box lend us."""
        lent = self._lent
        found = lent.known(ref, plan, chunk)
        if len(found) < len(plan.pieces):
            found = await lent.find(ref, plan, chunk, hedge_seconds)
        if not found:
            return NOTHING
        taken: Taken = await self._run(plan, lent.read_and_open, ref, cipher, plan, chunk.verifier, found)
        lent.forget(chunk, taken.bad)
        if taken.cold:
            taken.good.update(await lent.wait_for(taken, chunk, hedge_seconds))
        return taken

    async def _run(self, plan: ReadPlan, work: Callable[..., Any], *args: Any) -> Any:
        """Here what is small, in a thread what is big."""
        if plan.wire_bytes <= INLINE_BYTES:
            return work(*args)
        return await asyncio.get_running_loop().run_in_executor(self._plane.threads, work, *args)

    async def read_blob(
        self, chunks: Iterable[ChunkRef], cipher: BlobCipher, start: int, end: int
    ) -> AsyncGenerator[memoryview, None]:
        """Plaintext [start, end) of a blob, chunk by chunk, the next ones fetched ahead as far as the budget has room.

        `chunks` gives those that the range touches, in order; no more are taken from it than are fetched ahead. Close
        the iterator (contextlib.aclosing) when it is left early.
        """
        plane, budget = self._plane, self._plane.reading
        source = iter(chunks)
        ahead: deque[tuple[asyncio.Task[memoryview], int]] = deque()
        upcoming = next(source, None)
        try:
            while upcoming is not None or ahead:
                while upcoming is not None and len(ahead) <= plane.limits.prefetch_chunks:
                    held = MEMORY_FACTOR * upcoming.size
                    if not ahead:
                        await budget.reserve(held)
                    elif not budget.try_reserve(held):
                        break
                    base = upcoming.index * CHUNK_BYTES
                    span = max(0, start - base), min(upcoming.size, end - base)
                    ahead.append((asyncio.create_task(self.read(upcoming, cipher, *span)), held))
                    upcoming = next(source, None)
                task, held = ahead[0]
                yield await task
                ahead.popleft()
                budget.release(held)
        finally:
            for task, held in ahead:
                task.cancel()
                budget.release(held)


def _decrypt(ref: ChunkRef, cipher: BlobCipher, plan: ReadPlan, columns: dict[int, Column]) -> memoryview:
    rope = _Rope(plan.shard_size, columns)
    return cipher.open_frames(ref.index, plan.frames, ref.size, rope.cut)


class _Rope:
    """Ciphertext by its own offsets, over columns that lie where they were received."""

    __slots__ = ("_columns", "_shard_size")

    def __init__(self, shard_size: int, columns: dict[int, Column]) -> None:
        self._shard_size = shard_size
        self._columns = columns

    def cut(self, start: int, end: int) -> Buffer:
        """Without a copy where the range lies in one shard, as most frames of a big chunk do."""
        size = self._shard_size
        first, last = start // size, (end - 1) // size
        if first == last:
            return self._part(first, start - first * size, end - first * size)
        parts: Sequence[Buffer] = [
            self._part(shard, max(0, start - shard * size), min(size, end - shard * size))
            for shard in range(first, last + 1)
        ]
        return b"".join(parts)

    def _part(self, shard: int, start: int, end: int) -> memoryview:
        column = self._columns[shard]
        skipped = column.first_block * BLOCK_BYTES
        return column.data[start - skipped : end - skipped]
