"""R5 and R6 on one chunk, in-process: every way to lose or damage four of fourteen shards, and five."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from cyxcloud.core import merkle
from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.shards.chunk import encode_chunk
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.gather import ChunkUnavailable
from cyxcloud.shards.plan import ChunkRef
from cyxcloud.wire.memory import StoredShard
from tests.unit.shards.rig import Rig, limits, rig, some_bytes

DATA = some_bytes(800_000)  # two blocks a shard
Damage = Callable[[Rig, ChunkRef, int], None]


def stored(plane: Rig, ref: ChunkRef, index: int) -> StoredShard:
    return plane.memory[0].shards[ref.nodes[index]][ref.shard(index)]


def put(plane: Rig, ref: ChunkRef, index: int, shard: StoredShard) -> None:
    plane.memory[0].shards[ref.nodes[index]][ref.shard(index)] = shard


def gone(plane: Rig, ref: ChunkRef, index: int) -> None:
    del plane.memory[0].shards[ref.nodes[index]][ref.shard(index)]


def flipped(plane: Rig, ref: ChunkRef, index: int) -> None:
    payload = bytearray(stored(plane, ref, index).payload)
    payload[random.Random(index).randrange(len(payload))] ^= 1
    put(plane, ref, index, replace(stored(plane, ref, index), payload=bytes(payload)))


def forged(plane: Rig, ref: ChunkRef, index: int) -> None:
    """Other bytes with block hashes that fit them: only the chunk root can tell."""
    payload = bytes(len(stored(plane, ref, index).payload))
    hashes = b"".join(merkle.block_hashes(payload))
    put(plane, ref, index, replace(stored(plane, ref, index), payload=payload, hashes=hashes))


def swapped(plane: Rig, ref: ChunkRef, index: int) -> None:
    """Another shard of the same chunk, with the proof of its own position."""
    put(plane, ref, index, stored(plane, ref, (index + 1) % 14))


def stale(plane: Rig, ref: ChunkRef, index: int) -> None:
    """A whole, valid shard of this index, of another blob."""
    other = encode_chunk(plane.cipher(), 0, DATA[::-1], codec(10, 4))
    shard = StoredShard(bytes(other.payloads[index]), other.block_hashes[index], other.proofs[index])
    put(plane, ref, index, shard)


def zeroed(plane: Rig, ref: ChunkRef, index: int) -> None:
    payload = bytearray(stored(plane, ref, index).payload)
    payload[4096:8192] = bytes(4096)
    put(plane, ref, index, replace(stored(plane, ref, index), payload=bytes(payload)))


def truncated(plane: Rig, ref: ChunkRef, index: int) -> None:
    put(plane, ref, index, replace(stored(plane, ref, index), payload=stored(plane, ref, index).payload[:-1]))


def extended(plane: Rig, ref: ChunkRef, index: int) -> None:
    """By a byte, and the byte counted as one more block."""
    shard = stored(plane, ref, index)
    payload = shard.payload + b"\0"
    put(plane, ref, index, replace(shard, payload=payload, hashes=b"".join(merkle.block_hashes(payload))))


def misproven(plane: Rig, ref: ChunkRef, index: int) -> None:
    proof = stored(plane, ref, index).proof
    put(plane, ref, index, replace(stored(plane, ref, index), proof=proof[::-1]))


DAMAGES: list[Damage] = [gone, flipped, forged, swapped, stale, zeroed, truncated, extended]


async def test_all_1001_patterns_of_four_missing() -> None:
    """One block a shard."""
    data = some_bytes(100_000)
    with rig(nodes_each=14) as plane:
        ref, cipher = await plane.store(data)
        whole = [stored(plane, ref, index) for index in range(14)]
        reader, patterns = plane.reader(), list(itertools.combinations(range(14), 4))
        assert len(patterns) == 1001
        for pattern in patterns:
            for index in pattern:
                gone(plane, ref, index)
            plane.bad.clear()
            assert await reader.read(ref, cipher, 0, len(data)) == data, pattern
            assert {index for index in pattern if index < 10} <= plane.wrong().keys() <= {*pattern}
            for index in pattern:
                put(plane, ref, index, whole[index])


async def test_all_1001_patterns_of_four_damaged() -> None:
    """Two blocks a shard; every kind of damage at every place, with and without what earlier reads proved."""
    with rig(nodes_each=14) as plane:
        ref, cipher = await plane.store(DATA)
        whole = [stored(plane, ref, index) for index in range(14)]
        reader, patterns = plane.reader(), list(itertools.combinations(range(14), 4))
        for number, pattern in enumerate(patterns):
            damages = {index: DAMAGES[(number + index) % len(DAMAGES)] for index in pattern}
            for index, damage in damages.items():
                damage(plane, ref, index)
            if number % 2:
                reader = plane.reader()
            plane.bad.clear()
            assert await reader.read(ref, cipher, 0, len(DATA)) == DATA, pattern
            assert {index for index in pattern if index < 10} <= plane.wrong().keys() <= {*pattern}
            for index in pattern:
                put(plane, ref, index, whole[index])


async def test_right_bytes_with_a_wrong_proof_are_used_only_where_others_prove_them() -> None:
    with rig(nodes_each=14) as plane:
        ref, cipher = await plane.store(DATA)
        for index in range(14):
            misproven(plane, ref, index)
        with pytest.raises(ChunkUnavailable):
            await plane.reader().read(ref, cipher, 0, len(DATA))


@pytest.mark.parametrize("damage", DAMAGES)
async def test_each_damage_is_detected_on_every_data_shard(damage: Damage) -> None:
    with rig(nodes_each=14) as plane:
        ref, cipher = await plane.store(DATA)
        for index in range(10):
            whole = stored(plane, ref, index)
            damage(plane, ref, index)
            plane.bad.clear()
            assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA
            assert plane.wrong().keys() == {index}
            put(plane, ref, index, whole)


@pytest.mark.parametrize("seed", range(5))
async def test_five_gone_is_unavailable_and_one_back_is_enough(seed: int) -> None:
    with rig(nodes_each=14, limits=limits(retry_seconds=0.02)) as plane:
        ref, cipher = await plane.store(DATA)
        rng = random.Random(seed)
        lost = rng.sample(range(14), 5)
        whole = {index: stored(plane, ref, index) for index in range(14)}
        for index in lost:
            rng.choice(DAMAGES)(plane, ref, index)
        if all(index >= 10 for index in lost):
            pytest.skip("no data shard lost")
        with pytest.raises(ChunkUnavailable):
            await plane.reader().read(ref, cipher, 0, len(DATA))
        put(plane, ref, lost[0], whole[lost[0]])
        assert await plane.reader().read(ref, cipher, 0, len(DATA)) == DATA


async def test_fourteen_wrong_shards_of_another_blob_give_nothing() -> None:
    with rig(nodes_each=14) as plane:
        ref, cipher = await plane.store(DATA)
        for index in range(14):
            stale(plane, ref, index)
        with pytest.raises(ChunkUnavailable):
            await plane.reader().read(ref, cipher, 0, len(DATA))
        assert ShardId(BlobId(ref.blob), 0, 0) in {shard for shard, _, _ in plane.bad}
