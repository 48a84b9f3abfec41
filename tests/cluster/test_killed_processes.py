"""R1, R2: processes killed under load. Nothing acknowledged is lost, nothing is ever half there, nothing wrong is read."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.conftest import running
from tests.cluster.load import MIB, Load, Mix
from tests.cluster.orphans import half_sent, orphans
from tests.cluster.running import Running, kill

RECONCILED_SECONDS = 8.0  # several passes, and the grace
HOSTS = 8  # two of the sixteen nodes in each


@dataclass(frozen=True, slots=True)
class Scale:
    kills: int
    pause_seconds: float
    writes: int
    most_bytes: int


BOUNDED = pytest.param(Scale(6, 0.8, 250, 6 * MIB), id="bounded")
FULL = pytest.param(Scale(20, 2.0, 2000, 12 * MIB), id="full", marks=[pytest.mark.long, pytest.mark.timeout(900)])
HOST_KILLS = pytest.param(Scale(5, 1.0, 250, 2 * MIB), id="bounded")
MANY_HOST_KILLS = pytest.param(
    Scale(40, 2.0, 2000, 12 * MIB), id="full", marks=[pytest.mark.long, pytest.mark.timeout(1800)]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("killed") / "data", node_processes=HOSTS, mover__enabled="false") as made:
        yield made


async def load_on(store: Running, bucket: str, scale: Scale, seed: int) -> Load:
    async with store.s3() as s3:
        await s3.must("PUT", f"/{bucket}")
    return Load(store, bucket, Mix(most_bytes=scale.most_bytes), seed)


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


@pytest.fixture
def swept(tmp_path: Path) -> Iterator[Running]:
    """What is deleted or nobody's goes within seconds; reads that outlive it are none of these tests."""
    with running(tmp_path / "data", delete_grace="4s", reconcile__interval="2s") as made:
        yield made


