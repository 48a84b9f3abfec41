"""R5 on one chunk, in-process: whatever four of its fourteen shards are lost or damaged, it is read and made whole."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta.rows import PlacementRow, PlacementState
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.wire.status import Status
from fleet.mover.rebuild import Healed, Rebuilder, Task
from tests.unit.shards import test_patterns as damages
from tests.unit.shards.rig import K, M, Rig, rig, some_bytes

WIDTH = K + M
DATA = some_bytes(30_000)
BIG = some_bytes(1_500_000)  # three blocks a shard
PLACEMENT = PlacementRow(
    PlacementId(1), K, M, tuple(NodeNumber(at) for at in range(WIDTH)), PlacementState.CLOSED, None
)


def task_of(ref: ChunkRef, *suspects: int) -> Task:
    return Task(ref, PLACEMENT, PLACEMENT, ref.nodes, suspects)


def moving(plane: Rig, ref: ChunkRef, *slots: int) -> Task:
    """These slots go to the nodes that the chunk does not lie on."""
    others = iter(node for node in plane.memory[0].nodes if node not in ref.nodes)
    homes = tuple(next(others) if at in slots else node for at, node in enumerate(ref.nodes))
    return Task(ref, PLACEMENT, PLACEMENT, homes, ())


def payloads(plane: Rig, ref: ChunkRef) -> list[bytes | None]:
    held = plane.memory[0].shards
    return [None if (shard := held[ref.nodes[at]].get(ref.shard(at))) is None else shard.payload for at in range(WIDTH)]


async def healed(plane: Rig, task: Task) -> Healed:
    """A damaged shard is set aside by the first look, and made anew after the second."""
    rebuilder = Rebuilder(plane.plane)
    await rebuilder.heal(task)
    return await rebuilder.heal(task)


async def test_any_four_lost_or_damaged_are_read_and_made_good() -> None:
    """All 1,001 patterns."""
    rng = random.Random(5)
    with rig(nodes_each=WIDTH) as plane:
        ref, cipher = await plane.store(DATA)
        whole, reader = payloads(plane, ref), plane.reader()
        for pattern in itertools.combinations(range(WIDTH), M):
            for index in pattern:
                rng.choice([damages.gone, damages.flipped])(plane, ref, index)
            assert await reader.read(ref, cipher, 0, len(DATA)) == DATA, pattern
            done = await healed(plane, task_of(ref, *pattern))
            assert (tuple(sorted(done.mended)), done.problem) == (pattern, ""), pattern
            assert payloads(plane, ref) == whole, pattern


@pytest.mark.parametrize("data", [b"x", b"y" * 60, DATA, BIG, some_bytes(4 << 20)], ids=len)
async def test_chunks_of_every_size_move_byte_for_byte(data: bytes) -> None:
    with rig(nodes_each=WIDTH + M) as plane:
        ref, _ = await plane.store(data)
        whole = payloads(plane, ref)
        for index in (0, 3, 9, 13):
            damages.gone(plane, ref, index)
        task = moving(plane, ref, 0, 3, 9, 13)
        done = await Rebuilder(plane.plane).heal(task)
        assert done.placed
        assert [plane.memory[0].shards[node][ref.shard(at)].payload for at, node in enumerate(task.homes)] == whole


@pytest.mark.parametrize("damage", damages.DAMAGES, ids=lambda damage: damage.__name__)
async def test_nothing_is_made_from_a_wrong_shard(damage: Callable[[Rig, ChunkRef, int], None]) -> None:
    with rig(nodes_each=WIDTH + 1) as plane:
        ref, _ = await plane.store(BIG)
        whole = payloads(plane, ref)
        for index in (1, 2, 12):
            damage(plane, ref, index)
        task = moving(plane, ref, 5)
        done = await Rebuilder(plane.plane).heal(task)
        assert done.placed
        assert {at for at, _ in done.found} >= {1, 2}, "what was met on the way is told"
        assert plane.memory[0].shards[task.homes[5]][ref.shard(5)].payload == whole[5]


async def test_nine_shards_give_nothing_and_send_nothing() -> None:
    with rig(nodes_each=WIDTH + 5) as plane:
        ref, _ = await plane.store(DATA)
        for index in range(M + 1):
            damages.gone(plane, ref, index)
        task = moving(plane, ref, *range(M + 1))
        done = await Rebuilder(plane.plane).heal(task)
        assert not done.placed
        assert "not enough good shards" in done.problem
        assert all(not plane.memory[0].shards[node] for node in task.homes[: M + 1])


async def test_a_chunk_is_not_placed_before_every_new_shard_is_durable() -> None:
    with rig(nodes_each=WIDTH + 2) as plane:
        ref, _ = await plane.store(DATA)
        task = moving(plane, ref, 0, 1)
        plane.memory[0].state[task.homes[1]] = Status.FULL
        done = await Rebuilder(plane.plane).heal(task)
        assert not done.placed
        assert "shard 1: FULL" in done.problem


async def test_a_try_that_was_broken_off_is_built_on() -> None:
    """Five old nodes are gone, but one of their shards stands on its new node already."""
    with rig(nodes_each=WIDTH + 5) as plane:
        ref, _ = await plane.store(DATA)
        task = moving(plane, ref, *range(M + 1))
        kept = damages.stored(plane, ref, 0)
        for index in range(M + 1):
            damages.gone(plane, ref, index)
            plane.memory[0].state[ref.nodes[index]] = Status.DOWN
        plane.memory[0].shards[task.homes[0]][ref.shard(0)] = kept
        plane.plane.hosts.refresh()
        assert (await Rebuilder(plane.plane).heal(task)).placed


async def test_a_chunk_whose_row_has_another_root_is_not_written() -> None:
    """The proof: what is coded anew has to give the root that metadata keeps."""
    with rig(nodes_each=WIDTH + 1) as plane:
        ref, _ = await plane.store(DATA)
        other, _ = await plane.store(DATA[::-1])
        wrong = ChunkRef(ref.blob, ref.index, other.root, ref.nodes, ref.size, ref.k, ref.m)
        task = moving(plane, wrong, 5)
        assert not (await Rebuilder(plane.plane).heal(task)).placed
        assert not plane.memory[0].shards[task.homes[5]]
