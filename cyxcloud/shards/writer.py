"""Stores one chunk: encode, send to the hosts of a placement, wait until enough of its shards are durable.

A chunk is good with k + ceil(m/2) durable shards; all are waited for, but no longer than `straggler_seconds` once the
quorum is there. Fewer: the same shards go once to another placement (ids are written once and the bytes are the same,
so what the first try left behind is at most unreferenced), then QuorumLost. Nothing here is visible before the
caller's transaction; what a crash leaves are shards of an unreferenced blob, removed when their session is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cyxcloud.core.ids import BlobId, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.shards.chunk import EncodedChunk, coded_size, encode_chunk
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import FRAME_BYTES, BlobCipher, Buffer
from cyxcloud.shards.hosts import HostGroup
from cyxcloud.shards.placement import NoPlacement, Placement
from cyxcloud.shards.plane import INLINE_BYTES, DataPlane
from cyxcloud.wire.shardhost import PutBatch
from cyxcloud.wire.sharing import Slot
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status, WireError

Statuses = dict[int, Status]

# What says that a node should be left alone for a while, not only this shard.
_NODE_FAULTS = frozenset({Status.FULL, Status.DOWN, Status.BUSY, Status.IO_ERROR, Status.WRONG_INCARNATION})


class QuorumLost(Exception):
    """Too few nodes took their shard: the write must be refused and may be tried again."""


class NoNodesYet(QuorumLost):
    """No placement was ever published: the nodes that the profile needs have yet to join."""


class ShardConflict(Exception):
    """A shard id was there with other content: this blob id has been used before, the write must not be committed."""


@dataclass(frozen=True, slots=True)
class WrittenChunk:
    index: int
    root: bytes
    digest: bytes  # BLAKE3-256 of the plaintext
    size: int
    placement: PlacementId
    missing: tuple[int, ...]  # shards that are not known to be durable: repair entries


async def store_chunk(
    plane: DataPlane, cipher: BlobCipher, index: int, plaintext: Buffer, profile: Profile | None = None
) -> WrittenChunk:
    """Encode a chunk and make it durable, at once: for a blob of one small chunk. Others go through a BlobSink."""
    placement = await find_placement(plane, profile)
    encoded = await encode(plane, cipher, index, plaintext, placement)
    try:
        return await ChunkSend(plane, cipher.blob, index, encoded).run(placement)
    finally:
        encoded.release()


async def find_placement(plane: DataPlane, profile: Profile | None = None, tried: Placement | None = None) -> Placement:
    """One that can be written to, waiting a little for a host that is only restarting."""
    until: float | None = None
    while True:
        try:
            return plane.pool.pick(tried, profile)
        except NoPlacement as error:
            now = plane.clock.monotonic()
            until = until or now + plane.limits.retry_seconds
            if now >= until:
                refused = QuorumLost if plane.pool.is_published else NoNodesYet
                raise refused(str(error)) from error
        await asyncio.sleep(plane.limits.retry_pause_seconds)


async def encode(
    plane: DataPlane, cipher: BlobCipher, index: int, plaintext: Buffer, placement: Placement
) -> EncodedChunk:
    """What is not small lies in a slot, which is the caller's to release."""
    code = codec(placement.k, placement.m)
    if len(plaintext) <= FRAME_BYTES:
        return encode_chunk(cipher, index, plaintext, code)
    slot = plane.slots.take(coded_size(len(plaintext), code))
    try:
        if len(plaintext) <= INLINE_BYTES:
            return encode_chunk(cipher, index, plaintext, code, slot)
        return await _encode_in_thread(plane, slot, partial(encode_chunk, cipher, index, plaintext, code, slot))
    except BaseException:
        slot.release()
        raise


async def _encode_in_thread(plane: DataPlane, slot: Slot, work: Callable[[], EncodedChunk]) -> EncodedChunk:
    """A thread that has begun goes on when nobody waits for it any more: it holds the slot as well."""
    loop = asyncio.get_running_loop()
    job = plane.threads.submit(work)
    slot.hold()
    job.add_done_callback(lambda _: _release_soon(loop, slot))
    return await asyncio.wrap_future(job)


def _release_soon(loop: asyncio.AbstractEventLoop, slot: Slot) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody takes slots any more
        loop.call_soon_threadsafe(slot.release)


