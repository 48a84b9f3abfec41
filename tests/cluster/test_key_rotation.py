"""Rotation of the wrapping key under load, and the keyring's copies of a store that runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import running
from tests.cluster.running import PROGRAM, Running
from tests.cluster.s3 import S3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("keys") / "data") as found:
        yield found


def command(store: Running, *arguments: str) -> Any:
    done = subprocess.run(
        [str(PROGRAM), *arguments, "--data", str(store.data), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def key_ids(store: Running) -> set[int]:
    return {
        row[0]
        for row in store.rows(
            "SELECT seg_key_id FROM version WHERE seg_length > 0 UNION SELECT key_id FROM segment WHERE length > 0 "
            "UNION SELECT seg_key_id FROM part WHERE seg_length > 0"
        )
    }


async def test_reads_and_writes_go_on_through_a_rotation(store: Running) -> None:
    bodies = {f"/rotated/{n}": os.urandom(300 if n % 2 else 100_000) for n in range(20)}
    async with store.s3() as s3:
        await s3.must("PUT", "/rotated")
        for path, body in bodies.items():
            await s3.must("PUT", path, body=body)
        done = asyncio.Event()
        load = [asyncio.create_task(keep_using(s3, bodies, done, worker)) for worker in range(3)]
        value = await asyncio.to_thread(command, store, "keys", "rotate", "--wait")
        done.set()
        assert sum(await asyncio.gather(*load)) > 10
        assert value["current"] == 2
        assert value["rewrap"]["complete"]
        assert key_ids(store) == {2}
        for path, body in bodies.items():
            assert (await s3.must("GET", path)).body == body
    assert command(store, "status")["keys"]["current"] == 2


async def keep_using(s3: S3, bodies: dict[str, bytes], done: asyncio.Event, worker: int) -> int:
    """Puts, reads and copies without one failure; how many rounds."""
    rounds, paths = 0, sorted(bodies)
    while not done.is_set():
        source = paths[rounds % len(paths)]
        fresh, copy = f"/rotated/fresh-{worker}-{rounds % 5}", f"/rotated/copy-{worker}-{rounds % 5}"
        await s3.must("PUT", fresh, body=bodies[source])
        await s3.must("PUT", copy, headers={"x-amz-copy-source": source})
        for path in (source, fresh, copy):
            assert (await s3.must("GET", path)).body == bodies[source]
        rounds += 1
    return rounds


def test_every_node_has_the_rotated_keyring(store: Running) -> None:
    bundles = {path.read_bytes() for path in sorted(store.data.glob("nodes/*/keyring/bundle"))}
    assert bundles == {Path(store.data / "keys" / "bundle").read_bytes()}
