"""Frames on a stream: u32 big-endian length, Envelope, raw payload; the same code on both sides.

Bytes land in one staging buffer that belongs to the connection, many small frames by one read. The rest of a big
payload is received straight into the buffer it is wanted in. Every size is checked before memory is given for it.
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

from google.protobuf.message import DecodeError

from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.status import WireError

LENGTH = struct.Struct(">I")
# The largest message is a list or an order of 4,096 shard ids (53 KB); it must fit into the staging buffer.
MAX_MESSAGE_BYTES = 128 * 1024
# A chunk's 14 shards are under 6 MiB at 10+4; 1+k profiles hold up to a few chunks' worth.
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
# Linux gives a Unix socket about 208 KiB by default: one read can take all that is there.
_STAGE_BYTES = 256 * 1024
# Below this the rest of a payload goes through the staging buffer, so that what follows it comes with the same read.
_DIRECT_BYTES = 48 * 1024


def frame(envelope: pb.Envelope) -> bytes:
    """Length and message; the payload follows as buffers of its own."""
    body = envelope.SerializeToString()
    assert len(body) <= MAX_MESSAGE_BYTES
    return LENGTH.pack(len(body)) + body


class FrameProtocol(asyncio.BufferedProtocol):
    """Parses frames and gives them to frame_received; subclasses choose where payloads go."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._stage = memoryview(bytearray(_STAGE_BYTES))
        self._start = 0
        self._end = 0
        self._message: pb.Envelope | None = None  # whose payload is being received
        self._target = memoryview(b"")
        self._filled = 0

    # -- for subclasses

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        raise NotImplementedError

    def payload_buffer(self, message: pb.Envelope) -> memoryview:
        """Exactly payload_bytes long, writable."""
        return memoryview(bytearray(message.payload_bytes))

    def broken(self, error: WireError) -> None:  # noqa: ARG002 - for subclasses
        """The stream makes no sense any more."""
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        if self._message is not None and len(self._target) - self._filled >= _DIRECT_BYTES:
            return self._target[self._filled :]
        return self._stage[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        try:
            if self._message is not None and len(self._target) - self._filled >= _DIRECT_BYTES:
                self._filled += nbytes
                if self._filled == len(self._target):
                    self._deliver()
                return
            self._end += nbytes
            while self._parse():
                pass
        except WireError as error:
            self._message = None
            self._start = self._end = 0
            self.broken(error)
            return
        self._make_room()

    def _parse(self) -> bool:
        """One step: a header or (a piece of) a payload. False where more bytes are needed."""
        if self._message is not None:
            return self._take_payload()
        have = self._end - self._start
        if have < LENGTH.size:
            return False
        (length,) = LENGTH.unpack_from(self._stage, self._start)
        if length > MAX_MESSAGE_BYTES:
            raise WireError(f"a message of {length} bytes")
        begin = self._start + LENGTH.size
        if have < LENGTH.size + length:
            return False
        try:
            message = pb.Envelope.FromString(self._stage[begin : begin + length])  # type: ignore[arg-type]
        except DecodeError as error:
            raise WireError("a message that is not an Envelope") from error
        if message.payload_bytes > MAX_PAYLOAD_BYTES:
            raise WireError(f"a payload of {message.payload_bytes} bytes")
        self._start = begin + length
        if message.payload_bytes == 0:
            self.frame_received(message, memoryview(b""))
            return True
        self._target = self.payload_buffer(message)
        assert len(self._target) == message.payload_bytes
        self._filled = 0
        self._message = message
        return True

    def _take_payload(self) -> bool:
        take = min(len(self._target) - self._filled, self._end - self._start)
        self._target[self._filled : self._filled + take] = self._stage[self._start : self._start + take]
        self._filled += take
        self._start += take
        if self._filled < len(self._target):
            return False
        self._deliver()
        return True

    def _deliver(self) -> None:
        message, payload = self._message, self._target
        assert message is not None
        self._message, self._target = None, memoryview(b"")
        self.frame_received(message, payload)

    def _make_room(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._stage) - self._end < MAX_MESSAGE_BYTES // 2:
            left = self._end - self._start
            self._stage[:left] = self._stage[self._start : self._end]
            self._start, self._end = 0, left

    def detach_target(self) -> None:
        """The rest of the payload in hand goes to a buffer of our own: whoever gave the target is gone."""
        self._target = memoryview(bytearray(len(self._target)))
