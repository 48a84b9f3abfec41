"""R3, R33's mirror half: the coordinator and whoever holds the database's lock are killed, the home's metadata is lost.

With the metadata mirrored on a second disk nothing that was acknowledged may be missing in the mirror, whenever
everything dies.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli import control
from cli.writerlock import holders
from cyxcloud.core.recovery_code import RecoveryCode
from tests.cluster.conftest import running
from tests.cluster.load import MIB, Load, Mix
from tests.cluster.running import PROGRAM, Running, kill, until

CODE = RecoveryCode(b"0123456789abcdef").text()
RECOVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Scale:
    kills: int
    writes: int


BOUNDED = pytest.param(Scale(8, 150), id="bounded")
FULL = pytest.param(Scale(20, 2000), id="full", marks=[pytest.mark.long, pytest.mark.timeout(900)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Running]:
    """Two folders, which the store takes for two disks; 4+4."""
    with running(tmp_path / "one", tmp_path / "two", recovery_code=CODE, nodes=16, profile="4+4") as made:
        yield made


def mirror_of(store: Running) -> Path:
    return store.more[0] / "meta-mirror"


def status(store: Running) -> Any:
    done = subprocess.run(
        [PROGRAM, "status", "--data", store.data, "--json"], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


async def load_on(store: Running, bucket: str, seed: int) -> Load:
    async with store.s3() as s3:
        await s3.must("PUT", f"/{bucket}")
    return Load(store, bucket, Mix(least_bytes=100, most_bytes=2 * MIB), seed)


async def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {RECOVERY_SECONDS} s: {what}"
        await asyncio.sleep(0.02)


def coordinator_answers(store: Running) -> bool:
    try:
        control.ask(store.data / "run" / "control.sock", "GET", "/workers")
    except control.NoAnswer:
        return False
    return len(store.pids("gateway")) == 2


def placed(store: Running) -> set[tuple[Any, ...]]:
    return set(store.rows("SELECT id, nodes, state, successor FROM placement"))


def victim_of(store: Running, rng: random.Random) -> int:
    """The coordinator, or whoever holds the lock just now."""
    lock = store.data / "meta" / "writer.lock"
    if rng.random() < 0.5:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if found := holders(lock) & {*store.pids("gateway"), *store.pids("coordinator")}:
                return found.pop()
    return store.pids("coordinator")[0]


@pytest.mark.parametrize("scale", [BOUNDED, FULL])
async def test_killed_coordinators_and_lock_holders_lose_nothing(store: Running, scale: Scale) -> None:
    load = await load_on(store, "killed", seed=3)
    rng = random.Random(3)
    before = placed(store)
    longest = 0.0
    async with load.running():
        for _ in range(scale.kills):
            await asyncio.sleep(rng.uniform(0, 0.3))
            victim = victim_of(store, rng)
            kill(victim)
            began = time.monotonic()
            await eventually(lambda: victim not in store.pids("gateway") + store.pids("coordinator"), "dead")  # noqa: B023
            await eventually(lambda: coordinator_answers(store), "all back")
            longest = max(longest, time.monotonic() - began)
        await load.until_writes(scale.writes, 300)
    assert longest <= RECOVERY_SECONDS
    assert placed(store) == before, "no chunk was sent elsewhere because the coordinator was away"
    assert {state for (state,) in store.rows("SELECT state FROM node")} == {"up"}
    await load.verify()
    until(lambda: status(store)["mirror"]["state"] == "in step", "mirror in step again", 20)
    store.stop()
    with closing(sqlite3.connect(f"file:{mirror_of(store)}/meta.db", uri=True)) as mirrored:
        assert mirrored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await asyncio.to_thread(store.start)
    await load.verify()


async def test_metadata_lost_in_mid_load_comes_back_from_the_mirror_whole(store: Running) -> None:
    """Everything is killed while clients write; the home's metadata and keys are gone when it is to start again."""
    rng = random.Random(5)
    loads = []
    for turn in range(3):
        load = await load_on(store, f"lost-{turn}", seed=20 + turn)
        loads.append(load)
        async with load.running():
            await load.until_writes(60, 120)
            await asyncio.sleep(rng.random() / 2)
            load.stop()
            store.kill()
        for name in ("meta", "keys"):
            shutil.rmtree(store.data / name)
        assert restore(store)["source"] == str(mirror_of(store))
        await asyncio.to_thread(store.start)
        assert "mirrored in" in store.said()
    for load in loads:
        await load.verify()


async def test_a_mirror_that_fails_stops_nothing_and_is_taken_up_again(store: Running) -> None:
    load = await load_on(store, "failing", seed=8)
    away = mirror_of(store).with_name("unplugged")
    async with load.running():
        await load.until_writes(30, 60)
        mirror_of(store).rename(away)
        await load.until_writes(load.manifest.writes + 60, 60)
        found = await asyncio.to_thread(status, store)
        assert found["mirror"]["state"] == "stale"
        assert found["survives"]["disks"] == 0
        assert any("mirror" in reason for reason in found["reasons"])
        away.rename(mirror_of(store))
        await asyncio.to_thread(until, lambda: status(store)["mirror"]["state"] == "in step", "in step again", 20)
        await load.until_writes(load.manifest.writes + 30, 60)
        load.stop()
        store.kill()
    for name in ("meta", "keys"):
        shutil.rmtree(store.data / name)
    restore(store)
    await asyncio.to_thread(store.start)
    await load.verify()


def test_a_start_after_a_kill_checks_the_database_and_says_so(store: Running) -> None:
    store.kill()
    store.start()
    log = (store.data / "logs" / "supervisor.log").read_text()
    assert "was not stopped in order" in log
    assert "kind=full" in log
    store.stop()
    size = len(log)
    store.start()
    assert "was not stopped in order" not in (store.data / "logs" / "supervisor.log").read_text()[size:]


def restore(store: Running) -> Any:
    given = ["meta", "restore", *store.folders, "--recovery-code", CODE, "--from-mirror", str(mirror_of(store))]
    done = subprocess.run(
        [str(PROGRAM), *given, "--json"], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
