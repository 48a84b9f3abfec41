"""The client of one host, by Unix socket or TLS: keeps a connection, dials again by itself, many calls in flight.

HostUnavailable means that nothing is known of the call; a put of the same bytes may simply be sent again. A connection
that shows a certificate which was renewed since is replaced before the node would have to end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from cyxcloud.core.ids import BlobId, NodeId, SessionNumber, ShardId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import (
    Hello,
    get_message,
    hello_message,
    locate_message,
    parse_get_result,
    parse_hello,
    parse_locate_result,
    parse_node,
    parse_scrub,
    parse_statuses,
    parse_verify_result,
    payload_views,
    put_message,
    split_shards,
)
from cyxcloud.wire.connection import Answer, Connection
from cyxcloud.wire.endpoint import RemoteEndpoint
from cyxcloud.wire.lending import FEATURE_LEND, borrow
from cyxcloud.wire.shardhost import (
    CONTROL_SECONDS,
    GET_SECONDS,
    MAX_POINTER_BYTES,
    OPEN_SECONDS,
    PUT_SECONDS,
    DeleteAnswer,
    FindingsAnswer,
    GetAnswer,
    GetBatch,
    Lender,
    ListAnswer,
    LocateAnswer,
    NodeInfo,
    PutBatch,
    ScrubProgress,
    ShardHost,
    VerifyAnswer,
)
from cyxcloud.wire.sharing import FEATURE_SHARE, SharedMemory, Shares
from cyxcloud.wire.status import HostRefused, HostUnavailable, NodeState, ScrubAction, Status, WireError
from cyxcloud.wire.tickets import Operation, TicketSigner

__all__ = [
    "DeleteAnswer",
    "FindingsAnswer",
    "GetAnswer",
    "GetBatch",
    "Hello",
    "HostClient",
    "HostRefused",
    "HostUnavailable",
    "ListAnswer",
    "NodeInfo",
    "NodeState",
    "PutBatch",
    "ScrubAction",
    "ScrubProgress",
    "ShardHost",
    "Status",
    "VerifyAnswer",
]

# A restarted host is back within the first steps; later ones only keep a dead one from costing anything.
_FIRST_RETRY_SECONDS = 0.02
_LAST_RETRY_SECONDS = 1.0
_HELLO_SECONDS = 5.0


class HostClient:
    """Made inside a running loop; start() begins to dial, close() ends it."""

    def __init__(self, where: Path | RemoteEndpoint, hello: Hello) -> None:
        self._where = where
        self._hello = hello
        self._connection: Connection | None = None
        self._before: Connection | None = None  # ends with the last of its calls
        self._nodes: dict[NodeId, NodeInfo] = {}
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._dialling: asyncio.Task[None] | None = None
        self.features: frozenset[str] = frozenset()
        self._lends = False
        self._signer: TicketSigner | None = None  # over TLS: each put and get carries a ticket
        self._shares = Shares(where if isinstance(where, Path) else Path(), self._in_use)
        self.last_error: str = "not started"

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def lender(self) -> Lender | None:
        return self if self._connection is not None and self._lends else None

    @property
    def nodes(self) -> Mapping[NodeId, NodeInfo]:
        return MappingProxyType(self._nodes)

    async def start(self, wait_seconds: float = 0.0) -> None:
        """Begin to dial; with wait_seconds, HostUnavailable unless the first connection stands by then."""
        self._dialling = asyncio.create_task(self._keep_connected())
        if wait_seconds:
            try:
                await asyncio.wait_for(self._ready.wait(), wait_seconds)
            except TimeoutError as error:
                raise HostUnavailable(f"{self._where}: {self.last_error}") from error

    async def close(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._dialling
            self._dialling = None
        if self._before is not None and self._before.transport is not None:
            self._before.transport.abort()
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.abort()
            await self._lost.wait()

    # -- the shard protocol

    async def put(self, batch: PutBatch, *, seconds: float = PUT_SECONDS) -> dict[int, Status]:
        connection = self._connected()
        if connection.paused:
            await connection.writable()
        request_id = connection.take_id()
        slot = batch.slot
        if slot is not None and self._shares.has(slot.memory):
            envelope = put_message(batch, request_id, int(seconds * 1000), slot)
            call = connection.send_put(envelope, (), seconds, slot)
        else:
            envelope = put_message(batch, request_id, int(seconds * 1000))
            if self._signer is not None:
                self._signer.sign(Operation.PUT, envelope.put)
            call = connection.send_put(envelope, payload_views(batch.payloads, batch.shard_size), seconds, slot)
        try:
            await connection.wait(request_id, call)
        except HostUnavailable:
            if not call.statuses:
                raise
        statuses = call.statuses
        if len(statuses) < len(batch.indexes):
            return {index: statuses.get(index, Status.BUSY) for index in batch.indexes}
        return statuses

    async def get(self, batch: GetBatch, into: memoryview | None = None, *, seconds: float = GET_SECONDS) -> GetAnswer:
        connection = self._connected()
        request_id = connection.take_id()
        envelope = get_message(batch, request_id, int(seconds * 1000))
        if self._signer is not None:
            self._signer.sign(Operation.GET, envelope.get)
        call = connection.send(envelope, (), seconds, into)
        message, payload = await connection.wait(request_id, call)
        return parse_get_result(message.get_result, payload, batch)

    async def locate(
        self, blob: BlobId, chunk: int, indexes: Sequence[int], nodes: Sequence[NodeId], *, seconds: float
    ) -> LocateAnswer:
        message, _ = await self._ask(locate_message(blob, chunk, indexes, nodes), seconds)
        return parse_locate_result(message.locate_result, len(indexes))

    async def borrow(self, node: NodeId, pack: int, *, seconds: float) -> int:
        assert isinstance(self._where, Path), "nothing is lent over TLS"
        return await borrow(self._where, node, pack, seconds)

    async def exists(self, blob: BlobId, chunk: int, indexes: Sequence[int], nodes: Sequence[NodeId]) -> list[Status]:
        envelope = pb.Envelope()
        ask = envelope.exists
        ask.blob, ask.chunk, ask.indexes, ask.nodes = blob, chunk, bytes(indexes), b"".join(nodes)
        message, _ = await self._ask(envelope)
        return parse_statuses(message.exists_result.statuses, len(indexes))

    async def delete(self, order: bytes, signature: bytes) -> DeleteAnswer:
        """Carry an order to its node. HostRefused where the node does not accept it."""
        envelope = pb.Envelope()
        envelope.delete.order, envelope.delete.signature = order, signature
        message, _ = await self._ask(envelope)
        result = message.delete_result
        statuses = parse_statuses(result.statuses, len(result.statuses))
        return DeleteAnswer(statuses, result.receipt, result.signature)

    async def list_shards(
        self, node: NodeId, after: ShardId | None = None, limit: int = 1000, session: SessionNumber | None = None
    ) -> ListAnswer:
        envelope = pb.Envelope()
        ask = envelope.list
        ask.node_id, ask.limit, ask.session = node, limit, session or 0
        ask.after = after.pack() if after is not None else b""
        message, _ = await self._ask(envelope)
        result = message.list_result
        return ListAnswer(split_shards(result.shards), list(result.sizes), result.more)

    async def verify(
        self, node: NodeId, shard: ShardId, block: int, nonce: bytes, *, with_block: bool = False
    ) -> VerifyAnswer:
        envelope = pb.Envelope()
        ask = envelope.verify
        ask.node_id, ask.shard, ask.block, ask.nonce = node, shard.pack(), block, nonce
        ask.with_block = with_block
        message, _ = await self._ask(envelope)
        return parse_verify_result(message.verify_result)

    async def stats(self) -> list[NodeInfo]:
        envelope = pb.Envelope()
        envelope.stats.SetInParent()
        message, _ = await self._ask(envelope)
        infos = self._believed(message.stats_result.nodes)
        self._nodes = {info.node_id: info for info in infos}
        return infos

    # -- the coordinator's

    async def open_node(self, folder: Path) -> NodeInfo:
        envelope = pb.Envelope()
        envelope.open_node.folder = os.fsencode(folder)
        message, _ = await self._ask(envelope, OPEN_SECONDS)
        return parse_node(message.open_result.node)

    async def findings(self, node: NodeId, after: int = 0, limit: int = 1000) -> FindingsAnswer:
        envelope = pb.Envelope()
        ask = envelope.findings
        ask.node_id, ask.after, ask.limit = node, after, limit
        message, _ = await self._ask(envelope)
        return FindingsAnswer(split_shards(message.findings_result.shards), message.findings_result.last)

    async def put_pointer(self, node: NodeId, pointer: bytes) -> None:
        assert len(pointer) <= MAX_POINTER_BYTES
        envelope = pb.Envelope()
        envelope.put_pointer.node_id, envelope.put_pointer.pointer = node, pointer
        await self._ask(envelope)

    async def get_pointer(self, node: NodeId) -> bytes | None:
        envelope = pb.Envelope()
        envelope.get_pointer.node_id = node
        message, _ = await self._ask(envelope)
        return message.pointer_result.pointer if message.pointer_result.found else None

    async def scrub(self, action: ScrubAction, nodes: Sequence[NodeId] = ()) -> list[ScrubProgress]:
        envelope = pb.Envelope()
        envelope.scrub.action, envelope.scrub.nodes = action, b"".join(nodes)
        message, _ = await self._ask(envelope)
        return [parse_scrub(progress) for progress in message.scrub_result.progress]

    # -- inside

    def _connected(self) -> Connection:
        if self._connection is None:
            raise HostUnavailable(f"{self._where}: {self.last_error}")
        return self._connection

    def _in_use(self, memory: SharedMemory) -> bool:
        return self._connection is not None and self._connection.uses(memory)

    async def _ask(self, envelope: pb.Envelope, seconds: float = CONTROL_SECONDS) -> Answer:
        connection = self._connected()
        envelope.request_id = request_id = connection.take_id()
        envelope.deadline_ms = int(seconds * 1000)
        return await connection.wait(request_id, connection.send(envelope, (), seconds))

    async def _keep_connected(self) -> None:
        delay = _FIRST_RETRY_SECONDS
        while True:
            try:
                await self._dial()
            except (OSError, WireError, HostUnavailable, HostRefused) as error:
                self.last_error = str(error) or type(error).__name__
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY_SECONDS)
                continue
            delay = _FIRST_RETRY_SECONDS
            await self._until_over()

    async def _until_over(self) -> None:
        """Until the connection is lost, or shows what is not our newest certificate any more."""
        where = self._where
        if isinstance(where, Path):
            await self._lost.wait()
            return
        shown = where.identity()
        while where.identity() is shown:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(where.look_seconds):
                    await self._lost.wait()
                    return

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        connection = await self._connect(lambda: Connection(loop, self._greeted, self._disconnected))
        try:
            request_id = connection.take_id()
            call = connection.send(hello_message(self._hello, request_id), (), _HELLO_SECONDS)
            message, _ = await connection.wait(request_id, call)
            hello = parse_hello(message.hello)
        except BaseException:
            if connection.transport is not None:
                connection.transport.abort()
            raise
        if connection.transport is None:
            raise HostUnavailable("connection lost")
        self.features = frozenset(hello.features)
        is_local = isinstance(self._where, Path)
        self._signer = None if isinstance(self._where, Path) else self._where.signer(self._hello)
        self._lends = is_local and FEATURE_LEND in self.features
        self._shares.begin(can_share=is_local and FEATURE_SHARE in self.features)
        if self._connection is not None:
            self._before = self._connection
            self._before.retire()
        self._connection = connection
        self._lost.clear()
        self._ready.set()

    async def _connect(self, make: Callable[[], Connection]) -> Connection:
        if isinstance(self._where, Path):
            return (await asyncio.get_running_loop().create_unix_connection(make, str(self._where)))[1]
        return await self._where.connect(make)

    def _greeted(self, message: pb.Hello) -> None:
        """The host's nodes, at the beginning and whenever one of them changed its state."""
        self._nodes = {info.node_id: info for info in self._believed(message.nodes)}

    def _believed(self, told: Iterable[pb.NodeInfo]) -> list[NodeInfo]:
        """A host of this box about all its nodes, one on another box about its own alone."""
        infos = [parse_node(node) for node in told]
        where = self._where
        return infos if isinstance(where, Path) else [info for info in infos if info.node_id == where.node_id]

    def _disconnected(self, connection: Connection, error: Exception | None) -> None:
        if connection is not self._connection:
            return
        self.last_error = f"connection lost: {error}" if error else "connection closed by the host"
        self._connection = None
        self._shares.end()
        self._ready.clear()
        self._lost.set()
