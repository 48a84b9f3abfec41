"""R5, R6, R20, R37 on a running store: what is lost on disks is made good by the mover, seen through S3 and the disks."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cli.control import NoAnswer, ask
from cyxcloud.core.ids import ShardId
from nodefs.record import LIVE
from tests.cluster import packs
from tests.cluster.conftest import running
from tests.cluster.packs import Disks, filed
from tests.cluster.running import PROGRAM, Running, until
from tests.cluster.s3 import S3

KIB, MIB = 1 << 10, 1 << 20
SIZES = (17 * KIB, 60_000, 300 * KIB, 5 * MIB)
AT_ONCE = {"mover__away": "1s", "mover__grace": "0s", "mover__mib_per_second": 1000, "delete_grace": "1s"}
HURTS = {
    "missing": packs.marked_deleted,
    "zeros": packs.all_zeroed,
    "noise": packs.noise,
    "one bit": packs.in_payload(lambda size: size // 3),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("mover") / "data", **AT_ONCE) as made:
        yield made


@pytest.fixture
async def s3(store: Running) -> AsyncIterator[S3]:
    async with store.s3() as client:
        yield client


async def objects(s3: S3, bucket: str, count: int) -> dict[str, bytes]:
    await s3.must("PUT", f"/{bucket}")
    made = {f"{n:03d}": random.Random(f"{bucket}/{n}").randbytes(SIZES[n % len(SIZES)]) for n in range(count)}
    for key, body in made.items():
        await s3.put(bucket, key, body)
    return made


async def test_shards_damaged_on_disk_are_mended_after_a_read(store: Running, s3: S3) -> None:
    made = await objects(s3, "mended", 12)
    disks, rng = Disks(store), random.Random(5)
    hurt = []
    for key in made:
        records = disks.of("mended", key)
        hurt += [(record, HURTS[rng.choice(sorted(HURTS))]) for record in rng.sample(records[:10], 3)]
    for record, damage in hurt:
        damage(record)
    for key, body in made.items():
        assert await s3.get("mended", key) == body
    until(lambda: filed(store), "damage is filed", 5)
    until(lambda: not filed(store), "all is mended", 40)
    until(lambda: not lacking(store), "and lies where it belongs", 10)


async def test_an_object_that_is_asked_for_is_looked_at_and_mended(store: Running, s3: S3) -> None:
    """Nobody has read it since it was damaged."""
    made = await objects(s3, "asked", 4)
    control, disks = store.data / "run" / "control.sock", Disks(store)
    for key in made:
        for record in disks.of("asked", key)[:3]:
            packs.marked_deleted(record)
    assert lacking(store)
    for key in made:
        assert ask(control, "POST", "/repair", {"object": f"asked/{key}"})["shards"] >= 14
    until(lambda: not lacking(store), "all is mended", 40)
    until(lambda: not ask(control, "GET", "/mover/waiting")["waiting"], "and nothing waits", 10)
    for body, status in (({"object": "asked/none"}, 404), ({"node": "node-02"}, 409), ({"node": "x"}, 404), ({}, 400)):
        with pytest.raises(NoAnswer, match=str(status)):
            ask(control, "POST", "/repair", body)


def node_command(store: Running, *arguments: str) -> Any:
    done = subprocess.run(
        [str(PROGRAM), "node", *arguments, "--data", str(store.data), "--json"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(store: Running) -> Any:
    done = subprocess.run(
        [str(PROGRAM), "status", "--data", str(store.data), "--json"], capture_output=True, check=True
    )
    return json.loads(done.stdout)


def states(store: Running) -> dict[str, str]:
    return dict(store.rows("SELECT name, state FROM node WHERE state <> 'gone'"))


def lacking(store: Running) -> int:
    """Chunks of whose fourteen shards one does not lie on the node that the chunk's row names."""
    placements = {
        number: struct.unpack(f">{len(packed) // 2}H", packed)
        for number, packed in store.rows("SELECT id, nodes FROM placement")
    }
    names = dict(store.rows("SELECT number, name FROM node"))
    there = {(record.shard, record.node) for record in packs.records(store.data) if record.header.state == LIVE}
    found = 0
    for blob, chunk, placement in store.rows(
        "SELECT chunk.blob, n, placement FROM chunk JOIN blob ON id = chunk.blob WHERE refs > 0"
    ):
        members = placements[placement]
        found += any((ShardId(blob, chunk, index), names[number]) not in there for index, number in enumerate(members))
    return found


async def test_a_lost_folder_is_healed_by_node_replace_without_a_restart(store: Running, s3: S3) -> None:
    """R37."""
    made = await objects(s3, "replaced", 12)
    shutil.rmtree(store.data / "nodes" / "node-05")
    for number in range(20):  # it is noticed by a write at the latest
        await s3.put("replaced", f"w{number}", bytes(20 * KIB))
    until(lambda: states(store)["node-05"] != "up", "the host notices", 20)
    pids = {role: store.pids(role) for role in ("gateway", "coordinator", "nodehost")}
    done = node_command(store, "replace", "node-05")
    assert done["opened"]
    until(lambda: states(store)["node-05"] == "up", "the new node serves", 10)
    until(lambda: not lacking(store), "everything lies where it belongs", 40)
    assert {role: store.pids(role) for role in pids} == pids
    for key, body in made.items():
        assert await s3.get("replaced", key) == body
