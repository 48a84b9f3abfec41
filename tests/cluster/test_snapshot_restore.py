"""R22, R33: metadata and keys are lost and come back from the nodes and the recovery code, or from a backup.

Stores of this module are stopped, stripped of meta/ and keys/, restored and started again; what was acknowledged before
the copy was taken is then read through S3 and compared by SHA-256.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cyxcloud.core.recovery_code import RecoveryCode
from tests.cluster.conftest import running
from tests.cluster.load import KIB, MIB, Load, Mix, digest
from tests.cluster.packs import records
from tests.cluster.running import PROGRAM, Running, until
from tests.cluster.s3 import object_path

CODE = RecoveryCode(b"0123456789abcdef").text()
OTHER_CODE = RecoveryCode(b"fedcba9876543210").text()
SETTINGS = {"recovery_code": CODE, "snapshot__interval": "1h"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", **SETTINGS) as made:
        yield made


def command(*given: str | Path, code: int = 0) -> Any:
    """A cyxcloud command's JSON answer, or what it said on stderr where it is to fail."""
    done = subprocess.run(
        [PROGRAM, *given],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, (given, done.returncode, done.stdout, done.stderr)
    return done.stderr if code else json.loads(done.stdout)


def snapshot(store: Running) -> Any:
    return command("meta", "snapshot", "--data", store.data, "--json")


def restore(store: Running, *more: str | Path, code: str = CODE, fails: int = 0) -> Any:
    given = ("meta", "restore", "--data", store.data, "--recovery-code", code, *more)
    return command(*given, code=fails) if fails else command(*given, "--json")


def lose(store: Running) -> None:
    for name in ("meta", "keys"):
        shutil.rmtree(store.data / name)


async def put_some(store: Running, bucket: str) -> dict[str, str]:
    """Inline, one-chunk, many-chunk and multipart objects; SHA-256 by key."""
    bodies = {f"{size}": os.urandom(size) for size in (0, 1, 15 * KIB, 17 * KIB, 300 * KIB, 9 * MIB)}
    async with store.s3() as s3:
        await s3.must("PUT", f"/{bucket}")
        for key, body in bodies.items():
            await s3.put(bucket, key, body)
    return {key: digest(body) for key, body in bodies.items()}


async def assert_there(store: Running, bucket: str, wanted: dict[str, str]) -> None:
    async with store.s3() as s3:
        for key, expected in wanted.items():
            assert digest(await s3.get(bucket, key)) == expected, key


async def test_restore_from_the_nodes_after_a_snapshot_under_load(store: Running) -> None:
    """R22, and index and all: fails where the snapshot is taken after a partial checkpoint, or misses a group."""
    async with store.s3() as s3:
        await s3.must("PUT", "/load")
    load = Load(store, "load", Mix(clients=4, most_bytes=2 * MIB), seed=22)
    async with load.running():
        await load.until_writes(40, 60)
        assert (await asyncio.to_thread(snapshot, store))["full"]
        await load.until_writes(80, 60)
        before = dict(load.manifest.certain)
        last = await asyncio.to_thread(snapshot, store)
        assert not last["full"]
        await load.until_writes(load.manifest.writes + 20, 60)
    after = {key: state for key, state in load.manifest.certain.items() if before.get(key, "absent") == state}
    assert len(after) > 30
    store.stop()
    lose(store)
    for index in store.data.glob("nodes/*/metadata/meta.db*"):
        index.unlink()
    told = restore(store)
    assert told["sequence"] == last["sequence"]
    assert told["objects"] >= sum(1 for state in after.values() if state)
    assert told["bytes_read"] > 0
    store.start()
    await assert_there(store, "load", {key: state for key, state in after.items() if state is not None})
    async with store.s3() as s3:
        for key in await s3.keys("load"):
            assert (await s3.call("GET", object_path("load", key))).ok, f"{key} is listed and cannot be read"
        body = os.urandom(100 * KIB)
        await s3.put("load", "written after", body)
        assert await s3.get("load", "written after") == body
    assert store.rows("SELECT adopted FROM cluster") == [(0,)]


async def test_restore_without_four_nodes(store: Running) -> None:
    """The four are found again later, and told the new incarnation by the next restore that sees them."""
    wanted = await put_some(store, "few")
    snapshot(store)
    store.stop()
    lose(store)
    away = store.data.parent / "away"
    away.mkdir()
    for number in (2, 5, 9, 16):
        (store.data / "nodes" / f"node-{number:02}").rename(away / f"node-{number:02}")
    told = restore(store)
    assert told["nodes"] == 12
    store.start()
    await assert_there(store, "few", wanted)
    store.stop()
    told = restore(store, "--nodes", away)
    assert told["nodes"] == 16
    assert sorted(Path(each).name for each in told["set_aside"]) == ["keys.before-restore-1", "meta.before-restore-1"]
    store.start()
    assert store.rows("SELECT count(*) FROM node WHERE endpoint LIKE '%/away/%'") == [(4,)]
    await assert_there(store, "few", wanted)
    until(lambda: store.rows("SELECT count(*) FROM node WHERE state = 'up'") == [(16,)], "all sixteen nodes up")


async def test_restore_is_followed_by_a_full_snapshot_of_a_higher_number(store: Running) -> None:
    """What the pointers name has no rows in the restored database: it must not stay what a second loss hangs on."""
    wanted = await put_some(store, "again")
    first = snapshot(store)["sequence"]
    store.stop()
    lose(store)
    restore(store)
    assert command("status", "--data", store.data, "--json")["snapshot"] is None
    store.start()
    found = until(lambda: command("status", "--data", store.data, "--json")["snapshot"], "a snapshot by itself")
    assert found["sequence"] > first + 100
    store.stop()
    lose(store)
    assert restore(store)["sequence"] == found["sequence"]
    store.start()
    await assert_there(store, "again", wanted)


async def test_restore_from_a_backup_file_and_what_is_refused(store: Running, tmp_path: Path) -> None:
    wanted = await put_some(store, "backup")
    file = tmp_path / "meta.backup"
    made = command("meta", "backup", file, "--data", store.data, "--json")
    assert made["bytes"] == file.stat().st_size
    assert oct(file.stat().st_mode)[-3:] == "600"
    async with store.s3() as s3:
        await s3.put("backup", "later", b"not in the backup")
    assert "served by another" in restore(store, "--file", file, fails=3)
    store.stop()
    state = sorted(path.name for path in store.data.iterdir())
    meta = (store.data / "meta" / "meta.db").read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(file.read_bytes()[:-40] + bytes(40))
    assert "no snapshot" in restore(store, fails=1)
    assert "damaged" in restore(store, "--file", damaged, fails=1)
    assert "recovery code" in restore(store, "--file", file, code=OTHER_CODE, fails=1)
    assert "recovery code" in restore(store, "--file", file, code="nonsense", fails=1)
    assert [name for name in sorted(path.name for path in store.data.iterdir()) if "restored" not in name] == state
    assert (store.data / "meta" / "meta.db").read_bytes() == meta
    lose(store)
    told = restore(store, "--file", file)
    assert told["source"] == str(file)
    assert told["objects"] == len(wanted)
    store.start()
    await assert_there(store, "backup", wanted)
    async with store.s3() as s3:
        assert (await s3.call("GET", "/backup/later")).status == 404


async def test_snapshots_never_show_in_s3(store: Running) -> None:
    wanted = await put_some(store, "shown")
    snapshot(store)
    assert {record.shard.blob for record in records(store.data)} >= {
        blob for (blob,) in store.rows("SELECT seg_blob FROM version WHERE bucket = 0")
    }
    async with store.s3() as s3:
        assert (await s3.must("GET", "/")).texts("Name") == ["shown"]
        for name in ("/%2Fsnapshots", "//snapshots", "/%2Fsnapshots/manifest/000000000001", "/.%2Fsnapshots"):
            answer = await s3.call("GET", name)
            assert answer.status in (400, 403, 404), (name, answer.status)
        copy = {"x-amz-copy-source": "%2Fsnapshots/manifest/000000000001"}
        assert (await s3.call("PUT", "/shown/stolen", headers=copy)).status in (400, 403, 404)
        assert set(await s3.keys("shown")) == set(wanted)
    users = subprocess.run([PROGRAM, "user", "list", "--data", store.data, "--json"], capture_output=True, check=True)
    assert len(json.loads(users.stdout)) == 1


async def test_restore_from_the_mirror_after_a_power_cut_loses_nothing(tmp_path: Path) -> None:
    """R33 with a mirror: killed in the middle of writing, home gone, and every acknowledged object is there."""
    mirror = tmp_path / "disk2" / "mirror"
    with running(tmp_path / "data", **SETTINGS, meta_mirror=mirror) as store:
        async with store.s3() as s3:
            await s3.must("PUT", "/load")
        load = Load(store, "load", Mix(clients=4, most_bytes=300 * KIB), seed=33)
        async with load.running():
            await load.until_writes(60, 60)
            await asyncio.to_thread(store.kill)
            load.stop()
        lose(store)
        told = restore(store, "--from-mirror", mirror)
        assert told["source"] == str(mirror)
        store.start()
        await load.verify()
