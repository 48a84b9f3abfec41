"""Threads that may hang with a disk: a pool whose stuck threads can be left behind, and a thread for one call."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_END_SECONDS = 5.0


class ReadThreads(Executor):
    """Cold reads wait for the disk in these; the disk orders them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = self._new()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self._pool.submit(fn, *args, **kwargs)

    def renew(self) -> None:
        """A disk hangs: what waits for it keeps its threads, everybody else gets new ones."""
        before, self._pool = self._pool, self._new()
        before.shutdown(wait=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _new(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._count, thread_name_prefix="read")


async def in_thread(run: Callable[[], T]) -> T:
    """A thread for this call alone: where it hangs, nothing waits behind it, the end of the process neither."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def give(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # what run() gave

    def work() -> None:
        value: T | None = None
        failed: BaseException | None = None
        try:
            value = run()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(give, value, failed)

    threading.Thread(target=work, name="disk", daemon=True).start()
    return await result


async def ended(tasks: Iterable[asyncio.Task[T]]) -> None:
    """What is in hand ends before the packs are closed; a disk that hangs is not waited for."""
    left = [task for task in tasks if not task.done()]
    if left:
        await asyncio.wait(left, timeout=_END_SECONDS)
