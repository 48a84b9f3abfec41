"""Copies, deletes, overwrites, versions and part copies raced on the same blobs, with `check` as the judge (R35).

Each operation reads its source first and commits later, as requests do, so what it read may be gone by then. On SQLite
two writers take turns, on PostgreSQL eight transactions run at once, read committed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from cyxcloud.core.ids import BlobId, BucketId, IdSource, PlacementId, SessionNumber, UploadId, VersionId
from cyxcloud.meta import blobs, check, heads, parts, segments, sessions, uploads, usage, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import BlobGone
from cyxcloud.meta.postgres import PostgresDatabase, PostgresWriter
from cyxcloud.meta.rows import BlobRow, ChunkRow, NewPart, NewUpload, SegmentRow, UploadState
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import ACCOUNT, BUCKET, DUE_MS, new_version, segment
from tests.unit.meta.test_check import BIG, CONTEXT, frame

KEYS = [b"source", b"a", b"b", b"c"]
SESSION = SessionNumber(9)
ROUNDS, AT_ONCE = 5, 24


class Refused(Exception):
    """The operation found its key, upload or source changed: nothing of it is committed."""


@dataclass(slots=True)
class Race:
    """One store under fire; `writers` are taken in turn."""

    writers: list[Writer | PostgresWriter]
    reader: Connection
    rng: random.Random
    ids: IdSource = field(default_factory=lambda: IdSource(SESSION))
    outcomes: dict[str, int] = field(default_factory=dict)
    completing: set[UploadId] = field(default_factory=set)

    async def run(self, name: str, change: Callable[[Connection], None]) -> None:
        try:
            await self.rng.choice(self.writers).submit(change)
        except (BlobGone, Refused) as error:
            name = f"{name} {type(error).__name__}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def source(self) -> tuple[SegmentRow, ...]:
        """A current version's segments, as a request reads them before it commits."""
        head = heads.read(self.reader, BUCKET, self.rng.choice(KEYS))
        row = None if head is None else versions.read(self.reader, head.version)
        return () if row is None else segments.of(self.reader, row)

    def ranged(self) -> tuple[SegmentRow, ...]:
        cut = []
        for each in self.source():
            first = self.rng.randrange(each.length)
            cut.append(each._replace(offset=each.offset + first, length=self.rng.randint(1, each.length - first)))
        return tuple(cut)

    def store(self, conn: Connection, key: bytes, pieces: tuple[SegmentRow, ...], *, is_null: bool) -> None:
        """As objects/put.py: the new version's references are held."""
        new = new_version(self.ids.next(), key, *pieces, is_null=is_null)
        replaced = versions.insert_current(conn, new, heads.lock(conn, BUCKET, key).head)
        objects, size = 1, new.size
        if replaced is not None:
            blobs.release(conn, replaced.segments, DUE_MS)
            objects, size = 0, size - replaced.version.size
        usage.add(conn, BUCKET, new.id, objects=objects, size_bytes=size)

    def fresh(self) -> tuple[SegmentRow, Callable[[Connection], None]]:
        """A new blob, chunked or inline, and what writes its rows."""
        blob = self.ids.blob()
        if self.rng.random() < 0.5:
            return segment(blob, 100), lambda conn: blobs.insert_inline(conn, blob, bytes(116))
        rows = [ChunkRow(n, bytes([n]) * 32, PlacementId(1)) for n in range(2)]
        return segment(blob, BIG), lambda conn: blobs.insert_chunked(conn, BlobRow(blob, 1, BIG, 2, 1, 1, 2), rows)

    async def overwrite(self) -> None:
        key, is_null = self.rng.choice(KEYS), self.rng.random() < 0.7
        piece, insert = self.fresh()

        def change(conn: Connection) -> None:
            insert(conn)
            self.store(conn, key, (piece,), is_null=is_null)

        await self.run("overwrite", change)

    async def copy(self) -> None:
        key, pieces, is_null = self.rng.choice(KEYS), self.source(), self.rng.random() < 0.7
        if not pieces:
            return
        await asyncio.sleep(0)

        def change(conn: Connection) -> None:
            blobs.share(conn, pieces)
            self.store(conn, key, pieces, is_null=is_null)

        await self.run("copy", change)

    async def delete(self) -> None:
        key = self.rng.choice(KEYS)

        def change(conn: Connection) -> None:
            head = heads.lock(conn, BUCKET, key).head
            if head is None:
                raise Refused
            removed = versions.remove(conn, BUCKET, head, head.version)
            assert removed is not None
            blobs.release(conn, removed.segments, DUE_MS)
            usage.add(conn, BUCKET, self.ids.next(), objects=-1, size_bytes=-removed.version.size)

        await self.run("delete", change)

    async def copy_part(self) -> None:
        pieces, number = self.ranged(), self.rng.randint(1, 3)
        upload = self._some_upload()
        if not pieces or upload is None:
            return
        await asyncio.sleep(0)

        def change(conn: Connection) -> None:
            blobs.share(conn, pieces)
            row = uploads.lock(conn, upload)
            if row is None or row.state is not UploadState.OPEN:
                raise Refused
            size = sum(each.length for each in pieces)
            replaced = parts.put(conn, NewPart(upload, number, self.ids.next(), size, "e", 1, b"", pieces))
            blobs.release(conn, replaced, DUE_MS)

        await self.run("copy part", change)

    async def begin(self) -> None:
        row = NewUpload(UploadId(self.ids.next()), BUCKET, self.rng.choice(KEYS), ACCOUNT, 1, b"")
        await self.run("begin", lambda conn: uploads.create(conn, row))

    async def complete(self) -> None:
        """Frozen, read and committed in three steps, the last part left out; a process does each upload's once."""
        upload = self._some_upload()
        if upload is None or upload in self.completing:
            return
        self.completing.add(upload)
        try:
            await self._complete(upload)
        finally:
            self.completing.discard(upload)

    async def _complete(self, upload: UploadId) -> None:
        row = await self.rng.choice(self.writers).submit(lambda conn: uploads.freeze(conn, upload, SESSION, b"r", 1))
        if row is None:
            return
        rows = parts.all_of(self.reader, upload)
        content = segments.of_parts(self.reader, upload, rows)
        chosen = rows[:2]
        kept = tuple(each for part in chosen for each in content[part.number])
        unused = [each for part in rows[2:] for each in content[part.number]]

        def change(conn: Connection) -> None:
            if not kept:
                uploads.thaw(conn, upload, SESSION, 1)
                return
            self.store(conn, row.key, kept, is_null=True)
            parts.take_all(conn, upload)
            blobs.release(conn, unused, DUE_MS)
            assert uploads.complete(conn, upload, SESSION, b"answer", 1)

        await self.run("complete", change)

    async def abort(self) -> None:
        upload = self._some_upload()
        if upload is None:
            return

        def change(conn: Connection) -> None:
            if not uploads.abort(conn, upload, 1):
                raise Refused
            blobs.release(conn, parts.take_page(conn, upload), DUE_MS)

        await self.run("abort", change)

    def _some_upload(self) -> UploadId | None:
        rows = self.reader.driver.execute("SELECT id FROM upload WHERE state = 1 ORDER BY id").fetchall()
        return UploadId(self.rng.choice(rows)[0]) if rows else None

    def operations(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.copy, self.copy, self.copy, self.copy_part, self.copy_part, self.overwrite, self.delete, self.delete,
            self.begin, self.complete, self.abort,
        ]  # fmt: skip


