"""Brings messages to webhooks: each at least once, those of one key of a bucket in order, until they are too old.

A message leaves the queue in a transaction after its receiver took it, so one that was taken just before this process
died comes again, with the same X-Cyx-Delivery. One that fails is tried again after growing pauses with jitter; those of
its key wait for it, others do not. A webhook that took none gets a pause of its own, then one message at a time until
it takes one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import structlog

from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import deliveries, webhooks
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.deliveries import DeliveryRow
from cyxcloud.meta.webhooks import WebhookRow
from cyxcloud.meta.writer import Writer
from fleet.outgoing import NotTaken, Poster, Refused
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
AT_ONCE = 32  # of one webhook: connections that it holds open together
OF_A_KEY = 32  # that go before the queue is told of it
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 15 * 60 * 1000
LONGEST_REST_MS = 60 * 1000
EXPIRED_AT_ONCE = 1000
SIGNATURE = "X-Cyx-Signature"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error` is empty where the receiver took it."""

    row: DeliveryRow
    error: str = ""


@dataclass(frozen=True, slots=True)
class Rest:
    """A webhook that took nothing `times` in a row."""

    times: int
    until_ms: int


class Deliveries:
    name = "deliveries"

    def __init__(  # noqa: PLR0917 - all that it works with
        self,
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        poster: Poster,
        open_secret: Callable[[str, bytes], str],
        give_up_seconds: float,
        rng: random.Random | None = None,
    ) -> None:
        self._reader, self._writer, self._clock, self._poster = reader, writer, clock, poster
        self._open_secret, self._give_up_ms = open_secret, int(give_up_seconds * 1000)
        self._random = rng or random.SystemRandom()
        self._resting: dict[str, Rest] = {}

    async def step(self, now: float) -> Did | Idle:
        tried = await asyncio.gather(*(self._round(hook) for hook in webhooks.read_all(self._reader)))
        return Did(sum(tried), "delivering notifications") if any(tried) else Idle(now + LOOK_SECONDS)

    async def test(self, hook: WebhookRow, body: bytes) -> str:
        """Sends one message past the queue; gives what it failed with, "" where it was taken."""
        now_ms = self._clock.now_ms()
        row = DeliveryRow(0, hook.name, deliveries.COUNTER, b"", now_ms, now_ms, 0, body)
        return (await self._send(hook, row)).error

    async def _round(self, hook: WebhookRow) -> int:
        now_ms, rest = self._clock.now_ms(), self._resting.get(hook.name)
        if rest is not None and now_ms < rest.until_ms:
            return 0
        rows = deliveries.due(self._reader, hook.name, now_ms, AT_ONCE if rest is None else 1)
        if not rows:
            return 0
        outcomes = list(chain.from_iterable(await asyncio.gather(*(self._send_key(hook, row) for row in rows))))
        if all(each.error for each in outcomes):
            times = 0 if rest is None else rest.times + 1
            self._resting[hook.name] = Rest(times, now_ms + self._pause_ms(times, LONGEST_REST_MS))
        else:
            self._resting.pop(hook.name, None)
        await self._writer.submit(lambda conn: self._settle(conn, hook, outcomes))
        return len(outcomes)

    async def _send_key(self, hook: WebhookRow, row: DeliveryRow) -> list[Outcome]:
        """It and those of its key that follow, one by one, until one is not taken."""
        outcomes = [await self._send(hook, row)]
        while not outcomes[-1].error and len(outcomes) < OF_A_KEY:
            following = deliveries.following(self._reader, outcomes[-1].row)
            if following is None:
                break
            outcomes.append(await self._send(hook, following))
        return outcomes

    async def _send(self, hook: WebhookRow, row: DeliveryRow) -> Outcome:
        headers = {"Content-Type": "application/json", "X-Cyx-Delivery": str(row.id)}
        if hook.secret:
            secret = self._open_secret(hook.name, hook.secret)
            headers[SIGNATURE] = signature(secret, self._clock.now_ms() // 1000, row.body)
        try:
            await self._poster.post(hook.url, row.body, headers)
        except (Refused, NotTaken) as error:
            return Outcome(row, str(error))
        return Outcome(row)

    def _settle(self, conn: Connection, hook: WebhookRow, outcomes: Sequence[Outcome]) -> None:
        now_ms = self._clock.now_ms()
        failed = [each for each in outcomes if each.error]
        taken = [each.row.id for each in outcomes if not each.error]
        deliveries.taken(conn, taken)
        for each in failed:
            pause_ms = self._pause_ms(each.row.attempts, LONGEST_PAUSE_MS)
            deliveries.postpone(conn, each.row.id, now_ms + pause_ms)
        given_up: list[int] = []
        if failed:
            given_up = deliveries.older(conn, hook.name, now_ms - self._give_up_ms, EXPIRED_AT_ONCE)
            deliveries.taken(conn, given_up)
        is_still_failing = bool(hook.error) and not failed and deliveries.any_failed(conn, hook.name)
        error = failed[-1].error if failed else hook.error if is_still_failing else ""
        webhooks.count(conn, hook.name, now_ms, delivered=len(taken), given_up=len(given_up), error=error)
        if given_up:
            log.error("notifications given up", webhook=hook.name, count=len(given_up), reason=error)

    def _pause_ms(self, times: int, longest_ms: int) -> int:
        """Anywhere in the second half of a span that doubles, so that those who failed together part."""
        span = min(FIRST_PAUSE_MS << min(times, 20), longest_ms)
        return span // 2 + self._random.randrange(span // 2)


def signature(secret: str, at_seconds: int, body: bytes) -> str:
    """The receiver computes HMAC-SHA256 of `t`, a point and the body, and refuses what is old."""
    digest = hmac.new(secret.encode(), b"%d." % at_seconds + body, hashlib.sha256).hexdigest()
    return f"t={at_seconds},v1={digest}"
