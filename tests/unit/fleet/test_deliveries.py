"""Messages on their way to webhooks, with a real receiver."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.ids import BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import deliveries, webhooks
from cyxcloud.meta.database import Database
from cyxcloud.meta.deliveries import NewDelivery
from cyxcloud.meta.webhooks import WebhookRow
from cyxcloud.meta.writer import Writer
from fleet.deliveries import SIGNATURE, Deliveries, signature
from fleet.outgoing import Guard, Poster
from fleet.storeclock import CoordinatorClock

BUCKET = BucketId(5)
GIVE_UP_SECONDS = 3600.0


@dataclass
class Receiver:
    """Takes what it is not told to refuse."""

    server: TestServer
    taken: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refuses: set[bytes] = field(default_factory=set)
    refuses_all: bool = False

    async def post(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.refuses_all or body in self.refuses:
            return web.Response(status=500, text="no")
        self.taken.append(body)
        self.headers.append(dict(request.headers))
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    app = web.Application()
    made = Receiver(TestServer(app))
    app.add_routes([web.post("/hook", made.post)])
    await made.server.start_server()
    yield made
    await made.server.close()


@dataclass
class Rig:
    database: Database
    writer: Writer
    clock: ManualClock
    poster: Poster
    worker: Deliveries

    def queue(self, *messages: tuple[bytes, bytes]) -> None:
        now_ms = self.clock.now_ms()
        new = [NewDelivery("hook", BUCKET, key, now_ms, body) for key, body in messages]
        self.writer.call(lambda conn: deliveries.add(conn, new))

    async def run(self) -> None:
        while isinstance(await self.worker.step(self.clock.monotonic()), Did):
            pass

    async def run_for(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            await self.run()

    @property
    def hook(self) -> WebhookRow:
        row = webhooks.read(self.database.reader(), "hook")
        assert row is not None
        return row

    @property
    def waiting(self) -> int:
        found = deliveries.waiting(self.database.reader()).get("hook")
        return 0 if found is None else found.messages


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "meta" / "meta.db"
    path.parent.mkdir()
    shutil.copy(template, path)
    opened = Database(path)
    yield opened
    opened.close()


@pytest.fixture
async def rig(database: Database, receiver: Receiver) -> AsyncIterator[Rig]:
    writer = database.writer()
    writer.start()
    clock = ManualClock(1_000_000_000)
    made = _rig(database, writer, clock)
    row = WebhookRow("hook", str(receiver.server.make_url("/hook")), b"", 0)
    writer.call(lambda conn: webhooks.add(conn, row))
    yield made
    await made.poster.close()
    writer.close()


def _rig(database: Database, writer: Writer, clock: ManualClock) -> Rig:
    reader = database.reader()
    poster = Poster(Guard(["127.0.0.0/8"]), 5.0)
    worker = Deliveries(
        reader,
        writer,
        CoordinatorClock(clock, reader, writer),
        poster,
        lambda name, sealed: f"{name}:{sealed.decode()}",
        GIVE_UP_SECONDS,
        random.Random(1),
    )
    return Rig(database, writer, clock, poster, worker)


def keyed(bodies: Sequence[bytes], key: bytes = b"k") -> list[tuple[bytes, bytes]]:
    return [(key, body) for body in bodies]


async def test_step_brings_those_of_a_key_in_order(rig: Rig, receiver: Receiver) -> None:
    bodies = [b"%d" % n for n in range(20)]
    rig.queue(*keyed(bodies))
    await rig.run()
    assert receiver.taken == bodies
    assert (rig.waiting, rig.hook.delivered, rig.hook.error) == (0, 20, "")
    assert isinstance(await rig.worker.step(0.0), Idle)


async def test_step_after_a_refusal_keeps_the_order_of_its_key_alone(rig: Rig, receiver: Receiver) -> None:
    """Fails where a due message is sent while an earlier one of its key waits."""
    receiver.refuses.add(b"a1")
    rig.queue(*keyed([b"a1", b"a2"], b"a"), *keyed([b"b1", b"b2"], b"b"))
    await rig.run()
    assert receiver.taken == [b"b1", b"b2"]
    assert "answered 500 'no'" in rig.hook.error
    receiver.refuses.clear()
    await rig.run_for(3)
    assert receiver.taken == [b"b1", b"b2", b"a1", b"a2"]
    assert rig.hook.error == ""


async def test_step_for_a_webhook_that_takes_nothing_rests_longer_and_longer(rig: Rig, receiver: Receiver) -> None:
    receiver.refuses_all = True
    rig.queue(*[(b"k%d" % n, b"%d" % n) for n in range(100)])
    tries = 0
    for _ in range(120):
        rig.clock.advance(1.0)
        while isinstance(await rig.worker.step(rig.clock.monotonic()), Did):
            tries += 1
    assert 5 <= tries <= 12, "a second, two, four ... up to a minute"
    receiver.refuses_all = False
    await rig.run_for(400)
    assert (len(receiver.taken), rig.waiting) == (100, 0)


async def test_step_gives_up_by_age_and_says_so(rig: Rig, receiver: Receiver) -> None:
    receiver.refuses_all = True
    rig.queue(*[(b"k%d" % n, b"%d" % n) for n in range(100)])
    await rig.run()
    rig.clock.advance(GIVE_UP_SECONDS - 10)
    rig.queue((b"young", b"young"))
    rig.clock.advance(11)
    await rig.run()
    assert (rig.waiting, rig.hook.given_up) == (1, 100)
    assert rig.hook.given_up_at_ms == rig.clock.now_ms()
    receiver.refuses_all = False
    await rig.run_for(100)
    assert receiver.taken == [b"young"]


async def test_step_signs_for_those_that_have_a_secret(rig: Rig, receiver: Receiver) -> None:
    rig.queue((b"k", b"unsigned"))
    await rig.run()
    assert SIGNATURE not in receiver.headers[0]
    rig.writer.call(lambda conn: webhooks.remove(conn, "hook"))
    url = str(receiver.server.make_url("/hook"))
    rig.writer.call(lambda conn: webhooks.add(conn, WebhookRow("hook", url, b"sealed", 0)))
    rig.queue((b"k", b"signed"))
    await rig.run()
    wanted = signature("hook:sealed", rig.clock.now_ms() // 1000, b"signed")
    assert receiver.headers[1][SIGNATURE] == wanted
    assert wanted.startswith("t=1000000,v1=")


async def test_message_that_was_taken_before_a_death_comes_again_as_the_same(rig: Rig, receiver: Receiver) -> None:
    """Killed between the receiver's answer and the commit: at least once, never lost. Fails where a message leaves the
    queue before it was taken."""

    class Dead(Exception): ...

    class DyingWriter:
        async def submit(self, *_: object) -> None:
            raise Dead

    rig.queue((b"k", b"one"))
    rig.worker._writer = DyingWriter()  # type: ignore[assignment]
    with pytest.raises(Dead):
        await rig.worker.step(0.0)
    again = _rig(rig.database, rig.writer, rig.clock)
    await again.run()
    await again.poster.close()
    assert receiver.taken == [b"one", b"one"]
    assert receiver.headers[0]["X-Cyx-Delivery"] == receiver.headers[1]["X-Cyx-Delivery"]
    assert rig.waiting == 0


async def test_ids_do_not_begin_anew_when_the_queue_was_empty(rig: Rig, receiver: Receiver) -> None:
    for body in (b"one", b"two"):
        rig.queue((b"k", body))
        await rig.run()
    assert [each["X-Cyx-Delivery"] for each in receiver.headers] == ["1", "2"]


async def test_removed_webhook_takes_its_messages_along(rig: Rig, receiver: Receiver) -> None:
    rig.queue((b"k", b"one"))
    rig.writer.call(lambda conn: webhooks.remove(conn, "hook"))
    await rig.run()
    assert (receiver.taken, rig.waiting) == ([], 0)
