"""What a healed chunk means in the database: one transaction for a batch, bound to the mover's write session.

The chunk's row is switched by compare-and-set, after its new shards are durable. Where that fails somebody else has
moved it, or it was deleted: shards just put where no row places them are strays at once, so that nothing comes back to
life and nothing is kept twice. The shards left on the old nodes are strays after the delete grace, which running reads
need. A node to which a deletion of the very shard is on its way cannot become its home before the receipt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import blobs, drains, placements, repairs, strays
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import GONE, RepairRow, StrayRow
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import sealed_size
from fleet.mover.queue import Key
from fleet.mover.rebuild import Healed
from fleet.mover.view import View


@dataclass(slots=True)
class Outcome:
    """Chunks that lie where they belong now, shards made good, chunks to be tried again."""

    moved: int = 0
    mended: int = 0
    again: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Commit:
    view: View
    now_ms: int
    delete_grace_ms: int

    def __call__(self, conn: Connection, batch: Sequence[Healed]) -> Outcome:
        outcome = Outcome()
        emptied: Counter[tuple[NodeNumber, int]] = Counter()
        for healed in batch:
            ref = healed.task.ref
            switched = self._switch(conn, healed) if healed.placed else False
            for at in healed.mended:
                repairs.remove(conn, ref.blob, ref.index, at)
            self._file(conn, healed)
            outcome.moved += switched
            outcome.mended += len(healed.mended)
            if healed.problem or (healed.placed and not switched):
                outcome.again.append((ref.blob, ref.index))
            if switched:
                emptied.update(self._emptied(healed))
        self._count_emptied(conn, emptied)
        return outcome

    def leave(self, conn: Connection, healed: Healed) -> None:
        """Of a mover whose share is another's by now: it changes nothing but that its own shards do not stay for
        nothing. Where the chunk has not moved yet they wait for the other, as those of a mover that died."""
        chunk = blobs.chunk_of(conn, healed.task.ref.blob, healed.task.ref.index)
        if healed.rebuilt and (chunk is None or chunk.placement != healed.task.old.id):
            self._disown(conn, healed)

    def _switch(self, conn: Connection, healed: Healed) -> bool:
        task = healed.task
        ref, moved = task.ref, task.moved
        known = [strays.find(conn, task.new.nodes[at], ref.shard(at)) for at in moved]
        if any(row is not None and row.sequence is not None for row in known):
            return False
        if not blobs.move_chunk(conn, ref.blob, ref.index, old=task.old.id, new=task.new.id):
            self._disown(conn, healed)
            return False
        strays.remove(conn, [row for row in known if row is not None])
        for at in moved:
            repairs.remove(conn, ref.blob, ref.index, at)
        came_back = [at for at, row in zip(moved, known, strict=True) if row is not None]
        repairs.add(conn, [self._repair(healed, at, "came back") for at in came_back])
        left = [at for at in moved if self.view.nodes[task.old.nodes[at]].state != GONE]
        due_ms = self.now_ms + self.delete_grace_ms
        strays.add(conn, [self._stray(healed, at, task.old.nodes[at], due_ms) for at in left])
        return True

    def _disown(self, conn: Connection, healed: Healed) -> None:
        """What was put for nothing goes at once; the same shard put by another mover, for the same home, stays."""
        task = healed.task
        chunk = blobs.chunk_of(conn, task.ref.blob, task.ref.index)
        row = None if chunk is None else placements.read(conn, chunk.placement)
        homeless = [at for at in task.moved if row is None or row.nodes[at] != task.new.nodes[at]]
        strays.add(conn, [self._stray(healed, at, task.new.nodes[at], self.now_ms) for at in homeless])

    def _emptied(self, healed: Healed) -> list[tuple[NodeNumber, int]]:
        """Nodes on their way out that this chunk has left, each with the size of the shard it had there."""
        ref = healed.task.ref
        size_bytes = codec(ref.k, ref.m).shard_size(sealed_size(ref.size))
        left = (healed.task.old.nodes[at] for at in healed.task.moved)
        return [(number, size_bytes) for number in left if self.view.nodes[number].leaving]

    def _count_emptied(self, conn: Connection, emptied: Counter[tuple[NodeNumber, int]]) -> None:
        """In the transaction that moves them, so each counts once."""
        shards: Counter[NodeNumber] = Counter()
        size_bytes: Counter[NodeNumber] = Counter()
        for (number, size), count in emptied.items():
            shards[number] += count
            size_bytes[number] += count * size
        drains.add_moved(conn, [(number, shards[number], size_bytes[number]) for number in shards])

    def _file(self, conn: Connection, healed: Healed) -> None:
        """Damage that the reading came upon, while the chunk's shard still is where it was read."""
        if not healed.found:
            return
        ref = healed.task.ref
        found = blobs.chunks(conn, ref.blob)
        if found is None or found[0].refs == 0:
            return
        placed = placements.read(conn, found[1][ref.index].placement)
        assert placed is not None, "a chunk row names a placement"
        rows = [
            self._repair(healed, at, fault.value)
            for at, fault in healed.found
            if placed.nodes[at] == healed.task.old.nodes[at]
        ]
        repairs.add(conn, rows)

    def _repair(self, healed: Healed, at: int, reason: str) -> RepairRow:
        ref = healed.task.ref
        return RepairRow(ref.blob, ref.index, at, reason, self.now_ms)

    def _stray(self, healed: Healed, at: int, node: NodeNumber, due_ms: int) -> StrayRow:
        ref = healed.task.ref
        return StrayRow(node, ref.blob, ref.index, at, due_ms)
