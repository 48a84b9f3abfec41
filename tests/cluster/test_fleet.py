"""A fleet of node processes on addresses of their own, over TLS: joins, losses, drains, newcomers, under reading clients."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import structlog

from tests.cluster.conftest import running
from tests.cluster.fleet import AT_ONCE, Fleet
from tests.cluster.running import PROGRAM
from tests.cluster.s3 import S3, object_path

log = structlog.get_logger(__name__)
# A dozen processes start and fall silent in each.
pytestmark = pytest.mark.timeout(300)

KIB = 1024


@pytest.fixture
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    profile = getattr(request, "param", "4+2")
    with running(tmp_path / "data", **AT_ONCE, profile=profile) as store:
        made = Fleet(store)
        try:
            yield made
        finally:
            made.end()


async def fill(s3: S3, bucket: str, count: int) -> dict[str, str]:
    """So many objects of 20 to 300 KiB; their digests."""
    await s3.must("PUT", f"/{bucket}")
    made = {}
    for number in range(count):
        body = os.urandom(20 * KIB + (number * 37 % 280) * KIB)
        await s3.must("PUT", object_path(bucket, f"k{number:04}"), body)
        made[f"k{number:04}"] = hashlib.sha256(body).hexdigest()
    return made


class Readers:
    """Read everything again and again, and remember what was not right."""

    def __init__(self, fleet: Fleet, bucket: str, made: dict[str, str]) -> None:
        self._fleet, self._bucket, self._made = fleet, bucket, made
        self.reads = 0
        self.wrong: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._read()) for _ in range(2)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        async with self._fleet.store.s3() as s3:
            while True:
                for key, digest in self._made.items():
                    answer = await s3.call("GET", object_path(self._bucket, key))
                    self.reads += 1
                    if not answer.ok or hashlib.sha256(answer.body).hexdigest() != digest:
                        self.wrong.append(f"{key}: {answer.status} {answer.code}")


async def wait(condition: object, what: str, seconds: float) -> float:
    """How long it took, while others go on."""
    began = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - began < seconds, what
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def drain(fleet: Fleet, *arguments: str) -> dict[str, object]:
    found = subprocess.run(
        [str(PROGRAM), "node", "drain", *arguments, *fleet.store.folders, "--json"], capture_output=True, check=True
    )
    value: dict[str, object] = json.loads(found.stdout)
    return value


async def lose_drain_and_add(fleet: Fleet, objects: int, *, first: int, lose: int, empty: int, more: int) -> None:
    numbers = list(range(1, first + 1))
    lost, drained, added = numbers[-lose:], numbers[:empty], list(range(first + 1, first + more + 1))
    await asyncio.to_thread(fleet.add, *numbers)
    await wait(fleet.pool, "a pool is published", 10)
    async with fleet.store.s3() as s3:
        made = await fill(s3, "fleet", objects)
    async with Readers(fleet, "fleet", made) as readers:
        for number in lost:
            fleet.nodes[number].kill()
        down = {f"n{number:02}" for number in lost}
        await wait(lambda: {name for name, state in fleet.states().items() if state == "down"} == down, "noticed", 30)
        healed = await wait(lambda: fleet.missing() == 0, "healed on the others", 240)
        for number in drained:
            await asyncio.to_thread(drain, fleet, f"n{number:02}")
        emptied = await wait(lambda: all(fleet.held(number) == 0 for number in drained), "emptied", 240)
        await asyncio.to_thread(fleet.add, *added)
        filled = await wait(lambda: all(fleet.held(number) > 0 for number in added), "newcomers get their share", 240)
    assert not readers.wrong, readers.wrong[:5]
    assert readers.reads >= objects, "all were read while it happened"
    log.warning("seconds", healed=healed, drained=emptied, rebalanced=filled, reads=readers.reads)


async def test_fleet_loses_drains_and_takes_nodes_under_reads(fleet: Fleet) -> None:
    await lose_drain_and_add(fleet, 40, first=10, lose=2, empty=1, more=2)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fleet", ["10+4"], indirect=True)
async def test_twenty_nodes_lose_four_drain_two_and_take_four(fleet: Fleet) -> None:
    await lose_drain_and_add(fleet, 2000, first=20, lose=4, empty=2, more=4)


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[Fleet]:
    """A store of one box that takes nodes of others."""
    settings = {name: value for name, value in AT_ONCE.items() if name != "nodes"}
    with running(tmp_path / "data", **settings, delete_grace="1s", profile="2+1") as store:
        made = Fleet(store)
        try:
            yield made
        finally:
            made.end()


async def test_one_box_becomes_a_fleet_under_reads_and_writes(grown: Fleet) -> None:
    async with grown.store.s3() as s3:
        made = await fill(s3, "grown", 30)
        local = sorted(grown.states())
        await asyncio.to_thread(grown.add, 1, 2, 3, 4)
        async with Readers(grown, "grown", made) as readers:
            for name in local:
                await asyncio.to_thread(drain, grown, name)
            gone = "SELECT count(*) FROM node WHERE state = 'gone'"
            written = 0
            began = time.monotonic()
            while grown.store.rows(gone)[0][0] < len(local):
                assert time.monotonic() - began < 120, grown.store.rows("SELECT name, state, reason FROM node")
                await s3.must("PUT", object_path("grown", f"new{written}"), os.urandom(30 * KIB))
                written += 1
                await asyncio.sleep(0.1)
        assert not readers.wrong, readers.wrong[:5]
        for number in range(written):
            assert (await s3.call("GET", object_path("grown", f"new{number}"))).ok
