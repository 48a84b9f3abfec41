"""Small standing work on the metadata: checkpoints, folded usage, ended uploads, settled orders."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, orders, parts, uploads, usage
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer
from fleet.storeclock import CoordinatorClock

# The WAL is what a start after a crash reads, and what the mirror copies; a big one costs both.
CHECKPOINT_BYTES = 16 << 20
CHECKPOINT_SECONDS = 2.0
FOLD_SECONDS = 2.0
FOLD_ROWS = 2000
SWEEP_SECONDS = 30.0
# An answered CompleteMultipartUpload can be sent again for this long.
REMEMBER_MS = 24 * 3600 * 1000
EVIDENCE_SECONDS = 3600.0
EVIDENCE_MS = 90 * 24 * 3600 * 1000


class Checkpoints:
    """`gate` is held while the main file has to stay as it is: for a snapshot."""

    name = "checkpoints"

    def __init__(self, writer: Writer, gate: asyncio.Lock) -> None:
        self._writer, self._gate = writer, gate
        self._wal = Path(f"{writer.path}-wal")

    async def step(self, now: float) -> Did | Idle:
        if self._wal.stat().st_size >= CHECKPOINT_BYTES:
            async with self._gate:
                await asyncio.to_thread(self._writer.checkpoint, truncate=True)
        return Idle(now + CHECKPOINT_SECONDS)


class UsageFold:
    name = "usage-fold"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def step(self, now: float) -> Did | Idle:
        folded = await self._writer.submit(lambda conn: usage.fold(conn, FOLD_ROWS))
        return Did(folded) if folded == FOLD_ROWS else Idle(now + FOLD_SECONDS)


class UploadSweep:
    """Parts of ended uploads are released a page at a time; then the upload is forgotten. Their bytes stay for the
    grace as well: a restored snapshot may still have the upload, and who goes on with it must find its parts."""

    name = "upload-sweep"

    def __init__(self, reader: Connection, writer: Writer, clock: CoordinatorClock, grace_seconds: float) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._grace_ms = int(grace_seconds * 1000)

    async def step(self, now: float) -> Did | Idle:
        spent = uploads.spent(self._reader, self._clock.now_ms() - REMEMBER_MS, limit=1)
        if not spent:
            return Idle(now + SWEEP_SECONDS)
        upload = spent[0].id

        def sweep(conn: Connection) -> None:
            released = parts.take_page(conn, upload)
            now_ms = self._clock.now_ms()
            blobs.release(conn, released, now_ms + self._grace_ms, removed_at_ms=now_ms)
            uploads.remove(conn, upload)

        await self._writer.submit(sweep)
        return Did(1, "sweeping uploads")


class Evidence:
    name = "evidence"

    def __init__(self, writer: Writer, clock: CoordinatorClock) -> None:
        self._writer, self._clock = writer, clock

    async def step(self, now: float) -> Did | Idle:
        before_ms = self._clock.now_ms() - EVIDENCE_MS
        await self._writer.submit(lambda conn: orders.forget(conn, before_ms))
        return Idle(now + EVIDENCE_SECONDS)
