"""Tells the fleet that this node is there, what it holds and how it does; and takes what the fleet answers.

One request an interval over one kept connection. Without an answer it is tried again sooner, at a pace that grows and
never passes the interval, for as long as the node runs: a fleet that is away costs nothing but these tries, and shards
are served meanwhile. The sequence is durable (sequence.py). A node that is ended in order says so once, so that nobody
waits for it. The jitter keeps ten thousand nodes that lost the same coordinator from coming back in one second.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import structlog

from cyxcloud.core.certificates import TlsIdentity
from cyxcloud.core.clock import Clock
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.version import SOFTWARE, is_older
from cyxcloud.core.worker import Idle
from cyxcloud.wire.fleetpeer import coordinator_context
from cyxcloud.wire.heartbeat import (
    CONTENT_TYPE,
    MAX_HEARTBEAT_BYTES,
    Answer,
    Heartbeat,
    Outcome,
    Serving,
    parse_answer,
    sign_heartbeat,
)
from cyxcloud.wire.status import WireError
from nodefs.fleetclock import Reading
from nodefs.sequence import Sequence

log = structlog.get_logger(__name__)

# Until the fleet says what it wants.
FIRST_INTERVAL_SECONDS = 30.0
_FIRST_RETRY_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
_GOODBYE_SECONDS = 3.0
# What the fleet may ask for: neither a flood nor a silence in which nobody would notice anything.
_LEAST_INTERVAL_SECONDS, _MOST_INTERVAL_SECONDS = 0.1, 600.0
# A connection that stands between two heartbeats, at the longest interval too.
_KEEPALIVE_SECONDS = 900.0

Report = Callable[[int, int, Serving], Heartbeat]


class NotTaken(Exception):
    """The fleet did not take the heartbeat; the text says why."""


@dataclass(frozen=True, slots=True)
class FleetAddress:
    """`url` as the token gave it, https://HOST:PORT."""

    url: str

    @property
    def heartbeat(self) -> str:
        return f"{self.url.rstrip('/')}/v1/heartbeat"


class HeartbeatSender:
    """A worker. `report` makes the heartbeat for a sequence, a time and a state; `on_answer` hears every answer that
    was taken. `identity` is asked for each time, so that a renewed certificate is used with the next heartbeat."""

    name = "heartbeat"

    def __init__(
        self,
        fleet: FleetAddress,
        node: NodeIdentity,
        identity: Callable[[], TlsIdentity],
        *,
        report: Report,
        sequence: Sequence,
        clock: Clock,
        on_answer: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        self._fleet, self._node, self._identity, self._report = fleet, node, identity, report
        self._sequence, self._clock, self._on_answer = sequence, clock, on_answer
        self._session: aiohttp.ClientSession | None = None
        self._session_of: TlsIdentity | None = None
        self._interval = FIRST_INTERVAL_SECONDS
        self._failures = 0
        self._warned: set[str] = set()
        self._random = random.SystemRandom()
        self.last_error = "not yet reported"
        self.last_answer: Answer | None = None

    async def step(self, now: float) -> Idle:
        try:
            answer = await self._send(Serving.SERVING, _ANSWER_SECONDS)
        except (aiohttp.ClientError, OSError, TimeoutError, WireError, NotTaken) as error:
            return Idle(now + self._failed(str(error) or type(error).__name__))
        if self._failures:
            log.info("heartbeats are taken again", after_failures=self._failures)
        self._failures, self.last_error = 0, ""
        self._apply(answer)
        return Idle(now + self._interval * self._random.uniform(0.9, 1.0))

    async def end(self) -> None:
        """The node is ended in order: say so, if anybody listens."""
        try:
            await self._send(Serving.STOPPING, _GOODBYE_SECONDS)
        except (aiohttp.ClientError, OSError, TimeoutError, WireError, NotTaken) as error:
            log.info("the fleet was not told of the stop", reason=str(error))
        await self._close()

    # -- one heartbeat

    async def _send(self, state: Serving, seconds: float) -> Answer:
        """Once more where the fleet knows of a later sequence than we do: our file was set back."""
        async with asyncio.timeout(seconds):
            answer = await self._ask(state)
            if answer.outcome is Outcome.REPLAYED:
                log.warning("heartbeat's sequence was behind", fleet_has=answer.last_sequence)
                self._sequence.raise_to(answer.last_sequence)
                answer = await self._ask(state)
        if answer.outcome is not Outcome.TAKEN:
            raise NotTaken(f"the fleet answered: {answer.outcome.name.lower()}")
        return answer

    async def _ask(self, state: Serving) -> Answer:
        session = await self._connected()
        sent_ms = self._clock.now_ms()
        data = sign_heartbeat(self._node, self._report(self._sequence.take(), sent_ms, state))
        async with session.post(self._fleet.heartbeat, data=data, headers={"Content-Type": CONTENT_TYPE}) as response:
            body = await response.content.read(MAX_HEARTBEAT_BYTES)
            if response.content_type != CONTENT_TYPE:
                raise NotTaken(f"the fleet answered {response.status}: {body[:200].decode(errors='replace')}")
        answer = parse_answer(body)
        reading = Reading.of(answer.server_time_ms, sent_ms, self._clock.now_ms())
        self._warn("clock", reading.said() if reading.is_wrong else "")
        return answer

    async def _connected(self) -> aiohttp.ClientSession:
        identity = self._identity()
        if self._session is None or self._session_of is not identity:
            await self._close()
            connector = aiohttp.TCPConnector(
                ssl=coordinator_context(identity), limit=1, keepalive_timeout=_KEEPALIVE_SECONDS
            )
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            self._session_of = identity
        return self._session

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = self._session_of = None

    # -- what follows from it

    def _apply(self, answer: Answer) -> None:
        self._interval = min(max(answer.interval_ms / 1000, _LEAST_INTERVAL_SECONDS), _MOST_INTERVAL_SECONDS)
        self.last_answer = answer
        newer = is_older(SOFTWARE, answer.wanted_version)
        self._warn("newer", f"the fleet runs version {answer.wanted_version}, this is {SOFTWARE}" if newer else "")
        self._warn("too old", _too_old(answer, self._clock.now_ms()))
        self._on_answer(answer)

    def _failed(self, reason: str) -> float:
        """The seconds until the next try."""
        if "not yet valid" in reason or "has expired" in reason:
            reason += "; is this box's clock right?"
        if reason != self.last_error:
            log.warning("heartbeat was not taken", fleet=self._fleet.url, reason=reason)
        self.last_error = reason
        longest = min(_FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 16), self._interval)
        self._failures += 1
        return longest * self._random.uniform(0.5, 1.0)

    def _warn(self, kind: str, text: str) -> None:
        """Once for as long as it lasts."""
        if text and kind not in self._warned:
            log.warning(text)
            self._warned.add(kind)
        elif not text:
            self._warned.discard(kind)


def _too_old(answer: Answer, now_ms: int) -> str:
    if not answer.least_version or not is_older(SOFTWARE, answer.least_version):
        return ""
    days = (answer.least_version_from_ms - now_ms) // 86_400_000
    when = f"in {days} days" if days > 0 else "now"
    return f"the fleet wants version {answer.least_version}: this node ({SOFTWARE}) takes no new writes {when}"