async def until_no_orphans(store: Running, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while found := await orphans(store):
        assert time.monotonic() < deadline, f"{len(found)} shards are nobody's after {seconds} s: {list(found)[:3]}"
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("scale", [BOUNDED, FULL])
async def test_killed_gateways_lose_nothing_and_leave_nothing(swept: Running, scale: Scale) -> None:
    """What was acknowledged is there; what was cut off is gone from the nodes once it was collected."""
    store = swept
    load = await load_on(store, "gateways", scale, seed=1)
    rng = random.Random(1)
    async with load.running():
        for _ in range(scale.kills):
            await asyncio.sleep(scale.pause_seconds * rng.uniform(0.5, 1.5))
            victim = rng.choice(store.pids("gateway"))
            kill(victim)
            await eventually(lambda: victim not in store.pids("gateway") and bool(store.pids("gateway")), "one left")  # noqa: B023
        await load.until_writes(scale.writes, 600)
    assert sum(count for (_, status), count in load.manifest.answers.items() if status == "broken"), "kills were felt"
    await eventually(lambda: len(store.pids("gateway")) == 2, "all back")
    await load.verify()
    async with half_sent(store, f"/{load.bucket}/cut-off"):
        await asyncio.sleep(RECONCILED_SECONDS)
        assert await orphans(store), "what an open session has written is nobody's yet, and stays"
        for victim in store.pids("gateway"):  # what their sessions have left is collected when these are closed
            kill(victim)
            await eventually(lambda: victim not in store.pids("gateway") and len(store.pids("gateway")) == 2, "back")  # noqa: B023
    await until_no_orphans(store)
    await load.verify()


def hosts_answer(store: Running) -> bool:
    """Every node host runs and takes connections."""
    if len(store.pids("nodehost")) < HOSTS:
        return False
    for path in (store.data / "run").glob("nodes-*.sock"):
        with socket.socket(socket.AF_UNIX) as end:
            if end.connect_ex(str(path)):
                return False
    return True


async def kill_hosts(store: Running, load: Load, scale: Scale, at_once: int) -> None:
    """In turn, so many at once, each time when all are back; the load goes on meanwhile."""
    rng = random.Random(2)
    async with load.running():
        for turn in range(scale.kills):
            victims = [store.pids("nodehost")[(turn * at_once + n) % HOSTS] for n in range(at_once)]
            for victim in victims:
                kill(victim)
            # A dying process may still have its socket when it is a zombie, so the supervisor's word is waited for.
            await eventually(lambda: not set(victims) & set(store.pids("nodehost")), "dead")  # noqa: B023
            await eventually(lambda: hosts_answer(store), "all back")
            await asyncio.sleep(scale.pause_seconds * rng.uniform(0.5, 1.5))
        await load.until_writes(scale.writes, 600)


@pytest.mark.parametrize("scale", [HOST_KILLS, MANY_HOST_KILLS])
async def test_two_nodes_killed_at_a_time_stop_no_write(store: Running, scale: Scale) -> None:
    load = await load_on(store, "two-nodes", scale, seed=2)
    await kill_hosts(store, load, scale, at_once=1)
    await load.verify()
    manifest = load.manifest
    assert set(manifest.refused("get")) <= {404}, "twelve shards are left, ten are enough"
    for operation in ("put", "part", "complete"):
        assert manifest.share_done(operation) >= 0.99, (operation, manifest.answers)


@pytest.mark.parametrize("scale", [HOST_KILLS, MANY_HOST_KILLS])
async def test_four_nodes_killed_at_a_time_stop_no_read(store: Running, scale: Scale) -> None:
    """What was written while all nodes were there: what is written meanwhile may lack two shards until it is repaired."""
    before = await load_on(store, "four-nodes", scale, seed=3)
    async with before.running():
        await before.until_writes(scale.writes // 2, 600)
    readers = Load(store, before.bucket, Mix(clients=before.mix.clients, read=1.0), seed=4, manifest=before.manifest)
    before.manifest.answers.clear()
    writers = await load_on(store, "four-nodes-meanwhile", scale, seed=5)
    async with readers.running():
        await kill_hosts(store, writers, scale, at_once=2)
    assert before.manifest.answers["get", 200] > scale.kills
    assert set(before.manifest.refused("get")) <= {404}, "ten shards are left, ten are enough"
    for load in (before, writers):
        await load.verify()
    refusals = {status for operation in ("put", "part") for status in writers.manifest.refused(operation)}
    assert refusals <= {503}, writers.manifest.answers


async def test_missed_shards_of_a_write_become_repair_entries(store: Running) -> None:
    """While two nodes are away twelve of fourteen shards are enough, and what is missing is written down with the row."""
    async with store.s3() as s3:
        await s3.must("PUT", "/missed")
        victim = store.pids("nodehost")[0]
        before = set(store.rows("SELECT blob, chunk, shard_index FROM repair"))
        kill(victim)
        for number in range(30):
            await s3.put("missed", f"k{number}", b"m" * 50_000)
        listed = store.rows(
            "SELECT seg_blob FROM version JOIN head ON head.version = version.id WHERE head.size = 50000"
        )
        written = {blob for (blob,) in listed}
        filed = {row for row in store.rows("SELECT blob, chunk, shard_index FROM repair") if row[0] in written} - before
        assert filed, "some write met the missing nodes"
        assert all(sum(row[0] == blob for row in filed) <= 2 for blob in written), "never more than the quorum allows"
        await eventually(lambda: victim not in store.pids("nodehost") and hosts_answer(store), "back")
        for number in range(30):
            assert await s3.get("missed", f"k{number}") == b"m" * 50_000


@pytest.mark.parametrize("scale", [BOUNDED, FULL])
async def test_everything_killed_at_once_comes_back_whole(store: Running, scale: Scale) -> None:
    """SIGKILL to the supervisor and all its children in mid-load, several times; the next start finds everything."""
    rng = random.Random(4)
    loads = []
    for turn in range(scale.kills // 3):
        load = await load_on(store, f"everything-{turn}", scale, seed=10 + turn)
        loads.append(load)
        async with load.running():
            await load.until_writes(scale.writes // 6, 120)
            await asyncio.sleep(rng.random() / 2)
            load.stop()
            store.kill()
        await asyncio.to_thread(store.start)
    for load in loads:
        await load.verify()
