"""Reads every record again within the scrub interval, so that decay is found while there are shards to repair it from.

A pass goes through the packs in their order, which is also the disk's, and where it is is kept in the index, so a
restart goes on from there. What looks bad is only named here (suspects, strays, odd packs); the commit thread looks
again before anything is set aside, since a record may be deleted while it is read.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import astuple, dataclass, replace

from cyxcloud.core.clock import Clock
from cyxcloud.wire.shardhost import ScrubProgress
from nodefs.bulk import BulkReader
from nodefs.checking import check_rows, check_window
from nodefs.record import ALIGN_BYTES
from nodefs.store import NodeStore

# What is saved up before the disk is asked: a sixteenth of a small node, else this.
_WORTH_READING = 1 << 20
# What falls due while nobody could read is not read all at once.
_MOST_DUE = 64 << 20
_PASS = struct.Struct(">BIQQQQ?")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Pass:
    """How far the present pass is; `forced` when somebody asked for it and waits."""

    pack: int = 0
    offset: int = ALIGN_BYTES
    done_bytes: int = 0
    started_at_ms: int = 0
    finished_at_ms: int = 0  # of the pass before
    forced: bool = False


class Scrubber:
    """One node's. slice() is for one thread at a time, all else for any."""

    def __init__(self, store: NodeStore, interval_seconds: float, clock: Clock) -> None:
        self.store = store
        self._interval = interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._pass = _decoded(store.index.scrub_cursor())
        self._begun = 0  # passes that were asked for, to tell one from the next
        self._held: tuple[int, int] | None = None  # (pack, records in it that the index knows) since its beginning
        self._saved_up = 0.0
        self._looked_at = clock.monotonic()

    def begin_pass(self) -> None:
        """All of it, now."""
        with self._lock:
            self._begun += 1
            self._pass = Pass(started_at_ms=self._clock.now_ms(), finished_at_ms=self._pass.finished_at_ms, forced=True)

    def slow_down(self) -> None:
        """On at the usual pace."""
        with self._lock:
            self._pass = replace(self._pass, forced=False)

    def progress(self) -> ScrubProgress:
        at = self._pass
        return ScrubProgress(
            node_id=self.store.node_id,
            running=at.forced,
            done_bytes=at.done_bytes,
            total_bytes=max(at.done_bytes, self._total_bytes()),
            started_at_ms=at.started_at_ms,
            finished_at_ms=at.finished_at_ms,
            found=self.store.findings.last,
        )

    def is_due(self) -> bool:
        now, total = self._clock.monotonic(), self._total_bytes()
        self._saved_up = min(_MOST_DUE, self._saved_up + total * (now - self._looked_at) / self._interval)
        self._looked_at = now
        return self._pass.forced or self._saved_up > min(_WORTH_READING, total / 16)

    def slice(self, reader: BulkReader) -> int:
        """Read the next part of the pass; gives how many bytes it was."""
        with self._lock:
            at, begun = self._pass, self._begun
        if at.started_at_ms == 0:
            at = replace(at, started_at_ms=self._clock.now_ms())
        number = self._pack_after(at)
        if number is None:
            self._save(Pass(finished_at_ms=self._clock.now_ms()), begun)
            return 0
        offset = at.offset if number == at.pack else ALIGN_BYTES
        read = self._read(number, offset, reader)
        done = at.done_bytes + read
        self._saved_up = max(0.0, self._saved_up - read)
        self._save(replace(at, pack=number, offset=offset + read, done_bytes=done), begun)
        return read

    def _read(self, number: int, offset: int, reader: BulkReader) -> int:
        store = self.store
        pack, state = store.packs[number], store.states[number]
        if offset == ALIGN_BYTES:
            self._held = (number, 0)
            if not pack.has_its_page(store.node_id):
                store.odd_packs.add(number)
        end = state.scanned_to
        window = reader.read(pack, offset, end - offset)
        read, held = check_window(store, number, offset, window, last=offset + len(window) >= end or not window)
        if self._held is not None:
            self._held = (number, self._held[1] + held) if self._held[0] == number else None
        if not window or offset + read >= end:
            self._end_pack(number, end)
            return end - offset
        return read

    def _end_pack(self, number: int, end: int) -> None:
        """Whether the index knows more in this pack than was met there: then each of its rows is looked at."""
        store = self.store
        if self._held != (number, store.states[number].live_count):
            store.checkpoint()
            check_rows(store, number)
        if store.packs[number].size() > end:
            store.odd_packs.add(number)
        self._held = None

    def _save(self, at: Pass, begun: int) -> None:
        with self._lock:
            if self._begun == begun:  # else a new pass was asked for meanwhile
                ended = at.started_at_ms == 0
                self._pass = at if ended else replace(at, forced=self._pass.forced)
            encoded = _PASS.pack(_FORMAT, *astuple(self._pass))
        self.store.index.save_scrub_cursor(encoded)

    def _pack_after(self, at: Pass) -> int | None:
        """The pack in which the pass goes on; None at its end."""
        for number in sorted(self.store.states):
            end = self.store.states[number].scanned_to
            if number >= at.pack and (at.offset if number == at.pack else ALIGN_BYTES) < end:
                return number
        return None

    def _total_bytes(self) -> int:
        return sum(state.scanned_to - ALIGN_BYTES for state in list(self.store.states.values()))


def _decoded(data: bytes) -> Pass:
    if len(data) != _PASS.size or data[0] != _FORMAT:
        return Pass()
    return Pass(*_PASS.unpack(data)[1:])
