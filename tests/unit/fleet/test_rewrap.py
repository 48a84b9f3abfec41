"""Wrapping anew, raced with what requests do to the same rows between any two of its steps."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cyxcloud.core import keywrap
from cyxcloud.core.ids import BlobId, UploadId
from cyxcloud.core.keybundle import WrappingKeys
from cyxcloud.core.keywrap import Mode
from cyxcloud.core.worker import Did
from cyxcloud.meta import blobs, cluster, parts, rewrap, segments, uploads, versions
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import BlobGone
from cyxcloud.meta.rewrap import Place
from cyxcloud.meta.rows import NewPart, NewUpload, SegmentRow
from cyxcloud.meta.writer import Writer
from fleet.rewrap import Rewrap
from tests.unit.fleet.conftest import CLUSTER
from tests.unit.meta.build import ACCOUNT, BUCKET, add_bucket, delete, new_version, put

UPLOAD = UploadId(900)


class Keys:
    """A keyring's wrapping keys, and the data keys of every blob that was ever made."""

    def __init__(self) -> None:
        self.keys = WrappingKeys.generate()
        self.deks: dict[int, bytes] = {}

    def load(self) -> WrappingKeys:
        return self.keys

    def rotate(self, writer: Writer) -> None:
        self.keys = self.keys.with_new_key().with_newest_current()

        def use(conn: Connection) -> None:
            cluster.set_newest_key(conn, self.keys.newest)
            cluster.bump(conn, Epoch.KEYS)

        writer.call(use)

    def segment(
        self, blob: int, *, length: int = 100, key_id: int | None = None, mode: Mode = Mode.SSE_S3
    ) -> SegmentRow:
        dek = self.deks.setdefault(blob, bytes([blob % 256]) * 32)
        key_id = key_id or self.keys.current
        wrapped = keywrap.wrap(self.keys.keys[key_id], BlobId(blob), mode, dek)
        return SegmentRow(BlobId(blob), 0, length, wrapped, key_id, mode, b"c" * 32)

    def opens(self, segment: rewrap.WrappedKey) -> bool:
        key = self.keys.keys[segment.key_id]
        return keywrap.unwrap(key, segment.blob, Mode(segment.mode), segment.dek) == self.deks[segment.blob]


def every_row(conn: Connection) -> list[rewrap.WrappedKey]:
    return [row for place in Place for row in rewrap.page(conn, place) if row.length]


def settle(worker: Rewrap, start: float = 100.0) -> None:
    """Steps, in a clock of their own, until it says that all is done."""

    async def run() -> None:
        now = start
        for _ in range(500):
            outcome = await worker.step(now)
            now = now + 0.01 if isinstance(outcome, Did) else max(now, outcome.until)
            if worker.settled and not isinstance(outcome, Did):
                return
        raise AssertionError("it never settles")

    asyncio.run(run())


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def opened(template: Path, tmp_path: Path) -> object:
    path = tmp_path / "meta" / "meta.db"
    path.parent.mkdir()
    shutil.copy(template, path)
    database = Database(path)
    writer = database.writer()
    writer.start()
    writer.call(lambda conn: cluster.create(conn, CLUSTER))
    writer.call(add_bucket)
    yield database.reader(), writer
    writer.close()
    database.close()


def fill(writer: Writer, keys: Keys, count: int = 20) -> None:
    """Objects of one and of three segments, and an upload with parts."""

    def request(conn: Connection) -> None:
        for number in range(1, count + 1):
            extra = [keys.segment(number + 1000), keys.segment(number + 2000)] if number % 3 == 0 else []
            pieces = [keys.segment(number), *extra]
            for piece in pieces:
                blobs.insert_inline(conn, piece.blob, b"b" * 100)
            put(conn, new_version(number, b"key-%d" % number, *pieces))
        uploads.create(conn, NewUpload(UPLOAD, BUCKET, b"up", ACCOUNT, 1, b""))
        for number in range(1, 5):
            pieces = [keys.segment(3000 + number), keys.segment(4000 + number)]
            for piece in pieces:
                blobs.insert_inline(conn, piece.blob, b"b" * 100)
            parts.put(conn, NewPart(UPLOAD, number, 5000 + number, 200, "e", 1, b"", tuple(pieces)))

    writer.call(request)


