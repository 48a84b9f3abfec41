"""R19: three of twenty nodes are drained while clients read and write. No read fails, all that they held is elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.control import ask
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta.rows import GONE
from fleet.drainreceipt import DrainReceipt, verify_receipt
from nodefs.record import LIVE
from tests.cluster import packs
from tests.cluster.conftest import running
from tests.cluster.load import KIB, Load, Mix
from tests.cluster.running import Running

QUICK = {
    "nodes": 20,
    "mover__mib_per_second": 20,
    "mover__node_mib_per_second": 20,
    "delete_grace": "1s",
    "snapshot__interval": "1h",
}
SMALL = Mix(clients=4, least_bytes=20 * KIB, most_bytes=200 * KIB, multipart=0, overwrite=0, delete=0, read=0)
WRITES = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("drained") / "data", **QUICK) as made:
        yield made


def drain(store: Running, node: str, action: str) -> Any:
    return ask(store.data / "run" / "control.sock", "POST", "/drain", {"node": node, "action": action})


def progress(store: Running, node: str) -> dict[str, Any]:
    rows = ask(store.data / "run" / "control.sock", "GET", "/drain")["drains"]
    found: dict[str, Any] = next(row for row in rows if row["name"] == node)
    return found


def held(store: Running, node: str) -> tuple[int, int]:
    """Shards that lie there whole, and their bytes."""
    sizes = [
        each.header.shard_size for each in packs.records(store.data) if each.node == node and each.header.state == LIVE
    ]
    return len(sizes), sum(sizes)


def receipt(store: Running, row: dict[str, Any]) -> DrainReceipt:
    seed = Keyring.open(store.data / "keys").signing().coordinator
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return verify_receipt(key, row["receipt"].encode(), bytes.fromhex(row["signature"]))


async def until_drained(store: Running, *nodes: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while True:
            found = [progress(store, node) for node in nodes]
            if all(row["state"] == "drained" for row in found):
                return found
            await asyncio.sleep(0.1)


async def test_three_of_twenty_nodes_are_drained_under_load(store: Running) -> None:
    async with store.s3() as s3:
        await s3.must("PUT", "/drained")
        await s3.must("PUT", "/meanwhile")
    load = Load(store, "drained", SMALL, seed=1)
    async with load.running():
        await load.until_writes(WRITES, 60)
    readers = Load(store, "drained", Mix(clients=4, read=1.0), seed=2, manifest=load.manifest)
    load.manifest.answers.clear()
    async with readers.running():
        # Two while clients read: what moves is what lay there, byte for byte.
        before = {node: held(store, node) for node in ("node-03", "node-11")}
        for node in before:
            drain(store, node, "begin")
        for row in await until_drained(store, *before):
            signed = receipt(store, row)
            assert (signed.shards_moved, signed.bytes_moved) == before[row["name"]] == (signed.shards, signed.bytes)
        # A third while others write as well, cancelled and resumed.
        writers = Load(store, "meanwhile", SMALL, seed=3)
        async with writers.running():
            drain(store, "node-17", "begin")
            while progress(store, "node-17")["shards_moved"] == 0:
                await asyncio.sleep(0.02)
            halfway = drain(store, "node-17", "cancel")
            assert 0 < halfway["shards_moved"] < halfway["shards"]
            await asyncio.sleep(1)
            left = progress(store, "node-17")
            assert left["chunks_left"] >= halfway["shards"] - halfway["shards_moved"] - 24, "but for a batch, all stays"
            drain(store, "node-17", "resume")
            await writers.until_writes(40, 60)
        (row,) = await until_drained(store, "node-17")
        assert receipt(store, row).shards_moved >= halfway["shards_moved"]
    assert not load.manifest.refused("get"), "no read failed"
    assert load.manifest.answers["get", 200] > WRITES
    for each in (load, writers):
        await each.verify()
    for node in ("node-03", "node-11", "node-17"):
        assert held(store, node) == (0, 0)
    states = dict(store.rows("SELECT name, state FROM node"))
    assert sorted(name.partition("~")[0] for name, state in states.items() if state == GONE) == [
        "node-03",
        "node-11",
        "node-17",
    ]
