"""Access logs on their way from rows to objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyxcloud.core.clock import ManualClock, SystemClock
from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import access_logs, accounts, bucket_config, bucket_work, buckets, listing
from cyxcloud.meta.access_logs import LogRow
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import AccountRow, BucketRow, Versioning
from cyxcloud.objects import get
from cyxcloud.objects.access_log import BY_EVENT, LOGGING, SERVICE, UNDELIVERABLE, Logging
from cyxcloud.objects.acl import LOG_DELIVERY, Grant
from cyxcloud.objects.bucket_rules import POLICY, StoredPolicy
from cyxcloud.objects.lifecycle import DAY_MS
from cyxcloud.objects.ownership import BUCKET_ACL, BucketAcl
from fleet import access_logs as worker_module
from fleet.access_logs import AccessLogs
from fleet.objectstore import ObjectStore
from fleet.storeclock import CoordinatorClock
from tests.unit.fleet.snapshot_rig import WRAPPING, rig

OWNER = AccountRow(AccountId(3), "owner-id", "", "", False, 1)
LOGS = BucketRow(BucketId(7), "logs", OWNER.id, "us-east-1", 1, Versioning.OFF, 1)
WEB = BucketRow(BucketId(8), "web", OWNER.id, "us-east-1", 1, Versioning.OFF, 1)
SHOP = BucketRow(BucketId(9), "shop", OWNER.id, "us-east-1", 1, Versioning.OFF, 1)
INTERVAL = 10.0


def policy(*sources: str, effect: str = "Allow", resource: str = "logs/a/*") -> StoredPolicy:
    statements = [
        {
            "Effect": effect,
            "Principal": {"Service": SERVICE},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{resource}",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
                "StringEquals": {"aws:SourceAccount": OWNER.canonical_id},
            },
        }
        for source in sources
    ]
    return StoredPolicy(json.dumps({"Version": "2012-10-17", "Statement": statements}))


class Bench:
    def __init__(self, objects: ObjectStore, reader: Connection, worker: AccessLogs, clock: ManualClock) -> None:
        self.objects, self.reader, self.worker, self.clock = objects, reader, worker, clock
        self._numbers = iter(range(1, 1000))

    async def change(self, change: object) -> None:
        store = await self.objects.ready()
        await store.change(change)  # type: ignore[arg-type]

    async def configure(self, bucket: BucketRow, logging: Logging) -> None:
        await self.change(lambda conn: bucket_config.put(conn, bucket.id, LOGGING.name, LOGGING.encode(logging)))

    async def allow(self, stored: StoredPolicy) -> None:
        await self.change(lambda conn: bucket_config.put(conn, LOGS.id, POLICY.name, POLICY.encode(stored)))

    async def lines(self, bucket: BucketRow, *lines: bytes, at_ms: int = 0) -> None:
        rows = [(bucket.id, LogRow(next(self._numbers), at_ms or self.clock.now_ms(), line)) for line in lines]
        await self.change(lambda conn: access_logs.append(conn, rows))

    async def after(self, seconds: float) -> None:
        await self.worker.step(self.clock.monotonic())
        self.clock.advance(seconds)
        while isinstance(await self.worker.step(self.clock.monotonic()), Did):
            pass

    def delivered(self) -> list[bytes]:
        return [each.key for each in listing.page(self.reader, LOGS.id, limit=100).objects]

    async def read(self, key: bytes) -> bytes:
        store = await self.objects.ready()
        view = get.view_of(get.find(store, LOGS.name, key, with_body=True))
        assert view.attributes.headers == {"content-type": "text/plain"}
        return bytes(get.read_small(store, view, 0, view.version.size))

    def left(self) -> int:
        return sum(len(access_logs.page(self.reader, each.id, 100)) for each in (WEB, SHOP))


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Iterator[Bench]:
    clock = ManualClock(SystemClock().now_ms())
    with rig(template, tmp_path, clock=clock) as fleet:

        def make(conn: Connection) -> None:
            accounts.create(conn, OWNER)
            for row in (LOGS, WEB, SHOP):
                buckets.create(conn, row)

        fleet.writer.call(make)
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
        )
        yield Bench(objects, reader, AccessLogs(objects, reader, store_clock, INTERVAL), clock)
        objects.close()


async def test_lines_become_one_object_after_the_interval(bench: Bench) -> None:
    await bench.allow(policy("web"))
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.lines(WEB, b"one", b"two")
    await bench.after(INTERVAL / 2)
    await bench.lines(WEB, b"three")
    assert bench.delivered() == []
    await bench.after(INTERVAL)
    (key,) = bench.delivered()
    assert key.startswith(b"a/20")
    assert await bench.read(key) == b"one\ntwo\nthree\n"
    assert bench.left() == 0


async def test_lines_that_keep_coming_are_waited_for_only_a_moment(bench: Bench) -> None:
    await bench.allow(policy("web"))
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.lines(WEB, b"one")
    await bench.after(INTERVAL - 0.5)
    await bench.lines(WEB, b"two")
    await bench.after(0.6)
    assert bench.delivered() == []
    await bench.lines(WEB, b"three")
    await bench.after(worker_module.MOST_EXTRA_SECONDS)
    (key,) = bench.delivered()
    assert await bench.read(key) == b"one\ntwo\nthree\n"


async def test_buckets_with_one_prefix_share_an_object(bench: Bench) -> None:
    await bench.allow(policy("web", "shop"))
    for source in (WEB, SHOP):
        await bench.configure(source, Logging("logs", "a/"))
        await bench.lines(source, source.name.encode())
    await bench.after(INTERVAL + 2)
    (key,) = bench.delivered()
    assert sorted((await bench.read(key)).split()) == [b"shop", b"web"]


async def test_keys_dated_by_event_have_an_object_a_day_and_bucket(bench: Bench) -> None:
    await bench.allow(policy("web", "shop"))
    day = bench.clock.now_ms() // DAY_MS * DAY_MS
    for source in (WEB, SHOP):
        await bench.configure(source, Logging("logs", "a/", BY_EVENT))
    await bench.lines(WEB, b"yesterday", at_ms=day - 1)
    await bench.lines(WEB, b"today", at_ms=day)
    await bench.lines(SHOP, b"shop", at_ms=day)
    await bench.after(INTERVAL + 2)
    assert sorted([await bench.read(key) for key in bench.delivered()]) == [b"shop\n", b"today\n", b"yesterday\n"]
    assert all(
        key.startswith((b"a/owner-id/us-east-1/web/20", b"a/owner-id/us-east-1/shop/20")) for key in bench.delivered()
    )


@pytest.mark.parametrize(
    "stored",
    [
        None,
        policy("shop"),
        policy("web", resource="logs/b/*"),
        StoredPolicy(policy("web").text.replace(SERVICE, "events.amazonaws.com")),
        StoredPolicy(policy("web").text.replace("owner-id", "another-id")),
        StoredPolicy(
            json.dumps(
                {
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "*", "Resource": "arn:aws:s3:::logs/*"}
                    ]
                }
            )
        ),
    ],
)
async def test_lines_that_the_target_does_not_take_are_dropped(bench: Bench, stored: StoredPolicy | None) -> None:
    if stored is not None:
        await bench.allow(stored)
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.lines(WEB, b"one")
    await bench.after(INTERVAL + 2)
    assert (bench.delivered(), bench.left()) == ([], 0)


async def test_refused_delivery_is_noted_until_one_succeeds(bench: Bench) -> None:
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.lines(WEB, b"one")
    await bench.after(2 * INTERVAL)
    assert bucket_work.read(bench.reader, WEB.id, UNDELIVERABLE) is not None
    await bench.allow(policy("web"))
    await bench.lines(WEB, b"two")
    await bench.after(2 * INTERVAL)
    assert len(bench.delivered()) == 1
    assert bucket_work.read(bench.reader, WEB.id, UNDELIVERABLE) is None


async def test_policy_may_name_the_prefix_itself_and_a_denial_of_a_key_wins(bench: Bench) -> None:
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.allow(policy("web", resource="logs/a/"))
    await bench.lines(WEB, b"one")
    await bench.after(INTERVAL + 2)
    assert len(bench.delivered()) == 1
    allowed, denied = (json.loads(policy("web", effect=effect, resource=resource).text) for effect, resource in
                       (("Allow", "logs/a/"), ("Deny", "logs/a/20*")))  # fmt: skip
    await bench.allow(StoredPolicy(json.dumps({"Statement": allowed["Statement"] + denied["Statement"]})))
    await bench.lines(WEB, b"two")
    await bench.after(INTERVAL + 2)
    assert len(bench.delivered()) == 1


async def test_grant_to_the_log_delivery_group_lets_logs_in(bench: Bench) -> None:
    value = BUCKET_ACL.encode(BucketAcl((Grant(LOG_DELIVERY, "WRITE"), Grant(LOG_DELIVERY, "READ_ACP"))))
    await bench.change(lambda conn: bucket_config.put(conn, LOGS.id, BUCKET_ACL.name, value))
    await bench.configure(WEB, Logging("logs", "", grants=(Grant("reader-id", "READ"),)))
    await bench.lines(WEB, b"one")
    await bench.after(INTERVAL + 2)
    (key,) = bench.delivered()
    store = await bench.objects.ready()
    view = get.view_of(get.find(store, LOGS.name, key, with_body=True))
    assert view.attributes.acl == (Grant("owner-id", "FULL_CONTROL"), Grant("reader-id", "READ"))


async def test_lines_of_a_bucket_that_logs_no_more_are_dropped(bench: Bench) -> None:
    await bench.lines(WEB, b"one")
    await bench.after(INTERVAL + 2)
    assert bench.left() == 0


async def test_lines_that_another_has_delivered_make_no_object(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.allow(policy("web"))
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.lines(WEB, b"one", b"two")
    await bench.worker.step(bench.clock.monotonic())
    bench.clock.advance(INTERVAL + 2)
    stale = access_logs.page(bench.reader, WEB.id, 10)
    await bench.change(lambda conn: access_logs.remove(conn, WEB.id, [stale[0].id]))
    monkeypatch.setattr(access_logs, "page", lambda _conn, _bucket, _limit: stale)
    await bench.worker.step(bench.clock.monotonic())
    assert bench.delivered() == []
    monkeypatch.undo()
    assert len(access_logs.page(bench.reader, WEB.id, 10)) == 1


async def test_many_lines_become_several_objects(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LINES_AN_OBJECT", 2)
    await bench.allow(policy("web"))
    await bench.configure(WEB, Logging("logs", "a/"))
    await bench.lines(WEB, b"1", b"2", b"3", b"4", b"5")
    await bench.after(INTERVAL + 2)
    await bench.after(INTERVAL + 2)
    assert sorted([await bench.read(key) for key in bench.delivered()]) == [b"1\n2\n", b"3\n4\n", b"5\n"]


async def test_looks_often_when_the_interval_is_short(bench: Bench) -> None:
    outcome = await bench.worker.step(1.0)
    assert isinstance(outcome, Idle)
    assert outcome.until == 1.0 + worker_module.LOOK_SECONDS