def test_rewrap_brings_every_row_under_the_current_key(opened: tuple[Connection, Writer], keys: Keys) -> None:
    reader, writer = opened
    fill(writer, keys)
    before = {(row.row, row.blob) for row in every_row(reader)}
    keys.rotate(writer)
    worker = Rewrap(keys.load, reader, writer, page_rows=3)
    assert not worker.settled
    settle(worker)
    rows = every_row(reader)
    assert {(row.row, row.blob) for row in rows} == before
    assert {row.key_id for row in rows} == {2}
    assert all(keys.opens(row) for row in rows)
    known = cluster.read(reader)
    assert known is not None
    assert (known.newest_key, known.settled_key) == (2, 2)
    assert worker.progress.seen == worker.progress.total


def test_rewrap_leaves_customers_and_named_keys_and_empty_objects(
    opened: tuple[Connection, Writer], keys: Keys
) -> None:
    reader, writer = opened
    customers = keys.segment(1, mode=Mode.SSE_C)
    named = keys.segment(3, mode=Mode.SSE_KMS)
    empty = SegmentRow(BlobId(0), 0, 0, b"", 0, Mode.SSE_S3, b"c" * 32)

    def request(conn: Connection) -> None:
        blobs.insert_inline(conn, BlobId(1), b"b")
        put(conn, new_version(1, b"customers", customers))
        put(conn, new_version(2, b"empty", empty))
        blobs.insert_inline(conn, BlobId(3), b"b")
        put(conn, new_version(3, b"named", named))

    writer.call(request)
    keys.rotate(writer)
    settle(Rewrap(keys.load, reader, writer))
    for number, segment in ((1, customers), (2, empty), (3, named)):
        row = versions.read(reader, number)  # type: ignore[arg-type]
        assert row is not None
        assert row.segment == segment


def test_rewrap_of_a_settled_store_reads_nothing_until_the_next_rotation(
    opened: tuple[Connection, Writer], keys: Keys
) -> None:
    reader, writer = opened
    fill(writer, keys)
    worker = Rewrap(keys.load, reader, writer)
    asyncio.run(worker.step(0.0))
    asyncio.run(worker.step(5.0))
    assert (worker.progress.seen, worker.progress.running) == (0, False)
    keys.rotate(writer)
    asyncio.run(worker.step(6.0))
    assert worker.progress.running


def test_what_a_slow_request_commits_under_the_old_key_is_found_before_settling(
    opened: tuple[Connection, Writer], keys: Keys
) -> None:
    reader, writer = opened
    fill(writer, keys, 3)
    slow = keys.segment(50)
    keys.rotate(writer)
    worker = Rewrap(keys.load, reader, writer)

    async def pass_through(now: float) -> None:
        await worker.step(now)
        while worker.progress.running:
            await worker.step(now)

    asyncio.run(pass_through(0.0))  # changes what there is
    asyncio.run(pass_through(1.0))  # finds nothing, but some request may still hold the old key
    assert not worker.settled

    def late(conn: Connection) -> None:
        blobs.insert_inline(conn, slow.blob, b"b")
        put(conn, new_version(50, b"slow", slow))

    writer.call(late)
    settle(worker, 2.0)
    assert {row.key_id for row in every_row(reader)} == {2}


def test_a_data_key_that_does_not_open_is_left_and_counted(opened: tuple[Connection, Writer], keys: Keys) -> None:
    reader, writer = opened
    broken = keys.segment(1)._replace(dek=bytes(40))

    def request(conn: Connection) -> None:
        blobs.insert_inline(conn, BlobId(1), b"b")
        put(conn, new_version(1, b"broken", broken))

    writer.call(request)
    keys.rotate(writer)
    worker = Rewrap(keys.load, reader, writer, settle_seconds=0.0)

    async def run() -> None:
        now = 0.0
        for _ in range(20):
            outcome = await worker.step(now)
            now = now + 0.01 if isinstance(outcome, Did) else outcome.until

    asyncio.run(run())
    assert not worker.settled
    assert worker.progress.failed == 1
    row = versions.read(reader, 1)  # type: ignore[arg-type]
    assert row is not None
    assert row.segment == broken