@dataclass(frozen=True, slots=True)
class ChunkSend:
    """One encoded chunk on its way to its nodes."""

    plane: DataPlane
    blob: BlobId
    index: int
    encoded: EncodedChunk

    async def run(self, placement: Placement) -> WrittenChunk:
        statuses = await self._try(placement)
        if _durable(statuses) < placement.quorum:
            placement = await find_placement(self.plane, placement.profile, placement)
            statuses = await self._try(placement)
        durable = _durable(statuses)
        if durable < placement.quorum:
            raise QuorumLost(f"{durable} of {len(placement.nodes)} shards durable: {_summary(statuses)}")
        missing: tuple[int, ...] = ()
        if durable < len(placement.nodes):
            missing = tuple(at for at in placement.indexes if statuses.get(at) is not Status.OK)
        encoded = self.encoded
        return WrittenChunk(self.index, encoded.root, encoded.digest, encoded.size, placement.id, missing)

    async def _try(self, placement: Placement) -> Statuses:
        """One try at one placement. Nodes known to be unwritable are not asked; their shards stay missing."""
        hosts, pool = self.plane.hosts, self.plane.pool
        writable = hosts.writable
        indexes = placement.indexes
        if not placement.node_set <= writable:
            indexes = tuple(at for at in indexes if placement.nodes[at] in writable)
        groups = hosts.group(placement.nodes, indexes)
        pool.began(placement)
        try:
            statuses = await (self._put(groups[0]) if len(groups) == 1 else self._put_all(groups, placement.quorum))
        finally:
            pool.ended(placement)
        if Status.CONFLICT in statuses.values():
            raise ShardConflict(f"blob {self.blob:#x} chunk {self.index}")
        return statuses

    async def _put_all(self, groups: list[HostGroup], quorum: int) -> Statuses:
        plane = self.plane
        running = {asyncio.create_task(self._put(group)): group for group in groups}
        statuses: Statuses = {}
        until: float | None = None
        try:
            while running:
                timeout = None if until is None else max(0.0, until - plane.clock.monotonic())
                done, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    for group in running.values():
                        plane.hosts.avoid_host(group.host)
                        plane.hosts.leave_out(group.host)
                    break
                for task in done:
                    del running[task]
                    statuses.update(task.result())
                if until is None and _durable(statuses) >= quorum:
                    until = plane.clock.monotonic() + plane.limits.straggler_seconds
        finally:
            for task in running:
                task.cancel()
        return statuses

    async def _put(self, group: HostGroup) -> Statuses:
        hosts = self.plane.hosts
        try:
            with hosts.timed(hosts.writes, group.host):
                answered = await group.host.put(self._batch(group), seconds=self.plane.limits.put_seconds)
        except (HostUnavailable, WireError):
            hosts.avoid_host(group.host)
            return dict.fromkeys(group.indexes, Status.DOWN)
        except HostRefused as refusal:
            hosts.avoid_host(group.host)
            return dict.fromkeys(group.indexes, refusal.status)
        # Of an answer counts what was asked for, nothing else that a host may say.
        statuses = {at: answered.get(at, Status.BUSY) for at in group.indexes}
        for at, node in zip(group.indexes, group.nodes, strict=True):
            if statuses[at] is not Status.OK and statuses[at] in _NODE_FAULTS:
                hosts.avoid_node(node)
        return statuses

    def _batch(self, group: HostGroup) -> PutBatch:
        encoded = self.encoded
        hashes, proofs, payloads = encoded.block_hashes, encoded.proofs, encoded.payloads
        if len(group.indexes) < len(payloads):
            hashes = [hashes[at] for at in group.indexes]
            proofs = [proofs[at] for at in group.indexes]
            payloads = [payloads[at] for at in group.indexes]
        return PutBatch(
            blob=self.blob,
            chunk=self.index,
            total=len(encoded.payloads),
            shard_size=encoded.shard_size,
            indexes=group.indexes,
            nodes=group.nodes,
            block_hashes=hashes,
            proofs=proofs,
            payloads=payloads,
            slot=encoded.slot,
        )


def _durable(statuses: Statuses) -> int:
    return sum(1 for status in statuses.values() if status is Status.OK)


def _summary(statuses: Statuses) -> str:
    return ", ".join(f"{at}:{status.name}" for at, status in sorted(statuses.items()) if status is not Status.OK)
