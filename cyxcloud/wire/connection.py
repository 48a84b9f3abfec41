"""One connection of a client to a host: calls in flight, their answers, their deadlines.

An answer is matched by its request id; one that comes after its deadline is received and dropped. A caller's own buffer
is never written to after its call has ended: the rest of such a payload goes elsewhere. The slot that a put was sent
from is held until the host's last word on it, even where nobody waits for that any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cyxcloud.core.merkle import Buffer
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.framing import FrameProtocol, frame
from cyxcloud.wire.sharing import SharedMemory, Slot
from cyxcloud.wire.status import STATUS_BY_CODE, HostRefused, HostUnavailable, Status, WireError

# Two big chunks may be under way before a writer waits for the socket.
_WRITE_HIGH_BYTES = 8 * 1024 * 1024

Answer = tuple[pb.Envelope, memoryview]


class Call:
    """One request in flight. Its future is done by the answer, the deadline, or the end of the connection."""

    __slots__ = ("future", "into", "statuses", "timer")

    def __init__(self, future: asyncio.Future[Answer], timer: asyncio.TimerHandle, into: memoryview | None) -> None:
        self.future = future
        self.timer = timer
        self.into = into
        self.statuses: dict[int, Status] = {}  # of a put, which may be answered in pieces


class Connection(FrameProtocol):
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_hello: Callable[[pb.Hello], None],
        on_lost: Callable[[Connection, Exception | None], None],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._on_hello = on_hello
        self._on_lost = on_lost
        self._calls: dict[int, Call] = {}
        self._slots: dict[int, Slot] = {}  # of puts that the host has not answered for good
        self._next_id = 1
        self._receiving: Call | None = None
        self._writable: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._retired = False

    # -- calls

    def take_id(self) -> int:
        request_id = self._next_id
        self._next_id += 1
        return request_id

    def send(
        self, envelope: pb.Envelope, payloads: Sequence[Buffer], seconds: float, into: memoryview | None = None
    ) -> Call:
        """Hand the request to the socket; its request_id is one that take_id gave."""
        if self.transport is None or self.transport.is_closing():
            raise HostUnavailable("connection lost")
        request_id = envelope.request_id
        future: asyncio.Future[Answer] = self._loop.create_future()
        call = Call(future, self._loop.call_later(seconds, self._expire, request_id), into)
        self._calls[request_id] = call
        head = frame(envelope)
        if payloads:
            self.transport.writelines([head, *payloads])
        else:
            self.transport.write(head)
        return call

    def send_put(self, envelope: pb.Envelope, payloads: Sequence[Buffer], seconds: float, slot: Slot | None) -> Call:
        call = self.send(envelope, payloads, seconds)
        if slot is not None:
            slot.hold()
            self._slots[envelope.request_id] = slot
        return call

    async def wait(self, request_id: int, call: Call) -> Answer:
        try:
            return await call.future
        finally:
            self._forget(request_id, call)

    def uses(self, memory: SharedMemory) -> bool:
        """Whether the host may still read of it for one of our puts."""
        return any(slot.memory is memory for slot in self._slots.values())

    def retire(self) -> None:
        """Another takes its place: it ends with the last of its calls."""
        self._retired = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and not self._calls and self.transport is not None:
            self.transport.close()

    @property
    def paused(self) -> bool:
        return self._writable is not None

    async def writable(self) -> None:
        """Until the socket's buffer has room; a slow host slows its writers instead of filling memory."""
        while self._writable is not None:
            await asyncio.shield(self._writable)

    def _expire(self, request_id: int) -> None:
        call = self._calls.get(request_id)
        if call is not None and not call.future.done():
            call.future.set_exception(HostUnavailable("no answer before the deadline"))

    def _forget(self, request_id: int, call: Call) -> None:
        self._calls.pop(request_id, None)
        call.timer.cancel()
        if self._receiving is call and call.into is not None:
            self.detach_target()
            self._receiving = None
        call.into = None
        self._end_if_idle()

    # -- FrameProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self.resume_writing()
        self.transport = None
        error = exc or self._error
        for slot in self._slots.values():
            slot.lose()
        self._slots.clear()
        for call in self._calls.values():
            if not call.future.done():
                call.future.set_exception(HostUnavailable(f"connection lost: {error}"))
        self._on_lost(self, error)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def broken(self, error: WireError) -> None:
        self._error = error
        super().broken(error)

    def payload_buffer(self, message: pb.Envelope) -> memoryview:
        call = self._calls.get(message.request_id)
        size = message.payload_bytes
        if call is not None and call.into is not None and len(call.into) >= size and not call.future.done():
            self._receiving = call
            return call.into[:size]
        return super().payload_buffer(message)

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        self._receiving = None
        if message.HasField("hello"):
            self._on_hello(message.hello)
            if message.request_id == 0:
                return
        if self._slots:
            self._release_slot(message)
        call = self._calls.get(message.request_id)
        if message.request_id == 0 and message.HasField("error"):
            self._error = HostRefused(STATUS_BY_CODE.get(message.error.code, Status.BUSY), message.error.text)
        if call is None or call.future.done():
            return
        if message.HasField("put_result"):
            self._put_result(message, call)
        elif message.HasField("error"):
            status = STATUS_BY_CODE.get(message.error.code, Status.BUSY)
            call.future.set_exception(HostRefused(status, message.error.text))
        else:
            call.future.set_result((message, payload))

    def _release_slot(self, message: pb.Envelope) -> None:
        if message.HasField("error") or message.put_result.last:
            slot = self._slots.pop(message.request_id, None)
            if slot is not None:
                slot.release()

    @staticmethod
    def _put_result(message: pb.Envelope, call: Call) -> None:
        result = message.put_result
        if len(result.statuses) != len(result.indexes):
            raise WireError("an answer to put whose lengths disagree")
        for index, code in zip(result.indexes, result.statuses, strict=True):
            call.statuses[index] = STATUS_BY_CODE.get(code, Status.BUSY)
        if result.last:
            call.future.set_result((message, memoryview(b"")))
