"""Ends a process that holds the database's write lock and does not move.

All writers of a store take turns by a flock; one that is stopped (SIGSTOP, a debugger) or hangs while it holds the lock
would stop every write of the store. Killing it is safe: its transaction was not committed, so the database forgets it,
and the kernel gives the lock to the next. Only processes of this store are ever killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

STUCK_SECONDS = 5.0
LOCKS = Path("/proc/locks")
PROCESSES = Path("/proc")
STOPPED = {"T", "t"}  # by a signal, by a tracer


def free_stuck_lock(lock: Path, since: Mapping[int, float], now: float, ours: AbstractSet[int]) -> dict[int, float]:
    """Looks once. `since` says when each holder was first seen stopped; the answer is the next look's `since`."""
    stopped = {pid for pid in holders(lock) & ours if _state(pid) in STOPPED}
    seen = {pid: since.get(pid, now) for pid in stopped}
    for pid, first in list(seen.items()):
        if now - first >= STUCK_SECONDS:
            log.error(
                "process held the write lock without moving and is killed", pid=pid, seconds=round(now - first, 1)
            )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            del seen[pid]
    return seen


def holders(lock: Path) -> set[int]:
    """Processes that hold a flock on the file, as the kernel lists them."""
    try:
        found = lock.stat()
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return set()
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    fields = [line.split() for line in lines]
    # A line with "->" is a process that waits.
    return {int(each[4]) for each in fields if len(each) > 5 and each[1] == "FLOCK" and each[5] == wanted}


def _state(pid: int) -> str:
    """The letter that the kernel gives the process's state; it follows the name, which may hold anything but ends in
    ')'.
    """
    try:
        return (PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
