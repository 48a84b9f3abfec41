"""Makes a round's packs durable: one syncfs for many packs of a quiet filesystem, else an fdatasync each, side by side.

A round on one box touches nearly every node's pack. Sixteen fdatasyncs, each with a thread to wait in, cost three times
the CPU of one syncfs; but that also waits for whatever others left dirty on the filesystem, so it is taken only while
little is. Both return when the data is on the disk and its cache was flushed. Where syncfs reports an error, each pack
is synced by itself to learn whose it is: the kernel reports a lost write to every descriptor once.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

from cyxcloud.core.durable import DISK, Disk
from nodefs.pack import Pack

# Sixteen nodes on one disk are touched by most rounds; more than this waits in the queue of the sync threads.
SYNC_THREADS = 15
# Below this the packs' own syncs are cheaper.
FEWEST_PACKS = 5
# What others may have left dirty on the machine: a disk writes it within a tenth of a second.
QUIET_BYTES = 16 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_COUNTERS = Path("/proc/vmstat")
_DIRTY = b"\nnr_dirty "


class Syncer:
    """One committer's; the packs given to `run` are on one filesystem."""

    def __init__(self, disk: Disk = DISK, counters: Path = _COUNTERS) -> None:
        self._disk = disk
        self._threads = SyncThreads(SYNC_THREADS)
        self._counters = counters

    def start(self) -> None:
        self._threads.start()

    def stop(self) -> None:
        self._threads.stop()

    def run(self, packs: Sequence[Pack], written: int) -> list[OSError | None]:
        """Each pack's error, or None where it is durable. `written` bytes of this round are dirty themselves."""
        if len(packs) >= FEWEST_PACKS and self._dirty_bytes() <= QUIET_BYTES + written:
            with contextlib.suppress(OSError):
                self._disk.syncfs(packs[0].fd)
                return [None] * len(packs)
        return self._threads.run(packs)

    def _dirty_bytes(self) -> int:
        """Of the whole machine; beyond any bound where the kernel does not say."""
        try:
            counters = self._counters.read_bytes()
        except OSError:
            return 1 << 62
        _, found, rest = counters.partition(_DIRTY)
        return int(rest[: rest.index(b"\n")]) * _PAGE_BYTES if found else 1 << 62


class SyncThreads:
    """fdatasync of many packs at once; the caller's own thread takes one of them."""

    def __init__(self, count: int) -> None:
        self._work: SimpleQueue[tuple[int, Pack] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, OSError | None]] = SimpleQueue()
        self._threads = [threading.Thread(target=self._loop, name="sync", daemon=True) for _ in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def run(self, packs: Sequence[Pack]) -> list[OSError | None]:
        """Each pack's error, or None where it is durable."""
        errors: list[OSError | None] = [None] * len(packs)
        for at in range(1, len(packs)):
            self._work.put((at, packs[at]))
        if packs:
            errors[0] = _sync_one(packs[0])
        for _ in packs[1:]:
            at, error = self._results.get()
            errors[at] = error
        return errors

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            at, pack = work
            self._results.put((at, _sync_one(pack)))


def _sync_one(pack: Pack) -> OSError | None:
    try:
        pack.sync()
    except OSError as error:
        return error
    return None
