"""`object health` and `meta check` beside a store that runs, with damage for real."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.cluster.conftest import running
from tests.cluster.packs import Disks, damaged, in_payload
from tests.cluster.running import PROGRAM, Running

SIZE = 5 << 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("health") / "data", workers=1) as found:
        yield found


@pytest.fixture
async def big(store: Running) -> str:
    async with store.s3() as s3:
        await s3.call("PUT", "/health")
        await s3.must("PUT", "/health/big", body=os.urandom(SIZE))
        await s3.must("PUT", "/health/small", body=b"small")
    return "health/big"


def command(store: Running, *arguments: str, code: int = 0) -> Any:
    done = subprocess.run(
        [str(PROGRAM), *arguments, "--data", str(store.data), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def states(value: dict[str, Any]) -> list[list[str]]:
    return [[shard["state"] for shard in chunk["shards"]] for piece in value["segments"] for chunk in piece["chunks"]]


def test_health_of_a_whole_object(store: Running, big: str) -> None:
    for option in ((), ("--deep",)):
        value = command(store, "object", "health", big, *option)
        assert (value["state"], value["survives"], value["size"]) == ("whole", {"nodes": 4}, SIZE)
        assert states(value) == [["ok"] * 14] * 2
        for chunk in value["segments"][0]["chunks"]:
            assert len({shard["node"] for shard in chunk["shards"]}) == 14
    small = command(store, "object", "health", "health/small")
    assert (small["segments"][0]["inline"], small["segments"][0]["chunks"]) == (True, [])


def test_deep_health_finds_a_flipped_byte(store: Running, big: str) -> None:
    record = Disks(store).of("health", "big", chunk=1)[3]
    with damaged([(record, in_payload(lambda size: size // 2))]):
        value = command(store, "object", "health", big, "--deep")
        assert (value["state"], value["survives"]) == ("degraded", {"nodes": 3})
        assert states(value)[1] == ["ok"] * 3 + ["corrupt"] + ["ok"] * 10
        shard = value["segments"][0]["chunks"][1]["shards"][3]
        assert shard["node"] == record.node
    assert command(store, "object", "health", big, "--deep")["state"] == "whole"


def test_health_of_nothing_says_so(store: Running, big: str) -> None:
    for name in ("health/none", "none/none", "health"):
        done = subprocess.run(
            [str(PROGRAM), "object", "health", name, "--data", str(store.data)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert name in done.stderr


def test_check_of_a_running_store_asks_for_every_shard(store: Running, big: str) -> None:
    value = command(store, "meta", "check", "--full")
    assert (value["problems"], value["shards"]["depth"]) == (0, "full")
    assert value["shards"]["by_state"] == {"ok": 14 * value["shards"]["chunks"]}
    assert value["shards"]["chunks"] >= 2


def test_check_finds_a_chunk_row_that_points_elsewhere(store: Running, big: str) -> None:
    blob = Disks(store).blob("health", "big")
    ((placement, members),) = store.rows(
        "SELECT placement, nodes FROM chunk JOIN placement ON placement.id = placement WHERE blob = ? AND n = 0", blob
    )
    (other, *_) = next(row for row in store.rows("SELECT id, nodes FROM placement") if row[1] != members)
    with closing(sqlite3.connect(store.data / "meta" / "meta.db")) as database:
        database.execute("UPDATE chunk SET placement = ? WHERE blob = ? AND n = 0", (other, blob))
        database.commit()
        value = command(store, "meta", "check", code=1)
        assert set(value["by_kind"]) <= {"shard", "chunk-lost"}
        assert value["problems"] == 1
        assert f"{blob:#x} chunk 0" in value["findings"][0]["where"]
        database.execute("UPDATE chunk SET placement = ? WHERE blob = ? AND n = 0", (placement, blob))
        database.commit()
    assert command(store, "meta", "check")["problems"] == 0


def test_health_of_a_stopped_store_is_what_rows_say(store: Running, big: str) -> None:
    store.stop()
    store.process = None
    value = command(store, "object", "health", big)
    assert (value["running"], value["state"]) == (False, "whole")
    assert states(value) == [["placed"] * 14] * 2
    assert command(store, "meta", "check")["shards"]["depth"] == "none"