def test_a_rotation_that_died_before_it_told_anybody_is_told_at_the_next_start(
    opened: tuple[Connection, Writer], keys: Keys
) -> None:
    reader, writer = opened
    writer.call(lambda conn: cluster.set_newest_key(conn, 2))
    keys.keys = keys.keys.with_new_key().with_newest_current()
    before = cluster.epochs(reader).keys
    asyncio.run(Rewrap(keys.load, reader, writer).step(0.0))
    assert cluster.epochs(reader).keys == before + 1


class RewrapMachine(RuleBasedStateMachine):
    """Between any two steps: puts, copies that read before and commit after, deletes, completions, rotations, crashes
    of the coordinator. Every row opens at every moment, and in the end all are under the current key."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "meta").mkdir()
        path = self.folder / "meta" / "meta.db"
        shutil.copy(self.template, path)
        self.database = Database(path)
        self.writer = self.database.writer()
        self.writer.start()
        self.reader = self.database.reader()
        self.keys, self.next = Keys(), 10_000
        self.held: list[tuple[SegmentRow, ...]] = []
        self.writer.call(lambda conn: cluster.create(conn, CLUSTER))
        self.writer.call(add_bucket)
        fill(self.writer, self.keys, 6)
        self.restart()

    @rule()
    def restart(self) -> None:
        self.worker = Rewrap(self.keys.load, self.reader, self.writer, page_rows=2)
        self.now = 0.0

    @rule(seconds=st.sampled_from([0.1, 3.0, 20.0]))
    def step(self, seconds: float) -> None:
        self.now += seconds
        asyncio.run(self.worker.step(self.now))

    @rule()
    def rotate(self) -> None:
        if self.keys.keys.newest < 5:
            self.keys.rotate(self.writer)

    @rule(data=st.data())
    def put_under_a_key_of_the_past(self, data: st.DataObject) -> None:
        key_id = data.draw(st.sampled_from(sorted(self.keys.keys.keys)))
        number = self.next = self.next + 1
        piece = self.keys.segment(number, key_id=key_id)

        def request(conn: Connection) -> None:
            blobs.insert_inline(conn, piece.blob, b"b" * 100)
            put(conn, new_version(number, b"key-%d" % (number % 4), piece))

        self.writer.call(request)

    @rule(data=st.data())
    def copy_begins(self, data: st.DataObject) -> None:
        found = [row[0] for row in self.reader.driver.execute("SELECT id FROM version ORDER BY id")]
        if found:
            row = versions.read(self.reader, data.draw(st.sampled_from(found)))
            assert row is not None
            self.held.append(segments.of(self.reader, row))

    @precondition(lambda self: self.held)
    @rule()
    def copy_commits(self) -> None:
        pieces, number = self.held.pop(0), self.next + 1
        self.next = number

        def request(conn: Connection) -> None:
            blobs.share(conn, pieces)
            put(conn, new_version(number, b"copy-%d" % (number % 3), *pieces))

        try:
            self.writer.call(request)
        except BlobGone:
            return

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        found = self.reader.driver.execute("SELECT key, id FROM version ORDER BY id").fetchall()
        if found:
            key, number = data.draw(st.sampled_from(found))
            self.writer.call(lambda conn: delete(conn, key, number))

    @rule()
    def complete(self) -> None:
        rows = parts.all_of(self.reader, UPLOAD)
        found = segments.of_parts(self.reader, UPLOAD, rows)
        pieces = tuple(each for number in sorted(found) for each in found[number])
        number = self.next = self.next + 1
        if pieces:
            asyncio.run(self.worker.step(self.now))  # between the read of the parts and the commit

            def request(conn: Connection) -> None:
                put(conn, new_version(number, b"up", *pieces))
                parts.take_all(conn, UPLOAD)

            self.writer.call(request)

    @invariant()
    def every_row_opens(self) -> None:
        if hasattr(self, "worker"):
            assert all(self.keys.opens(row) for row in every_row(self.reader))

    def teardown(self) -> None:
        if hasattr(self, "worker"):
            settle(self.worker, self.now + 30)
            assert {row.key_id for row in every_row(self.reader)} <= {self.keys.keys.current}
            self.writer.close()
            self.database.close()
            shutil.rmtree(self.folder)


def test_rewrap_races_with_everything(template: Path) -> None:
    RewrapMachine.template = template
    case = RewrapMachine.TestCase
    case.settings = settings(
        max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case().runTest()
