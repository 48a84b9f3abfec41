"""The shard server: nodes of one box behind one Unix socket.

Only processes of the same user may connect (SO_PEERCRED); a connection begins with HELLO, which says for which cluster
and incarnation it writes. Writes go to the committer of the node's disk, small reads are answered at once from the page
cache, all others in threads. A client that does not read its answers is not read from either, and what is received but
not yet on disk is bounded, so no client can fill the host's memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import NodeId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import Hello, hello_message, node_message, parse_get, parse_hello, parse_put
from cyxcloud.wire.framing import FrameProtocol, frame
from cyxcloud.wire.status import HostRefused, ScrubAction, Status, WireError
from nodefs.commit import Committer, DeleteJob, PutJob
from nodefs.control import ControlRequests
from nodefs.lending import Locator
from nodefs.memories import Memories
from nodefs.meter import Meter
from nodefs.peer import same_user
from nodefs.rack import Rack
from nodefs.reading import GetReader, Reply
from nodefs.store import NodeStore, PutItem

log = structlog.get_logger(__name__)

FEATURES = ("batch", "verify")
ROLES = frozenset({"gateway", "coordinator", "mover"})
# What may be received and not yet be on disk: a few rounds of the committer.
_MAX_PENDING_BYTES = 192 * 1024 * 1024
_WRITE_HIGH_BYTES = 8 * 1024 * 1024
# Receive buffers of big puts are used again: making one costs as much as filling it.
_KEPT_BUFFERS = 6
_KEPT_FROM_BYTES = 256 * 1024


class ShardServer:
    """What all connections share."""

    def __init__(
        self,
        rack: Rack,
        clock: Clock,
        threads: Executor,
    ) -> None:
        self.rack = rack
        self.stores: Mapping[NodeId, NodeStore] = rack.stores
        self.committers: Mapping[int, Committer] = rack.committers
        self.reader = GetReader(self.stores, threads)
        self.locator = Locator(self.stores)
        self.control = ControlRequests(self.stores, rack.scrubbers, clock)
        self.features: tuple[str, ...] = FEATURES
        self.clock = clock
        self.threads = threads
        self.connections: set[HostConnection] = set()
        self.pending_bytes = 0
        self.meter = Meter(clock)
        self._spare: list[bytearray] = []
        self.memories = Memories()

    def infos(self) -> list[pb.NodeInfo]:
        return [node_message(info) for info in self.rack.infos()]

    def announce(self) -> None:
        """A node changed its state: whoever is connected hears of it without asking."""
        for connection in self.connections:
            connection.say_hello(0)

    def buffer(self, size: int) -> memoryview:
        for at, spare in enumerate(self._spare):
            if len(spare) == size:
                return memoryview(self._spare.pop(at))
        return memoryview(bytearray(size))

    def received(self, size: int) -> None:
        self.pending_bytes += size
        if self.pending_bytes > _MAX_PENDING_BYTES:
            for connection in self.connections:
                connection.hold()

    def stored(self, payload: memoryview, size: int, *, reusable: bool = True) -> None:
        """These bytes are on disk, or refused: nobody waits for them any more."""
        over = self.pending_bytes > _MAX_PENDING_BYTES
        self.pending_bytes -= size
        buffer = payload.obj if reusable and len(payload) >= _KEPT_FROM_BYTES else None
        if isinstance(buffer, bytearray) and len(payload) == len(buffer):
            self._spare = [buffer, *self._spare[: _KEPT_BUFFERS - 1]]
        if over and self.pending_bytes <= _MAX_PENDING_BYTES:
            for connection in self.connections:
                connection.release()


class HostConnection(FrameProtocol):
    def __init__(self, server: ShardServer) -> None:
        super().__init__()
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._peer: Hello | None = None
        self._slow = False  # it does not read what we write

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        if not self.is_welcome(transport):
            self.transport.abort()
            return
        self._server.connections.add(self)

    def is_welcome(self, transport: asyncio.BaseTransport) -> bool:
        if same_user(transport.get_extra_info("socket")):
            return True
        log.error("connection of another user refused")
        return False

    def misused(self, what: str, reason: str, signed: bytes = b"", signature: bytes = b"") -> None:
        """Something was asked for that must not be. Processes of this box do that by mistake only."""
        log.warning("refused", what=what, reason=reason, signed_bytes=len(signed), signature=signature.hex())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport = None
        self._server.connections.discard(self)

    def pause_writing(self) -> None:
        self._slow = True
        self.hold()

    def resume_writing(self) -> None:
        self._slow = False
        self.release()

    def hold(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def release(self) -> None:
        if self.transport is not None and not self._slow and self._server.pending_bytes <= _MAX_PENDING_BYTES:
            self.transport.resume_reading()

    # -- frames

    def payload_buffer(self, message: pb.Envelope) -> memoryview:
        return self._server.buffer(message.payload_bytes)

    def broken(self, error: WireError) -> None:
        log.warning("connection broke the protocol", error=str(error))
        self._refuse(0, Status.DENIED, str(error))
        if self.transport is not None:
            self.transport.close()

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        body = message.WhichOneof("body")
        if self._peer is None and body != "hello":
            raise WireError("the first message must be a hello")
        if body == "put":
            self._put(message, payload)
        elif body == "get":
            self._get(message)
        elif body == "locate":
            self._locate(message)
        elif body == "hello":
            self._hello(message)
        elif body == "delete":
            self._delete(message)
        elif body is not None:
            self._ask(message, body)
        else:
            self._refuse(message.request_id, Status.DENIED, "unknown request")

    def _hello(self, message: pb.Envelope) -> None:
        hello = parse_hello(message.hello)
        if hello.role not in ROLES:
            raise WireError(f"role {hello.role!r} has no business here")
        self._peer = hello
        self.say_hello(message.request_id)

    def say_hello(self, request_id: int) -> None:
        envelope = hello_message(Hello("node-host", features=self._server.features), request_id)
        envelope.hello.nodes.extend(self._server.infos())
        self._write([frame(envelope)])

    # -- put

    def _put(self, message: pb.Envelope, payload: memoryview) -> None:
        server = self._server
        put = message.put
        batch = parse_put(put, payload, server.memories.view(put.memory) if put.memory else None)
        began = self._loop.time()
        size = len(batch.payloads) * batch.shard_size
        server.received(size)
        disks: dict[int, list[tuple[NodeStore, PutItem]]] = {}
        refused = bytearray(), bytearray()
        for at, node in enumerate(batch.nodes):
            store = server.stores.get(node)
            status = self._may_write(store)
            if store is None or status is not Status.OK:
                refused[0].append(batch.indexes[at])
                refused[1].append(status)
            elif (items := disks.get(store.device)) is not None:
                items.append((store, PutItem(batch, at)))
            else:
                disks[store.device] = [(store, PutItem(batch, at))]
        left = len(disks)
        request_id = message.request_id

        reusable = True

        def done(job: PutJob) -> None:
            nonlocal left, reusable
            left -= 1
            indexes = bytes([item.batch.indexes[item.at] for _, item in job.items])
            statuses = [Status.BUSY if job.given_up else item.status for _, item in job.items]
            self._put_result(request_id, indexes, bytes(statuses), last=left == 0)
            server.meter.answered(self._loop.time() - began, bytes(statuses))
            job.items = []
            reusable = reusable and not job.given_up  # a disk that hangs may still be reading it
            if left == 0:
                server.stored(payload, size, reusable=reusable)

        if refused[0] or not disks:
            self._put_result(request_id, bytes(refused[0]), bytes(refused[1]), last=not disks)
        if not disks:
            server.stored(payload, size)
        for device, items in disks.items():
            server.committers[device].submit(PutJob(items, batch.shard_size * len(items), done))

    def _may_write(self, store: NodeStore | None) -> Status:
        assert self._peer is not None
        if store is None:
            return Status.DOWN
        if not store.writable:
            return Status.FULL if store.readable else Status.DOWN
        if store.folder.marker.cluster_id != self._peer.cluster_id:
            return Status.DENIED
        return Status.OK if store.incarnation == self._peer.incarnation else Status.WRONG_INCARNATION

    def _put_result(self, request_id: int, indexes: bytes, statuses: bytes, *, last: bool) -> None:
        envelope = pb.Envelope()
        envelope.request_id = request_id
        result = envelope.put_result
        result.indexes, result.statuses, result.last = indexes, statuses, last
        self._write([frame(envelope)])

    # -- all else

    def _get(self, message: pb.Envelope) -> None:
        began = self._loop.time()
        request_id = message.request_id
        batch = parse_get(message.get)
        reply = self._server.reader.at_once(batch)
        if reply is not None:
            self._send_get(request_id, reply, began)
            return
        work = self._loop.run_in_executor(self._server.threads, self._server.reader.from_disk, batch)
        work.add_done_callback(lambda done: self._send_get(request_id, done.result(), began))

    def _send_get(self, request_id: int, reply: Reply, began: float) -> None:
        self._server.meter.answered(self._loop.time() - began, reply.envelope.get_result.statuses)
        reply.envelope.request_id = request_id
        self._write([frame(reply.envelope), *reply.payloads])

    def _locate(self, message: pb.Envelope) -> None:
        request_id = message.request_id
        found = self._server.locator.at_once(message.locate)
        if found is not None:
            self._send_located(request_id, found)
            return
        work = self._loop.run_in_executor(self._server.threads, self._server.locator.from_disk, message.locate)
        work.add_done_callback(lambda done: self._send_located(request_id, done.result()))

    def _send_located(self, request_id: int, envelope: pb.Envelope) -> None:
        envelope.request_id = request_id
        self._write([frame(envelope)])

    def _delete(self, message: pb.Envelope) -> None:
        request_id = message.request_id
        order, signature = message.delete.order, message.delete.signature
        try:
            store, told = self._server.control.check_order(order, signature)
        except HostRefused as refusal:
            self.misused("delete", refusal.text, order, signature)
            self._refuse(request_id, refusal.status, refusal.text)
            return

        def done(job: DeleteJob) -> None:
            if job.answer is None:
                status = Status.BUSY if job.given_up else job.status
                if status is Status.DENIED:
                    self.misused("delete", job.refused, order, signature)
                self._refuse(request_id, status, job.refused or job.store.fault or "its disk does not answer")
                return
            envelope = pb.Envelope(request_id=request_id)
            result = envelope.delete_result
            result.statuses = bytes(job.answer.statuses)
            result.receipt, result.signature = job.answer.receipt, job.answer.signature
            self._write([frame(envelope)])

        self._server.committers[store.device].submit(DeleteJob(store, told, order, signature, done))

    def _ask(self, message: pb.Envelope, body: str) -> None:
        """What may be slow and is rare: answered from a thread."""
        request_id = message.request_id
        if body == "stats":
            envelope = pb.Envelope(request_id=request_id)
            envelope.stats_result.nodes.extend(self._server.infos())
            self._write([frame(envelope)])
            return
        if not self._may_ask(message, body):
            self._refuse(request_id, Status.DENIED, f"{body} is the coordinator's")
            return
        work: asyncio.Future[pb.Envelope]
        if body == "open_node":
            work = self._loop.create_task(self._open_node(message))
        else:
            work = self._loop.run_in_executor(self._server.threads, self._server.control.answer, message, body)

        def done(future: asyncio.Future[pb.Envelope]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._write([frame(future.result())])
            elif isinstance(error, HostRefused):
                self._refuse(request_id, error.status, error.text)
            else:
                log.error("request failed", body=body, exc_info=error)
                self._refuse(request_id, Status.IO_ERROR, str(error))

        work.add_done_callback(done)

    def _may_ask(self, message: pb.Envelope, body: str) -> bool:
        """What changes or steers a host is for the coordinator alone."""
        assert self._peer is not None
        steers = body in {"open_node", "put_pointer"} or (
            body == "scrub" and message.scrub.action != ScrubAction.STATUS
        )
        return not steers or self._peer.role == "coordinator"

    async def _open_node(self, message: pb.Envelope) -> pb.Envelope:
        info = await self._server.rack.open_node(Path(os.fsdecode(message.open_node.folder)))
        envelope = pb.Envelope(request_id=message.request_id)
        envelope.open_result.node.CopyFrom(node_message(info))
        return envelope

    def _refuse(self, request_id: int, status: Status, text: str) -> None:
        envelope = pb.Envelope(request_id=request_id)
        envelope.error.code, envelope.error.text = status, text
        self._write([frame(envelope)])

    def _write(self, buffers: list[bytes | memoryview]) -> None:
        if self.transport is None:
            return  # who asked is gone
        if len(buffers) == 1:
            self.transport.write(buffers[0])
        else:
            self.transport.writelines(buffers)
