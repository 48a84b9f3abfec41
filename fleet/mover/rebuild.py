"""Makes one chunk whole: the shards that its new nodes lack, and those listed as bad on the nodes that stay.

A listed shard is looked at first, by its node: most were only out of reach for a moment. Then enough shards are
fetched, each block verified against the chunk root, the chunk is coded anew, all of it, and must give the very same
root; only then anything is sent. Nothing here changes metadata: what is durable is said in the result, and the caller's
transaction makes it count. So dying at any point costs the work and leaves at most shards that the next try finds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cyxcloud.core import merkle
from cyxcloud.core.ids import NodeId, ShardId
from cyxcloud.meta.rows import PlacementRow
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import sealed_size
from cyxcloud.shards.gather import ChunkUnavailable, Fault, Gathering
from cyxcloud.shards.hosts import HostGroup
from cyxcloud.shards.plan import ChunkRef, plan_read
from cyxcloud.shards.plane import DataPlane
from cyxcloud.shards.verify import ChunkVerifier
from cyxcloud.wire.shardhost import PutBatch
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status, WireError

# Before other shards are asked for: nobody waits for the mover, and asking twice costs a disk that others use.
HEDGE_SECONDS = 1.0
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Task:
    """One chunk. `ref` names the nodes that it lies on, `homes` those that it is to lie on; `suspects` are listed
    shards of slots whose node stays and can be asked."""

    ref: ChunkRef
    old: PlacementRow
    new: PlacementRow
    homes: tuple[NodeId, ...]
    suspects: tuple[int, ...]

    @property
    def moved(self) -> tuple[int, ...]:
        """Slots whose node is another one."""
        return tuple(at for at, node in enumerate(self.homes) if node != self.ref.nodes[at])


@dataclass(frozen=True, slots=True)
class Healed:
    """`placed`: every moved slot is durable on its new node. `mended`: listed shards that are good now. `found`: shards
    that turned out to be bad. `problem`: why something of it was left."""

    task: Task
    placed: bool = False
    mended: tuple[int, ...] = ()
    found: tuple[tuple[int, Fault], ...] = ()
    problem: str = ""
    rebuilt: bool = False


@dataclass(frozen=True, slots=True)
class _Shards:
    root: bytes
    payloads: list[memoryview]
    hashes: list[bytes]
    proofs: list[bytes]


_Faults = dict[int, Fault]


class Rebuilder:
    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def heal(self, task: Task) -> Healed:
        looked_at = dict(
            zip(task.suspects, await asyncio.gather(*(self._look(task, at) for at in task.suspects)), strict=True)
        )
        good = tuple(at for at, status in looked_at.items() if status is Status.OK)
        # A damaged record is set aside by its node before the shard can be written there again.
        missing = [at for at, status in looked_at.items() if status is Status.NOT_FOUND]
        problem = "; ".join(
            f"shard {at}: {status.name}" for at, status in looked_at.items() if at not in (*good, *missing)
        )
        wanted = (*task.moved, *missing)
        if not wanted:
            return Healed(task, mended=good, problem=problem)
        found: _Faults = {}
        try:
            shards = await self._recode(task, found)
        except ChunkUnavailable as error:
            return Healed(task, mended=good, found=self._news(task, found), problem=str(error))
        statuses = await self._put(task, shards, wanted)
        durable = {at for at, status in statuses.items() if status is Status.OK}
        refused = [f"shard {at}: {statuses[at].name}" for at in wanted if at not in durable]
        return Healed(
            task,
            placed=bool(task.moved) and durable.issuperset(task.moved),
            mended=(*good, *(at for at in missing if at in durable)),
            found=self._news(task, found),
            problem="; ".join([*filter(None, [problem]), *refused]),
            rebuilt=True,
        )

    async def _look(self, task: Task, at: int) -> Status:
        """What its node says of this shard: OK only with block hashes that the chunk root commits to."""
        ref, node = task.ref, task.ref.nodes[at]
        host = self._plane.hosts.host(node)
        if host is None:
            return Status.DOWN
        try:
            answer = await host.verify(node, ref.shard(at), 0, os.urandom(NONCE_BYTES))
        except HostRefused as refusal:
            return refusal.status
        except (HostUnavailable, WireError):
            return Status.DOWN
        if answer.status is not Status.OK:
            return answer.status
        right_size = answer.shard_size == codec(ref.k, ref.m).shard_size(sealed_size(ref.size))
        verifier = ChunkVerifier(ref.root, ref.k + ref.m)
        proven = right_size and verifier.accept(at, answer.shard_size, answer.block_hashes, answer.proof)
        return Status.OK if proven else Status.CONFLICT

    async def _recode(self, task: Task, found: _Faults) -> _Shards:
        """All shards of the chunk, proven to be what its root commits to."""
        try:
            return await self._recode_from(task.ref, found)
        except ChunkUnavailable:
            nodes = self._with_new_homes(task)
            if nodes == task.ref.nodes:
                raise
            return await self._recode_from(replace(task.ref, nodes=nodes), {})

    def _with_new_homes(self, task: Task) -> tuple[NodeId, ...]:
        """A try that was broken off may have left shards where they belong already."""
        readable = self._plane.hosts.readable
        return tuple(node if node in readable else home for node, home in zip(task.ref.nodes, task.homes, strict=True))

    async def _recode_from(self, ref: ChunkRef, found: _Faults) -> _Shards:
        plan = plan_read(ref.size, ref.k, 0, ref.size)

        def on_bad(shard: ShardId, _: NodeId, fault: Fault) -> None:
            found[shard.index] = fault

        columns = await Gathering(self._plane, ref, plan, ChunkVerifier(ref.root, ref.k + ref.m), on_bad).run(
            HEDGE_SECONDS
        )
        data = [columns[at].data for at in sorted(columns)]
        shards = await asyncio.get_running_loop().run_in_executor(
            self._plane.threads, _encode, data, plan.shard_size, sealed_size(ref.size), ref.k, ref.m
        )
        if shards.root != ref.root:
            raise ChunkUnavailable(f"blob {ref.blob:#x} chunk {ref.index}: coded anew it has another root")
        return shards

    async def _put(self, task: Task, shards: _Shards, wanted: Iterable[int]) -> dict[int, Status]:
        indexes = tuple(sorted(wanted))
        statuses = dict.fromkeys(indexes, Status.DOWN)
        groups = self._plane.hosts.group(task.homes, indexes)
        for answer in await asyncio.gather(*(self._put_to(task.ref, shards, group) for group in groups)):
            statuses.update(answer)
        return statuses

    async def _put_to(self, ref: ChunkRef, shards: _Shards, group: HostGroup) -> dict[int, Status]:
        batch = PutBatch(
            blob=ref.blob,
            chunk=ref.index,
            total=ref.k + ref.m,
            shard_size=len(shards.payloads[0]),
            indexes=group.indexes,
            nodes=group.nodes,
            block_hashes=[shards.hashes[at] for at in group.indexes],
            proofs=[shards.proofs[at] for at in group.indexes],
            payloads=[shards.payloads[at] for at in group.indexes],
        )
        try:
            answer = await group.host.put(batch)
        except HostRefused as refusal:
            return dict.fromkeys(group.indexes, refusal.status)
        except (HostUnavailable, WireError):
            return dict.fromkeys(group.indexes, Status.DOWN)
        return {at: answer.get(at, Status.BUSY) for at in group.indexes}

    def _news(self, task: Task, found: _Faults) -> tuple[tuple[int, Fault], ...]:
        """What the reading found on nodes that stay, and that is not listed yet."""
        known = {*task.moved, *task.suspects}
        return tuple((at, fault) for at, fault in found.items() if at not in known and fault is not Fault.UNREACHABLE)


def _encode(data: list[memoryview], shard_size: int, size: int, k: int, m: int) -> _Shards:
    """In a thread. The columns of the data shards are the ciphertext, but for the padding behind it."""
    parts = [column[: max(0, min(shard_size, size - at * shard_size))] for at, column in enumerate(data)]
    payloads = codec(k, m).encode(b"".join(parts))
    leaves = [merkle.block_hashes(payload) for payload in payloads]
    root, proofs = merkle.chunk_root_and_proofs([merkle.tree_root(hashes) for hashes in leaves])
    return _Shards(root, payloads, [b"".join(hashes) for hashes in leaves], proofs)
