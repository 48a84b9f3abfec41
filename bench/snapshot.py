"""`python -m bench.snapshot [OBJECTS]`: what a snapshot of the metadata costs, full and after 1,000 changes; the way back.

A real store (sixteen nodes) whose database is filled with rows of one-chunk objects while it is stopped; changes go
through S3. CPU is the coordinator's and the node host's; bytes on the nodes are those of the snapshots' shards.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.load import cpu_of
from cyxcloud.core.recovery_code import RecoveryCode
from tests.cluster.running import PROGRAM, Running

CODE = RecoveryCode(b"snapshots, bench").text()
CHANGES = 1000
PARALLEL = 8
SIZE = 1000
FIRST = 1 << 50  # ids that no session gives
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count) "
KEY = "CAST(printf('%08x/object-%07d', (i * 2654435761) & 4294967295, i) AS BLOB)"
FILL = (
    NUMBERS
    + f"INSERT INTO head SELECT :bucket, {KEY}, {FIRST} + i, {FIRST} + i, 1, 100000, lower(hex(randomblob(16))),"
    " 1800000000000 + i, :account, 'STANDARD', 0, 2 FROM n",
    NUMBERS + f"INSERT INTO version (id, bucket, key, seq, is_null, is_delete_marker, size, etag, mtime_ms, account,"
    f" storage_class, checksum, content_cid, attributes, seg_blob, seg_offset, seg_length, seg_dek, seg_key_id, seg_mode,"
    f" seg_cid, segment_count) SELECT {FIRST} + i, :bucket, {KEY}, 1, 1, 0, 100000, lower(hex(randomblob(16))),"
    f" 1800000000000 + i, :account, 'STANDARD', 0, randomblob(36), x'01', {FIRST << 1} + i, 0, 100000, randomblob(40), 1,"
    " 1, randomblob(36), 1 FROM n",
    NUMBERS
    + f"INSERT INTO blob (id, refs, size, k, m, codec, chunk_count) SELECT {FIRST << 1} + i, 1, 100000, 10, 4, 1, 1 FROM n",
    NUMBERS
    + f"INSERT INTO chunk (blob, n, root, placement) SELECT {FIRST << 1} + i, 0, randomblob(32), 1 + i % 120 FROM n",
)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = Path(tempfile.mkdtemp(prefix="bench-snapshot-", dir="."))
    store = Running(folder.absolute() / "data", {"recovery_code": CODE, "snapshot__interval": "1d", "workers": 1})
    try:
        store.start()
        asyncio.run(make_bucket(store))
        store.stop()
        fill(store, count)
        print(f"{count:,} objects: a database of {(store.data / 'meta' / 'meta.db').stat().st_size / 1e6:.0f} MB")
        store.start()
        measured("full", store, lambda: command("meta", "snapshot", "--data", store.data))
        for name, key in (("random keys", "{0:08x}/new-{1}"), ("rising keys", "zz-log/{1:012}")):
            asyncio.run(change(store, key))
            measured(
                f"after {CHANGES:,} PUTs, {name}", store, lambda: command("meta", "snapshot", "--data", store.data)
            )
        store.stop()
        for lost in ("meta", "keys"):
            shutil.rmtree(store.data / lost)
        began = time.monotonic()
        told = command("meta", "restore", "--data", store.data, "--recovery-code", CODE)
        print(
            f"restore: {time.monotonic() - began:.1f} s, {told['bytes_read'] / 1e6:.0f} MB read, {told['objects']:,} objects"
        )
    finally:
        store.kill()
        shutil.rmtree(folder, ignore_errors=True)


def fill(store: Running, count: int) -> None:
    with closing(sqlite3.connect(store.data / "meta" / "meta.db", isolation_level=None)) as driver:
        bucket, account = driver.execute("SELECT id, account FROM bucket").fetchone()
        driver.execute("PRAGMA synchronous=OFF")
        driver.execute("BEGIN")
        for statement in FILL:
            driver.execute(statement, {"count": count, "bucket": bucket, "account": account})
        driver.execute("COMMIT")


async def make_bucket(store: Running) -> None:
    async with store.s3() as s3:
        await s3.must("PUT", "/bench")


async def change(store: Running, key: str) -> None:
    body = os.urandom(SIZE)
    async with store.s3() as s3:

        async def some(first: int) -> None:
            for number in range(first, CHANGES, PARALLEL):
                await s3.put("bench", key.format(number * 2654435761 & 0xFFFFFFFF, number), body)

        await asyncio.gather(*(some(first) for first in range(PARALLEL)))


def measured(name: str, store: Running, work: Callable[[], Any]) -> None:
    before, used = cpu(store), on_nodes(store)
    taken = work()
    spent = {role: after - before[role] for role, after in cpu(store).items()}
    print(
        f"{name}: {taken['seconds']:.2f} s, {taken['written_bytes'] / 1e6:.1f} MB of {taken['database_bytes'] / 1e6:.0f},"
        f" {(on_nodes(store) - used) / 1e6:.1f} MB on the nodes; CPU coordinator {spent['coordinator']:.2f} s,"
        f" node host {spent['nodehost']:.2f} s"
    )


def cpu(store: Running) -> dict[str, float]:
    return {role: sum(cpu_of(pid) for pid in store.pids(role)) for role in ("coordinator", "nodehost")}


def on_nodes(store: Running) -> int:
    """Of pack files, which only grow here."""
    return sum(pack.stat().st_size for pack in store.data.glob("nodes/*/data/packs/*.pack"))


def command(*given: str | Path) -> Any:
    done = subprocess.run([PROGRAM, *given, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
