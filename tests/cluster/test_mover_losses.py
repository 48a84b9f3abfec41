"""R5, R6 and the killed mover, with whole node folders lost on a running store."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import running
from tests.cluster.running import Running, kill, until
from tests.cluster.s3 import S3, Broken, object_path
from tests.cluster.test_mover import AT_ONCE, KIB, lacking, node_command, objects, states, status


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = AT_ONCE | getattr(request, "param", {})
    with running(tmp_path_factory.mktemp("losses") / "data", **settings) as made:
        yield made


async def take(store: Running, s3: S3, *names: str) -> None:
    """These folders are moved away; a write notices it at the latest."""
    for name in names:
        (store.data / "nodes" / name).rename(store.data / f"away-{name}")
    deadline = time.monotonic() + 30
    turn = 0
    while any(states(store)[name] == "up" for name in names):
        assert time.monotonic() < deadline, "the hosts notice"
        turn += 1
        await s3.call("PUT", object_path("noticed", f"{turn}"), bytes(20 * KIB))
        await asyncio.sleep(0.1)


async def test_four_lost_folders_are_healed_on_new_nodes(store: Running) -> None:
    names = ("node-02", "node-07", "node-11", "node-16")
    async with store.s3() as s3:
        await s3.must("PUT", "/noticed")
        made = await objects(s3, "four", 24)
        await take(store, s3, *names)
        for key, body in made.items():
            assert await s3.get("four", key) == body, "ten shards are left"
        for name in names:
            assert node_command(store, "replace", name)["opened"]
        until(lambda: not lacking(store), "everything lies where it belongs", 60)
        until(lambda: set(status(store)["health"]["by_shards"]) == {"14"}, "and status says so", 10)
        assert status(store)["survives"]["nodes"] == 4
        for key, body in made.items():
            assert await s3.get("four", key) == body


async def test_five_lost_folders_fail_reads_until_one_is_back(store: Running) -> None:
    """R6."""
    names = ("node-01", "node-02", "node-03", "node-04", "node-05")
    async with store.s3() as s3:
        await s3.must("PUT", "/noticed")
        made = await objects(s3, "five", 6)
        await take(store, s3, *names)
        refused = 0
        for key, body in made.items():
            started = time.monotonic()
            try:
                answer = await s3.call("GET", object_path("five", key))
            except Broken:
                s3.drop()
                refused += 1
                continue
            assert answer.status in (200, 500, 503)
            assert answer.status != 200 or answer.body == body, "never wrong bytes"
            assert time.monotonic() - started < 10
            refused += answer.status != 200
        assert refused, "three to five of the shards of each were lost"
        found = status(store)["health"]["by_shards"]
        assert "9" in found, "listed as damaged"
        (store.data / "away-node-05").rename(store.data / "nodes" / "node-05")
        until(lambda: states(store)["node-05"] == "up", "one is back", 40)
        for key, body in made.items():
            assert await s3.get("five", key) == body
        for name in names[:-1]:
            node_command(store, "replace", name)
        until(lambda: not lacking(store), "everything lies where it belongs", 60)


@pytest.mark.parametrize("store", [{"mover__mib_per_second": 3}], indirect=True)
async def test_a_coordinator_killed_again_and_again_heals_all_the_same(store: Running) -> None:
    async with store.s3() as s3:
        await s3.must("PUT", "/noticed")
        made = await objects(s3, "killed", 24)
        shutil.rmtree(store.data / "nodes" / "node-09", ignore_errors=True)
        for turn in range(30):
            await s3.call("PUT", object_path("noticed", f"{turn}"), bytes(20 * KIB))
        until(lambda: states(store)["node-09"] != "up", "noticed", 20)
        node_command(store, "replace", "node-09")
        kills = 0
        deadline = time.monotonic() + 90
        while lacking(store):
            assert time.monotonic() < deadline, "healed in spite of it"
            await asyncio.sleep(0.7)
            if kills < 6 and (victims := store.pids("coordinator")):
                kill(victims[0])
                kills += 1
                await asyncio.sleep(0.8)
        assert kills >= 2, "it was killed while it worked"
        for key, body in made.items():
            assert await s3.get("killed", key) == body
        until(lambda: store.rows("SELECT count(*) FROM stray") == [(0,)], "nothing is kept twice", 40)
