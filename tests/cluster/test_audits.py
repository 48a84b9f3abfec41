"""Audits of real node processes: one that lost its shards is found out, and the evidence stands when it is judged again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import running
from tests.cluster.fleet import AT_ONCE, Fleet
from tests.cluster.running import PROGRAM, until
from tests.cluster.s3 import object_path

pytestmark = pytest.mark.timeout(300)
OFTEN: dict[str, object] = {"fleet__audit__per_day": "172800", "fleet__audit__answer_within": "5s"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with running(tmp_path / "data", **(dict(AT_ONCE) | OFTEN), mover__enabled="false", profile="4+2") as store:
        made = Fleet(store)
        try:
            yield made
        finally:
            made.end()


def told(fleet: Fleet, *command: str) -> dict[str, object]:
    found = subprocess.run(
        [str(PROGRAM), "node", *command, *fleet.store.folders, "--json"], capture_output=True, check=True
    )
    value: dict[str, object] = json.loads(found.stdout)
    return value


def scores(fleet: Fleet) -> dict[str, tuple[int, int]]:
    """(audits, failed) by name."""
    rows = fleet.store.rows("SELECT n.name, s.audits, s.failed FROM node_score s JOIN node n ON n.number = s.node")
    return {name: (audits, failed) for name, audits, failed in rows}


async def test_node_that_lost_its_shards_is_found_out_and_the_others_are_not(fleet: Fleet) -> None:
    await asyncio.to_thread(fleet.add, *range(1, 7))
    until(fleet.pool, "a pool is published")
    async with fleet.store.s3() as s3:
        await s3.must("PUT", "/audited")
        for number in range(12):
            await s3.must("PUT", object_path("audited", f"k{number}"), os.urandom(400_000))
    until(lambda: len(scores(fleet)) == 6 and min(audits for audits, _ in scores(fleet).values()) >= 3, "audits", 60)
    assert all(failed == 0 for _, failed in scores(fleet).values())
    liar = fleet.nodes[4]
    liar.stop()
    for file in ("data", "metadata"):
        shutil.rmtree(liar.root / file)
    for part in ("data/packs", "data/quarantine", "metadata"):
        (liar.root / part).mkdir(parents=True)
    liar.start()
    standing = "SELECT standing FROM node WHERE name = 'n04'"
    until(lambda: fleet.store.rows(standing) == [("disqualified",)], "found out", 90)
    assert {name for name, (_, failed) in scores(fleet).items() if failed} == {"n04"}
    history = told(fleet, "history", "n04", "--limit", "500")
    kinds = [event["kind"] for event in history["events"]]  # type: ignore[attr-defined]
    assert kinds.count("audit_failed") >= 40
    assert "standing" in kinds
    again = told(fleet, "appeal", "n04")
    assert again["dropped"] == 0
    assert again["standing"] == "disqualified"
