"""Disks come and go under a running store: what is on them moves, nothing is lost and nobody waits."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.conftest import running
from tests.cluster.running import PROGRAM, Running, kill, until
from tests.cluster.s3 import S3

SIZES = (20_000, 70_000, 400_000, 5_000_000)


def command(*words: object) -> Any:
    done = subprocess.run([str(PROGRAM), *map(str, words), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def states(store: Running, disk: Path) -> set[str]:
    return {row[0] for row in store.rows("SELECT state FROM node WHERE disk = ?", str(disk))}


async def put_some(s3: S3, names: range) -> dict[str, bytes]:
    made = {f"{number:03d}": random.Random(number).randbytes(SIZES[number % len(SIZES)]) for number in names}
    for key, body in made.items():
        await s3.put("moved", key, body)
    return made


async def test_disk_is_added_filled_emptied_and_taken_out(tmp_path: Path) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    new.mkdir()
    with running(home, nodes=8, profile="4+2") as store:
        async with store.s3() as s3:
            await s3.must("PUT", "/moved")
            bodies = await put_some(s3, range(8))
            added = command("disk", "add", new, "--nodes", 4, "--data", home)
            assert added["opened"]
            until(lambda: states(store, new) == {"up"}, "the new disk's nodes are up")
            before = store.pids("nodehost")
            kill(before[0])
            until(lambda: store.pids("nodehost") not in ([], before), "their host is started again, and knows them")
            bodies |= await put_some(s3, range(8, 24))
            until(lambda: any((new / "nodes" / name / "data" / "packs").iterdir() for name in added["nodes"]), "filled")
            removing = asyncio.to_thread(command, "disk", "remove", new, "--data", home)
            reading = asyncio.gather(*(s3.get("moved", key) for key in bodies))
            removed, read = await asyncio.gather(removing, reading)
            assert read == list(bodies.values())
            assert (removed["removed"], removed["chunks_left"]) == (True, 0)
            shutil.rmtree(new)
            bodies |= await put_some(s3, range(24, 30))
            for key, body in bodies.items():
                assert await s3.get("moved", key) == body, key
            assert states(store, new) == {"gone"}
        store.stop()
        store.start()
        async with store.s3() as s3:
            for key, body in bodies.items():
                assert await s3.get("moved", key) == body, key
