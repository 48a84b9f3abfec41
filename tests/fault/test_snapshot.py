"""A snapshot that is cut off at every one of its steps leaves one that can be restored, and the next one cleans up.

Every write to the database, to a host, to the state file, and the checkpoint counts as a step. At the Nth something
breaks, for N = 1, 2, ... until a snapshot meets no fault: the step is not done (`before`), done without an answer
(`after`), each with nothing working from then on, as in a crash; or it alone fails (`once`) and what is there to clean
up runs. Then all that was queued for deletion is deleted, as if its grace had passed, and four nodes are taken away.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from cyxcloud.meta.database import Database
from cyxcloud.meta.snapshot_manifest import Manifest
from cyxcloud.meta.snapshot_pointer import read_pointer
from cyxcloud.meta.system import SNAPSHOT_BUCKET
from tests.unit.fleet.snapshot_faults import MODES, Faults, carry_out_deletions, cut_off
from tests.unit.fleet.snapshot_rig import Nodes, Rig, rig

MOST_STEPS = 200


def newest_four(store: Rig, rng: random.Random) -> set[Any]:
    """Four nodes to be missing: those with the newest pointers, of which there may be few."""
    pointers = [(node, data) for host in store.hosts for node, data in host.pointers.items()]
    rng.shuffle(pointers)
    pointers.sort(key=lambda each: read_pointer(each[1]).sequence, reverse=True)
    return {node for node, _ in pointers[:4]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.timeout(300)
async def test_snapshot_cut_off_at_every_step_leaves_one_to_restore(template: Path, tmp_path: Path, mode: str) -> None:
    """Fails where a pointer is written before its groups are durable, or old groups go before the pointer's quorum."""
    rng = random.Random(mode)
    for at in range(1, MOST_STEPS):
        faults = Faults(at, mode)
        with rig(template, tmp_path / f"{at}", seed=at) as store:
            await store.fill(300)
            await store.take()
            contents = {1: store.path.read_bytes()}
            await store.empty(250)
            await store.fill(40, first=1000)
            await cut_off(store, faults)
            contents[2] = store.path.read_bytes()  # where it got that far, this is what it froze
            carry_out_deletions(store)
            for missing in (set(), newest_four(store, rng)):
                nodes = Nodes(store.hosts, missing)
                sequence = nodes.restore(tmp_path / "again.db").summary.sequence
                assert (tmp_path / "again.db").read_bytes() == contents[sequence], (at, sequence)
            await store.fill(10, first=2000)
            assert (await store.take()).summary.sequence in (2, 3)
            carry_out_deletions(store)
            store.nodes.restore(tmp_path / "again.db")
            assert (tmp_path / "again.db").read_bytes() == store.path.read_bytes()
            assert_only_live_objects(store)
        if not faults.met:
            assert at > 25, "a snapshot has more steps than that"
            return
    raise AssertionError("a snapshot does not end")


def assert_only_live_objects(store: Rig) -> None:
    manifest = Manifest.decode((store.path.parent / "snapshot.state").read_bytes())
    rows = store.database.reader().driver.execute("SELECT key FROM head WHERE bucket = ?", (SNAPSHOT_BUCKET,))
    live = {blob.key for blob in manifest.blobs} | {b"manifest/%012d" % manifest.summary.sequence}
    assert {bytes(row[0]) for row in rows} == live


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = Database(tmp_path_factory.mktemp("template") / "meta.db")
    database.upgrade()
    database.close()
    return database.path
