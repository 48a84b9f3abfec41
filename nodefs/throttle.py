"""How many bytes a second a node takes and gives: a provider's line is not the fleet's alone.

A token bucket each way, shared by all of a node's connections. Debt is allowed: what has come in, or is one answer,
is let through whole and the next waits until it is paid off, so that a limit below the size of a shard still works.
Reading pauses at the socket and the sender's TCP window fills; answers wait in memory, and where too much of them waits
their connection is not read from either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cyxcloud.core.clock import Clock

# What may go at once after a pause: short, so that a line's other users notice nothing.
_BURST_SECONDS = 0.25
_LEAST_BURST_BYTES = 64 * 1024
# Answers that wait for the limit, of one connection, before it is not read from.
_WAITING_HIGH_BYTES = 8 * 1024 * 1024
_USED_SECONDS = 10.0

Data = bytes | bytearray | memoryview


class Bucket:
    """`rate` in bytes a second, 0 for no limit."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self.rate = rate
        self._clock = clock
        self._burst = max(rate * _BURST_SECONDS, _LEAST_BURST_BYTES)
        self._tokens = self._burst
        self._at = clock.monotonic()
        self._used_since = self._at
        self._used = 0

    def take(self, size: int) -> float:
        """These bytes went; the seconds until more may."""
        now = self._clock.monotonic()
        self._used += size
        elapsed = now - self._used_since
        if elapsed > 2 * _USED_SECONDS:
            self._used, self._used_since = int(self._used * _USED_SECONDS / elapsed), now - _USED_SECONDS
        if self.rate == 0:
            return 0.0
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate) - size
        self._at = now
        return max(0.0, -self._tokens / self.rate)

    def owed(self) -> float:
        """The seconds until more may go."""
        return self.take(0)

    def unused_bits(self) -> int:
        """A second, on the average of the last while; 0 where there is no limit to tell of."""
        self.take(0)
        seconds = max(self._clock.monotonic() - self._used_since, 1.0)
        return max(0, int(8 * (self.rate - self._used / seconds)))


@dataclass(frozen=True, slots=True)
class Line:
    """Both ways of one node."""

    incoming: Bucket
    outgoing: Bucket

    @classmethod
    def of(cls, in_bytes: int, out_bytes: int, clock: Clock) -> Line:
        return cls(Bucket(in_bytes, clock), Bucket(out_bytes, clock))

    @property
    def is_limited(self) -> bool:
        return self.incoming.rate > 0 or self.outgoing.rate > 0

    def available_bps(self) -> int:
        """Bits a second that are left on the way that has less; 0 where nothing is limited."""
        return min((way.unused_bits() for way in (self.incoming, self.outgoing) if way.rate), default=0)


class ThrottledTransport(asyncio.Transport):
    """What the protocol writes waits its turn; what it pauses stays paused for two reasons."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.BufferedProtocol, line: Line) -> None:
        super().__init__()
        self._transport, self._protocol, self._line = transport, protocol, line
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Data] = deque()
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._held = self._full = self._choked = False
        self._closing = False

    # -- reading

    def received(self, size: int) -> None:
        delay = self._line.incoming.take(size)
        if delay > 0 and self._resting is None:
            self._resting = self._loop.call_later(delay, self._rested)
            self._transport.pause_reading()

    def _rested(self) -> None:
        self._resting = None
        delay = self._line.incoming.owed()
        if delay > 0:  # another connection of this node was faster
            self._resting = self._loop.call_later(delay, self._rested)
        elif not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_reading(self) -> None:
        self._held = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._held = False
        if self._resting is None:
            self._transport.resume_reading()

    # -- writing

    def write(self, data: Data) -> None:
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        for data in list_of_data:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
        if self._timer is None:
            self._send()
        self._tell()

    def _send(self) -> None:
        self._timer = None
        while self._waiting and not self._transport.is_closing():
            delay = self._line.outgoing.owed()
            if delay > 0:
                self._timer = self._loop.call_later(delay, self._send)
                break
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._line.outgoing.take(len(data))
            self._transport.write(data)
        if self._closing and not self._waiting:
            self._transport.close()
        self._tell()

    def choked(self, *, is_choked: bool) -> None:
        """The socket below takes no more, or does again."""
        self._choked = is_choked
        self._tell()

    def _tell(self) -> None:
        full = self._choked or self._waiting_bytes > _WAITING_HIGH_BYTES
        if full is not self._full:
            self._full = full
            tell: Callable[[], None] = self._protocol.pause_writing if full else self._protocol.resume_writing
            tell()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._waiting_bytes + self._transport.get_write_buffer_size()

    # -- the end

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        self._closing = True
        if not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self.lost()
        self._transport.abort()

    def lost(self) -> None:
        for timer in (self._timer, self._resting):
            if timer is not None:
                timer.cancel()
        self._timer = self._resting = None
        self._waiting.clear()
        self._waiting_bytes = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


class Throttled(asyncio.BufferedProtocol):
    """Stands between a connection and its protocol."""

    def __init__(self, protocol: asyncio.BufferedProtocol, line: Line) -> None:
        self._protocol, self._line = protocol, line
        self._transport: ThrottledTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        below: Any = transport
        self._transport = ThrottledTransport(below, self._protocol, self._line)
        self._protocol.connection_made(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._transport.lost()
        self._protocol.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        buffer: memoryview = self._protocol.get_buffer(sizehint)  # type: ignore[assignment]
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert self._transport is not None
        self._protocol.buffer_updated(nbytes)
        self._transport.received(nbytes)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._transport.choked(is_choked=True)

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._transport.choked(is_choked=False)


def throttled(make: Callable[[], asyncio.BufferedProtocol], line: Line) -> Callable[[], asyncio.BufferedProtocol]:
    """The factory for a listener or a dialled connection; without a limit nothing stands between."""
    return (lambda: Throttled(make(), line)) if line.is_limited else make
