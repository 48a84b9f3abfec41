"""R7, scrub's half, on a running store: damage that no request met is found, told to the coordinator and made good."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cyxcloud.core.ids import ShardId
from tests.cluster import packs
from tests.cluster.conftest import running
from tests.cluster.packs import Damage, Disks, Record, filed
from tests.cluster.running import PROGRAM, Running, kill, until
from tests.cluster.s3 import S3

KIB, MIB = 1 << 10, 1 << 20
AT_ONCE = {"mover__away": "1s", "mover__grace": "0s", "mover__mib_per_second": 1000, "delete_grace": "1s"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("scrub") / "data", **AT_ONCE) as made:
        yield made


@pytest.fixture
async def s3(store: Running) -> AsyncIterator[S3]:
    async with store.s3() as client:
        yield client


def scrub(store: Running, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), "scrub", *options, "--data", str(store.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def scrub_json(store: Running, *options: str) -> dict[str, Any]:
    done = scrub(store, *options, "--json")
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def of_another_time(record: Record) -> None:
    record.write(packs.with_header(record.read(), replace(record.header, stored_at_ms=5)))


DAMAGES: dict[str, Damage] = {
    "header": packs.flipped(20),
    "state word": packs.marked_deleted,
    "first byte": packs.in_payload(lambda _: 0),
    "last byte": packs.in_payload(lambda size: size - 1),
    "page": packs.zeroed_page,
    "whole record": packs.all_zeroed,
    "noise": packs.noise,
    "of another time": of_another_time,
}


async def test_damage_of_every_class_is_found_by_a_pass_and_made_good(store: Running, s3: S3) -> None:
    await s3.must("PUT", "/decay")
    bodies = {kind: random.Random(kind).randbytes(300 * KIB) for kind in DAMAGES}
    for kind, body in bodies.items():
        await s3.put("decay", kind.replace(" ", "-"), body)
    disks, hurt = Disks(store), list[ShardId]()
    for at, kind in enumerate(DAMAGES):
        record = disks.of("decay", kind.replace(" ", "-"))[at]
        DAMAGES[kind](record)
        hurt.append(record.shard)
    done = scrub_json(store, "start", "--wait")
    assert len(done["nodes"]) == 16
    assert all(each["finished_at_ms"] and not each["running"] for each in done["nodes"])
    until(lambda: sum(each["found"] for each in scrub_json(store, "status")["nodes"]) == len(hurt), "all found")
    until(lambda: whole(store) >= set(hurt) and not filed(store), "all made good")
    for kind, body in bodies.items():
        assert await s3.get("decay", kind.replace(" ", "-")) == body


def whole(store: Running) -> set[ShardId]:
    """Shards of which a node has a live and good record."""
    return {record.shard for record in packs.records(store.data) if packs.is_good(record)}


def test_findings_survive_the_host(store: Running) -> None:
    before = {each["name"]: each["found"] for each in scrub_json(store, "status")["nodes"]}
    pids = store.pids("nodehost")
    for pid in pids:
        kill(pid)
    until(lambda: store.pids("nodehost") not in ([], pids), "another host")
    until(lambda: len(scrub_json(store, "status")["nodes"]) == 16, "nodes open")
    assert {each["name"]: each["found"] for each in scrub_json(store, "status")["nodes"]} == before


def test_one_node_is_scrubbed_and_status_is_readable(store: Running) -> None:
    done = scrub_json(store, "start", "--node", "node-03", "--wait")
    assert [each["name"] for each in done["nodes"]] == ["node-03"]
    shown = scrub(store, "status").stdout
    assert "node-03" in shown
    assert "100%" in shown or "0%" in shown


def test_unknown_node_and_stopped_store_are_refused(store: Running) -> None:
    refused = scrub(store, "start", "--node", "nobody")
    assert refused.returncode == 1
    assert "nobody" in refused.stderr
    stopped = subprocess.run(
        [str(PROGRAM), "scrub", "status", "--data", str(store.data.parent / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 1
    assert "cyxcloud up" in stopped.stderr
