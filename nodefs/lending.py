"""Short-circuit reads: where shards lie, and read-only descriptors of the packs that hold them. The same desk takes the
memory that processes share.

Only processes of the host's own user get either. What is lent is opened anew for reading, so a borrower can change
nothing, and only while the pack's path still names the file that the node writes to. A borrower verifies all that it
reads, so the location of a record that is deleted meanwhile does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import zlib
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import structlog

from cyxcloud.core.ids import NodeId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import split_nodes
from cyxcloud.wire.lending import ASK, LENT, REFUSED, SHARE, close_all, readable, receive
from cyxcloud.wire.sharing import MemoryRefused
from cyxcloud.wire.status import Status
from nodefs.index import Location, shard_key
from nodefs.memories import Memories
from nodefs.peer import same_user
from nodefs.store import READ_NOWAIT, NodeStore, ShardRead, WouldBlock

log = structlog.get_logger(__name__)

# A borrower sends 36 bytes and waits; one that does not is not served.
_ASK_SECONDS = 2.0
_BACKLOG = 64
# Beyond the last block of any shard: only the header is read.
_NO_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class _Found:
    where: Location
    read: ShardRead


class Locator:
    """Answers LocateShards; as a GET without payload, so that the same records are good."""

    def __init__(self, stores: Mapping[NodeId, NodeStore]) -> None:
        self._stores = stores

    def at_once(self, ask: pb.LocateShards) -> pb.Envelope | None:
        """The answer, if the headers are in the page cache."""
        if not READ_NOWAIT:
            return None
        try:
            return self._locate(ask, READ_NOWAIT)
        except WouldBlock:
            return None

    def from_disk(self, ask: pb.LocateShards) -> pb.Envelope:
        return self._locate(ask, 0)

    def _locate(self, ask: pb.LocateShards, flags: int) -> pb.Envelope:
        envelope = pb.Envelope()
        result = envelope.locate_result
        statuses = bytearray()
        hashes: list[bytes] = []
        for node, index in zip(split_nodes(ask.nodes, len(ask.indexes)), ask.indexes, strict=True):
            found = self._find(node, ask, index, flags)
            if not isinstance(found, _Found) or result.shard_size not in {0, found.read.shard_size}:
                # Another size than its neighbours': the ordinary read will tell.
                statuses.append(found if isinstance(found, Status) else Status.BUSY)
                continue
            statuses.append(Status.OK)
            result.shard_size = found.read.shard_size
            hashes.append(found.read.block_hashes)
            result.proofs.append(found.read.proof)
            result.packs.append(found.where.pack)
            result.offsets.append(found.where.offset + len(found.read.header))
            result.header_bytes.append(len(found.read.header))
            result.header_crcs.append(zlib.crc32(found.read.header))
        result.statuses = bytes(statuses)
        result.block_hashes = b"".join(hashes)
        return envelope

    def _find(self, node: NodeId, ask: pb.LocateShards, index: int, flags: int) -> _Found | Status:
        store = self._stores.get(node)
        if store is None:
            return Status.DOWN
        where = store.index.find(shard_key(ask.blob, ask.chunk, index))
        if where is None:
            return Status.NOT_FOUND
        read = store.read(ask.blob, ask.chunk, index, _NO_BLOCK, 1, flags)
        return read if isinstance(read, Status) else _Found(where, read)


class LendingDesk:
    """The socket at which descriptors are handed out."""

    def __init__(self, path: Path, stores: Mapping[NodeId, NodeStore], threads: Executor, memories: Memories) -> None:
        self._stores = stores
        self._memories = memories
        self._threads = threads
        self._serving: set[asyncio.Task[None]] = set()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(str(path))
            path.chmod(0o600)
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise

    async def serve(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                connection, _ = await loop.sock_accept(self._socket)
                task = asyncio.create_task(self._serve_one(connection))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)
        finally:
            for task in self._serving:
                task.cancel()
            self._socket.close()

    async def _serve_one(self, connection: socket.socket) -> None:
        with connection:
            if not same_user(connection):
                log.error("borrower of another user refused")
                return
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    await readable(connection)
                    asked, descriptors = receive(connection, ASK.size)
                    if not descriptors:
                        await self._lend(connection, asked)
                if descriptors:
                    await self._keep(connection, asked, descriptors)
            except (OSError, TimeoutError) as error:
                log.info("nothing lent", reason=str(error) or "the borrower went silent")

    async def _lend(self, connection: socket.socket, asked: bytes) -> None:
        loop = asyncio.get_running_loop()
        while len(asked) < ASK.size:
            more = await loop.sock_recv(connection, ASK.size - len(asked))
            if not more:
                return
            asked += more
        node, number = ASK.unpack(asked)
        fd = await loop.run_in_executor(self._threads, self._open, node, number)
        if fd is None:
            connection.send(REFUSED)
            return
        try:
            socket.send_fds(connection, [LENT], [fd])
        finally:
            os.close(fd)

    async def _keep(self, connection: socket.socket, asked: bytes, descriptors: list[int]) -> None:
        """Memory, mapped until its owner goes."""
        fd, *others = descriptors
        close_all(others)
        if len(asked) != SHARE.size:
            os.close(fd)
            return
        number, size = SHARE.unpack(asked)
        try:
            self._memories.add(number, fd, size)
        except MemoryRefused as error:
            log.warning("shared memory refused", reason=str(error))
            connection.send(REFUSED)
            return
        try:
            connection.send(LENT)
            await readable(connection)
        finally:
            self._memories.remove(number)

    def _open(self, node: NodeId, number: int) -> int | None:
        """In a thread: a disk that hangs must not hang the host."""
        store = self._stores.get(node)
        pack = store.packs.get(number) if store is not None and store.readable else None
        return pack.open_to_read() if pack is not None else None
