"""R2: one to four of sixteen nodes, each a process of its own, killed at random under load, with the mover at work."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.conftest import running
from tests.cluster.load import KIB, MIB, Load, Mix
from tests.cluster.running import Running, kill

NODES = 16
PUTS = ("put", "part", "complete")


@dataclass(frozen=True, slots=True)
class Scale:
    seconds: float
    writes: int
    most_bytes: int


BOUNDED = pytest.param(Scale(20, 150, 300 * KIB), id="bounded")
FULL = pytest.param(Scale(120, 2000, 12 * MIB), id="full", marks=[pytest.mark.long, pytest.mark.timeout(900)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("nodes-killed") / "data", node_processes=NODES, workers=1) as made:
        yield made


def all_answer(store: Running) -> bool:
    if len(store.pids("nodehost")) < NODES:
        return False
    for path in (store.data / "run").glob("nodes-*.sock"):
        with socket.socket(socket.AF_UNIX) as end:
            if end.connect_ex(str(path)):
                return False
    return True


async def kill_and_wait(store: Running, victims: list[int]) -> None:
    for victim in victims:
        kill(victim)
    deadline = time.monotonic() + 40
    while set(victims) & set(store.pids("nodehost")) or not all_answer(store):
        assert time.monotonic() < deadline, "not all back"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("scale", [BOUNDED, FULL])
async def test_one_to_four_nodes_killed_at_random_lose_nothing(store: Running, scale: Scale) -> None:
    """While two or fewer are down writes go on; what was acknowledged is there throughout and afterwards."""
    bucket = f"random-{scale.writes}"
    async with store.s3() as s3:
        await s3.must("PUT", f"/{bucket}")
    load, rng = Load(store, bucket, Mix(clients=4, most_bytes=scale.most_bytes), seed=6), random.Random(6)
    few: Counter[tuple[str, int | str]] = Counter()
    ends, kills = time.monotonic() + scale.seconds, Counter[int]()
    async with load.running():
        while time.monotonic() < ends or not few:
            count = rng.randint(1, 4)
            before = load.manifest.answers.copy()
            await kill_and_wait(store, rng.sample(store.pids("nodehost"), count))
            await asyncio.sleep(max(0.5, rng.uniform(1.0, 2.0)))
            kills[count] += 1
            if count <= 2:
                few.update(load.manifest.answers - before)
        await load.until_writes(scale.writes, 600)
    done = sum(few[name, 200] for name in PUTS)
    asked = sum(n for (name, status), n in few.items() if name in PUTS and status != "broken")
    assert done >= 0.99 * asked, (few, kills)
    assert done > 0
    await load.verify()
