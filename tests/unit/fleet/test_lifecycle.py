"""What the lifecycle's worker makes of buckets, as the store's days go by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cyxcloud.core.clock import ManualClock, SystemClock
from cyxcloud.core.ids import AccountId, BucketId, UploadId, VersionId
from cyxcloud.core.worker import Idle
from cyxcloud.meta import bucket_config as stored_config
from cyxcloud.meta import bucket_work, buckets, heads, listing, uploads, usage
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketFlags, BucketRow, NewUpload, UploadState, Versioning
from cyxcloud.objects import delete, lifecycle_work
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.delete import Removal, Remover
from cyxcloud.objects.lifecycle import LIFECYCLE, Criteria, Expiration, Noncurrent, Rule, Rules, Tag, Transition
from fleet import lifecycle as worker_module
from fleet.lifecycle import Lifecycle
from fleet.objectstore import ObjectStore
from fleet.storeclock import CoordinatorClock
from tests.unit.fleet.snapshot_rig import WRAPPING, rig

BUCKET = BucketRow(BucketId(7), "logs", AccountId(3), "", 1, Versioning.OFF, 1)
DAY = 10.0
CURRENT = Expiration(days=2)


class Bench:
    """A bucket, the worker, and a clock; days are ten seconds long."""

    def __init__(
        self, objects: ObjectStore, reader: Connection, store_clock: CoordinatorClock, clock: ManualClock
    ) -> None:
        self.objects, self.reader, self.store_clock, self.clock = objects, reader, store_clock, clock
        self.worker = self.new_worker()

    def new_worker(self) -> Lifecycle:
        return Lifecycle(self.objects, self.reader, self.store_clock, DAY)

    async def rules(self, **given: Any) -> None:
        await self.set(Rules((Rule("r", enabled=True, **{"filter": Criteria(), **given}),)))

    async def set(self, rules: Rules | None) -> None:
        store = await self.objects.ready()
        if rules is None:
            await store.change(lambda conn: stored_config.remove(conn, BUCKET.id, LIFECYCLE.name))
            return
        value = LIFECYCLE.encode(rules)
        await store.change(lambda conn: stored_config.put(conn, BUCKET.id, LIFECYCLE.name, value))

    async def versioned(
        self, versioning: Versioning = Versioning.ENABLED, flags: BucketFlags = BucketFlags.NONE
    ) -> None:
        store = await self.objects.ready()

        def change(conn: Connection) -> None:
            row = buckets.read_by_id(conn, BUCKET.id)
            assert row is not None
            buckets.change(conn, row, versioning=versioning, flags=flags)

        await store.change(change)

    async def put(self, key: bytes, body: bytes = b"x", **tags: str) -> None:
        await self.objects.put_object(BUCKET, key, body, BUCKET.account, Attributes(tags=tags))

    async def delete(self, key: bytes) -> None:
        store = await self.objects.ready()
        await delete.delete_object(Remover(store, BUCKET.id, BUCKET.account), Removal(key))

    async def carry_out(self, key: bytes, version: VersionId) -> int:
        """As if the worker had just seen it."""
        store = await self.objects.ready()
        due = [(lifecycle_work.Due(key, version), store.new_version())]
        remover = Remover(store, BUCKET.id, BUCKET.account)
        return await store.change(lambda conn: lifecycle_work.carry_out(conn, remover, due))

    async def after(self, days: float) -> None:
        """A pass of the worker, so many days later."""
        self.clock.advance(days * DAY)
        await self.run()

    async def run(self) -> None:
        while (await self.step()) == pytest.approx(worker_module.PAUSE_SECONDS):
            pass

    async def step(self) -> float:
        now = self.clock.monotonic()
        outcome = await self.worker.step(now)
        assert isinstance(outcome, Idle)
        return outcome.until - now

    def keys(self) -> list[bytes]:
        return [each.key for each in listing.page(self.reader, BUCKET.id, limit=1000).objects]

    def chain(self, key: bytes) -> list[str]:
        """Newest first: the storage class, or "marker"."""
        rows = self.reader.driver.execute(
            "SELECT is_delete_marker, storage_class FROM version WHERE key = ? ORDER BY seq DESC", (key,)
        )
        return ["marker" if marker else storage_class for marker, storage_class in rows.fetchall()]


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Iterator[Bench]:
    clock = ManualClock(SystemClock().now_ms())
    with rig(template, tmp_path, clock=clock) as fleet:
        fleet.writer.call(lambda conn: buckets.create(conn, BUCKET))
        reader = fleet.database.reader()
        store_clock = CoordinatorClock(clock, reader, fleet.writer)
        objects = ObjectStore(
            role="coordinator",
            hosts=fleet.hosts,
            reader=reader,
            writer=fleet.writer,
            clock=store_clock,
            monotonic=clock,
            wrapping=WRAPPING,
            delete_grace_seconds=3600.0,
            day_ms=int(DAY * 1000),
        )
        yield Bench(objects, reader, store_clock, clock)
        objects.close()


async def test_expiration_removes_the_objects_that_the_rule_takes(bench: Bench) -> None:
    for key in (b"a/old", b"a/tagged", b"b/other"):
        await bench.put(key, keep="yes" if key == b"a/tagged" else "no")
    await bench.rules(expiration=CURRENT, filter=Criteria("a/", (Tag("keep", "no"),)))
    await bench.after(1.5)
    await bench.put(b"a/young", keep="no")
    assert len(bench.keys()) == 4
    await bench.after(1)
    assert bench.keys() == [b"a/tagged", b"a/young", b"b/other"]
    assert usage.of_bucket(bench.reader, BUCKET.id).objects == 3


async def test_expiration_in_a_versioned_bucket_leaves_a_marker(bench: Bench) -> None:
    await bench.versioned()
    await bench.put(b"a")
    await bench.rules(expiration=CURRENT)
    await bench.after(3)
    assert bench.chain(b"a") == ["marker", "STANDARD"]
    await bench.after(30)
    assert bench.chain(b"a") == ["marker", "STANDARD"]


async def test_expiration_in_a_suspended_bucket_replaces_the_null_version(bench: Bench) -> None:
    await bench.put(b"a")
    await bench.versioned(Versioning.SUSPENDED)
    await bench.rules(expiration=CURRENT)
    await bench.after(3)
    assert bench.chain(b"a") == ["marker"]


@pytest.mark.parametrize(("newer", "left_at_first", "left_at_last"), [(None, 2, 1), (1, 2, 2), (2, 3, 3)])
async def test_noncurrent_expiration_counts_from_the_successor_and_keeps_the_newer(
    bench: Bench, newer: int | None, left_at_first: int, left_at_last: int
) -> None:
    await bench.versioned()
    for _ in range(5):
        await bench.put(b"a")
    await bench.rules(noncurrent_expiration=Noncurrent(2, newer))
    bench.clock.advance(5 * DAY)
    await bench.put(b"a")
    await bench.run()
    assert len(bench.chain(b"a")) == left_at_first  # one of them is noncurrent only since today
    await bench.after(3)
    assert len(bench.chain(b"a")) == left_at_last


async def test_marker_over_nothing_goes(bench: Bench) -> None:
    await bench.versioned()
    await bench.put(b"a")
    await bench.delete(b"a")
    await bench.put(b"b")
    await bench.delete(b"b")
    await bench.rules(
        noncurrent_expiration=Noncurrent(1), expiration=Expiration(expired_marker=True), filter=Criteria("a")
    )
    await bench.after(0.5)
    assert bench.chain(b"a") == ["marker", "STANDARD"]
    await bench.after(1)
    await bench.run()
    assert (bench.chain(b"a"), bench.chain(b"b")) == ([], ["marker", "STANDARD"])
    assert usage.of_bucket(bench.reader, BUCKET.id).objects == 2


async def test_transitions_are_shown_by_versions_and_listings(bench: Bench) -> None:
    await bench.versioned()
    await bench.put(b"a")
    await bench.put(b"a")
    await bench.rules(
        transitions=(Transition("STANDARD_IA", 1), Transition("GLACIER", 3)),
        noncurrent_transitions=(Noncurrent(2, None, "DEEP_ARCHIVE"),),
    )
    await bench.after(1)
    assert bench.chain(b"a") == ["STANDARD_IA", "STANDARD"]
    await bench.after(1)
    assert bench.chain(b"a") == ["STANDARD_IA", "DEEP_ARCHIVE"]
    await bench.after(1)
    assert bench.chain(b"a") == ["GLACIER", "DEEP_ARCHIVE"]
    head = heads.read(bench.reader, BUCKET.id, b"a")
    assert head is not None
    assert head.storage_class == "GLACIER"


async def test_unfinished_uploads_under_the_prefix_are_aborted(bench: Bench) -> None:
    store = await bench.objects.ready()
    for number, key in enumerate((b"a/x", b"b/x"), 1):
        new = NewUpload(UploadId(number), BUCKET.id, key, BUCKET.account, bench.store_clock.now_ms(), b"\x01")
        await store.change(lambda conn, new=new: uploads.create(conn, new))  # type: ignore[misc]
    await bench.rules(abort_days=2, filter=Criteria("a/"))
    states = lambda: [found.state for number in (1, 2) if (found := uploads.read(bench.reader, UploadId(number)))]  # noqa: E731
    await bench.after(1)
    assert states() == [UploadState.OPEN, UploadState.OPEN]
    await bench.after(1)
    assert states() == [UploadState.ABORTED, UploadState.OPEN]


async def test_big_bucket_takes_steps_and_goes_on_after_a_restart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "VERSIONS_A_STEP", 4)
    await bench.versioned()
    for number in range(6):
        for _ in range(3):
            await bench.put(b"%d" % number)
    await bench.rules(noncurrent_expiration=Noncurrent(1), expiration=Expiration(days=1000))
    bench.clock.advance(2 * DAY)
    assert await bench.step() == pytest.approx(worker_module.PAUSE_SECONDS)
    assert bucket_work.read(bench.reader, BUCKET.id, "lifecycle") is not None
    assert [len(bench.chain(b"%d" % number)) for number in range(6)].count(3) >= 4
    bench.worker = bench.new_worker()
    await bench.put(b"0")  # behind the place that was noted: looked at in the next pass
    await bench.run()
    assert [len(bench.chain(b"%d" % number)) for number in range(6)] == [2, 1, 1, 1, 1, 1]
    assert bucket_work.read(bench.reader, BUCKET.id, "lifecycle") is None


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_look_in_pages_of_any_size_finds_the_same(bench: Bench, limit: int) -> None:
    await bench.versioned()
    for key, count in ((b"a", 3), (b"a\x00", 1), (b"b/1", 4), (b"c", 2), (b"d", 1)):
        for _ in range(count):
            await bench.put(key)
    await bench.delete(b"d")
    criteria = (Criteria("b"), Criteria("d"), Criteria("b/1"), Criteria("a"))
    rules = Rules(
        tuple(
            Rule(f"{at}", enabled=True, filter=each, noncurrent_expiration=Noncurrent(1, newer=1))
            for at, each in enumerate(criteria)
        )
    )
    asked = lifecycle_work.Asked(rules, bench.store_clock.now_ms() + 10**9, 1000)
    place: lifecycle_work.Place | None = lifecycle_work.START
    found: list[bytes] = []
    while place is not None:
        page = lifecycle_work.look(bench.reader, BUCKET.id, asked, place, limit)
        found += [due.key for due in page.due]
        place = page.after
    assert found == [b"a", b"b/1", b"b/1"]


async def test_object_that_was_written_anew_since_it_was_seen_stays(bench: Bench) -> None:
    await bench.put(b"a")
    await bench.rules(expiration=CURRENT)
    bench.clock.advance(3 * DAY)
    store = await bench.objects.ready()
    asked = lifecycle_work.Asked(
        Rules((Rule("r", enabled=True, prefix="", expiration=CURRENT),)), store.clock.now_ms(), 10_000
    )
    page = lifecycle_work.look(bench.reader, BUCKET.id, asked, lifecycle_work.START, 10)
    assert len(page.due) == 1
    head = heads.read(bench.reader, BUCKET.id, b"a")
    await bench.put(b"a")
    newer = heads.read(bench.reader, BUCKET.id, b"a")
    assert head is not None
    assert newer is not None
    for version in (head.version, newer.version):
        assert await bench.carry_out(b"a", version) == 0
    assert bench.keys() == [b"a"]


async def test_rules_that_were_removed_since_do_nothing(bench: Bench) -> None:
    await bench.put(b"a")
    await bench.rules(expiration=CURRENT)
    bench.clock.advance(3 * DAY)
    head = heads.read(bench.reader, BUCKET.id, b"a")
    assert head is not None
    await bench.set(None)
    assert await bench.carry_out(b"a", head.version) == 0
    await bench.set(Rules((Rule("r", enabled=False, prefix="", expiration=CURRENT),)))
    assert await bench.carry_out(b"a", head.version) == 0
    await bench.rules(expiration=CURRENT)
    assert await bench.carry_out(b"a", head.version) == 1
    assert bench.keys() == []


async def test_rules_that_cannot_be_read_stop_no_other_bucket(bench: Bench) -> None:
    store = await bench.objects.ready()
    bad = BUCKET._replace(id=BucketId(1), name="bad")

    def make(conn: Connection) -> None:
        buckets.create(conn, bad)
        stored_config.put(conn, bad.id, LIFECYCLE.name, b"\x09")

    await store.change(make)
    await bench.put(b"a")
    await bench.rules(expiration=CURRENT)
    await bench.after(3)
    assert bench.keys() == []


async def test_pass_comes_often_when_days_are_short(bench: Bench) -> None:
    assert await bench.step() == pytest.approx(DAY / worker_module.PASSES_A_DAY)
    worker = Lifecycle(bench.objects, bench.reader, bench.store_clock, 86400.0)
    outcome = await worker.step(5.0)
    assert isinstance(outcome, Idle)
    assert outcome.until == 5.0 + worker_module.PASS_SECONDS