@pytest.fixture
def race(either: Database | PostgresDatabase, request: pytest.FixtureRequest) -> Iterator[Race]:
    writers = [either.writer(), either.writer()]
    for writer in writers:
        writer.start()
    writers[0].call(frame)
    writers[0].call(lambda conn: sessions.create(conn, SESSION, "gateway", 1))
    yield Race(list(writers), either.reader(), random.Random(request.node.callspec.params["seed"]))
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("seed", range(3))
async def test_references_stay_exact_under_races(race: Race, seed: int) -> None:
    for _ in range(ROUNDS):
        await race.overwrite()
        await race.begin()
        chosen = [race.rng.choice(race.operations()) for _ in range(AT_ONCE)]
        await asyncio.gather(*(operation() for operation in chosen))
        assert check.run(race.reader, CONTEXT) == []
    queued = {row[0] for row in race.reader.driver.execute("SELECT blob FROM deletion").fetchall()}
    for key in KEYS:
        head = heads.read(race.reader, BucketId(BUCKET), key)
        if head is None:
            continue
        row = versions.read(race.reader, VersionId(head.version))
        assert row is not None
        for piece in segments.of(race.reader, row):
            assert piece.blob not in queued
            assert blobs.chunks(race.reader, BlobId(piece.blob)) or blobs.body(race.reader, BlobId(piece.blob))
    assert {"copy", "delete", "overwrite"} <= set(race.outcomes)


@pytest.mark.parametrize("seed", range(2))
async def test_the_last_reference_goes_or_the_copy_wins_but_never_both(race: Race, seed: int) -> None:
    """One blob with one owner: a copy of it raced with its owner's removal, over and over."""
    won = 0
    for number in range(25):
        key = b"owner-%d" % number
        piece, insert = race.fresh()

        def make(conn: Connection, key: bytes = key, piece: SegmentRow = piece, insert: object = insert) -> None:
            assert callable(insert)
            insert(conn)
            race.store(conn, key, (piece,), is_null=True)

        race.writers[0].call(make)

        def copy(conn: Connection, piece: SegmentRow = piece) -> None:
            blobs.share(conn, [piece])
            race.store(conn, b"copy", (piece,), is_null=False)

        def remove(conn: Connection, key: bytes = key) -> None:
            head = heads.lock(conn, BUCKET, key).head
            assert head is not None
            removed = versions.remove(conn, BUCKET, head, head.version)
            assert removed is not None
            blobs.release(conn, removed.segments, DUE_MS)
            usage.add(conn, BUCKET, race.ids.next(), objects=-1, size_bytes=-removed.version.size)

        one, other = race.rng.sample(race.writers, 2)
        first, second = race.rng.sample([one.submit(copy), other.submit(remove)], 2)
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, BaseException)]
        assert all(isinstance(each, BlobGone) for each in refused)
        won += not refused
        assert check.run(race.reader, CONTEXT) == []
    assert won
