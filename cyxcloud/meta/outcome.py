"""A request that waits to be committed, and where its result goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from cyxcloud.core.ids import SessionNumber
from cyxcloud.meta.connection import Connection

T = TypeVar("T")
Request = Callable[[Connection], T]


class Outcome:
    """Where one request's result goes: to a future of an event loop or of a thread."""

    __slots__ = ("error", "future", "is_long", "loop", "request", "result", "session")

    def __init__(
        self,
        request: Request[Any],
        session: SessionNumber | None,
        loop: asyncio.AbstractEventLoop | None,
        future: Any,
        *,
        is_long: bool = False,
    ) -> None:
        self.request = request
        self.session = session
        self.loop = loop
        self.is_long = is_long
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def deliver(self) -> None:
        if self.future.cancelled() or self.future.done():
            return  # nobody waits any more; what was committed stays
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


def deliver(batch: list[Outcome]) -> None:
    """Hand out results: one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in batch:
        if outcome.loop is None:
            outcome.deliver()
        else:
            by_loop.setdefault(outcome.loop, []).append(outcome)
    for loop, outcomes in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver_all, outcomes)


def _deliver_all(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        outcome.deliver()
