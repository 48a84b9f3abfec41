"""Reads every record again within the scrub interval, so that decay is found while there are shards to repair it from.

A pass goes through the packs in their order, which is also the disk's, and where it is and what it counted is kept in
the index, so a restart goes on from there. What is found is only named here (a suspect); the commit thread looks again
before anything is set aside.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import astuple, dataclass, replace

from cyxcloud.core.clock import Clock
from cyxcloud.wire.shardhost import ScrubProgress
from nodefs.index import shard_key
from nodefs.record import ALIGN_BYTES, LIVE, payload_is_good
from nodefs.recovery import next_magic, read_header
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
        self._saved_up = 0.0
        self._looked_at = clock.monotonic()

    def begin_pass(self) -> None:
        """All of it, now."""
        with self._lock:
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

    def slice(self, most_bytes: int) -> int:
        """Read about so much more of the pass; gives how many bytes it was."""
        at = before = self._pass
        if at.started_at_ms == 0:
            at = replace(at, started_at_ms=self._clock.now_ms())
        done, ended = 0, False
        while done < most_bytes and not ended:
            number, size = self._next(at)
            if number is None:
                ended = True
            else:
                at = replace(at, pack=number, offset=at.offset if number == at.pack else ALIGN_BYTES)
                size = check_record(self.store, number, at.offset)
                at = replace(at, offset=at.offset + size, done_bytes=at.done_bytes + size)
                done += size
        if ended:
            at = Pass(finished_at_ms=self._clock.now_ms())
        self._saved_up = max(0.0, self._saved_up - done)
        with self._lock:
            if self._pass.started_at_ms in {before.started_at_ms, at.started_at_ms}:  # else a new pass was asked for
                self._pass = at if ended or self._pass.forced == at.forced else replace(at, forced=self._pass.forced)
        self.store.index.save_scrub_cursor(_encoded(self._pass))
        return done

    def _next(self, at: Pass) -> tuple[int | None, int]:
        """The pack that goes on from here."""
        for number in sorted(self.store.states):
            end = self.store.states[number].scanned_to
            if number == at.pack and at.offset < end:
                return number, end
            if number > at.pack and end > ALIGN_BYTES:
                return number, end
        return None, 0

    def _total_bytes(self) -> int:
        return sum(state.scanned_to - ALIGN_BYTES for state in list(self.store.states.values()))


def check_record(store: NodeStore, number: int, offset: int) -> int:
    """Check the record there and name it a suspect when it is damaged; gives the way to the next one."""
    pack = store.packs[number]
    header = read_header(pack, offset)
    if header is None:
        lost = store.index.key_at(number, offset)
        if lost is None:
            return next_magic(pack, offset + ALIGN_BYTES) - offset
        store.suspects.add(lost[0])
        return lost[1].size
    key = shard_key(header.shard.blob, header.shard.chunk, header.shard.index)
    where = store.index.find(key)
    if header.state == LIVE and where is not None and (where.pack, where.offset) == (number, offset):
        payload = pack.pread(header.shard_size, offset + header.payload_at)
        if not payload_is_good(header, payload):
            store.suspects.add(key)
    return header.record_bytes


def _encoded(at: Pass) -> bytes:
    return _PASS.pack(_FORMAT, *astuple(at))


def _decoded(data: bytes) -> Pass:
    if len(data) != _PASS.size or data[0] != _FORMAT:
        return Pass()
    return Pass(*_PASS.unpack(data)[1:])
