"""What scrub costs: CPU and wall time a GiB of shards, read past the page cache. `python -m bench.scrub [--mib N]`.

One node is filled with shards of one size and read by the very code that a host runs; CPU is the reading thread's.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import BlobId
from cyxcloud.core.merkle import block_hashes
from cyxcloud.wire.shardhost import PutBatch
from cyxcloud.wire.status import Status
from nodefs.bulk import BulkReader
from nodefs.commit import PutJob, commit_round
from nodefs.folder import open_folder
from nodefs.provision import create_node
from nodefs.recovery import open_store
from nodefs.scrub import Scrubber
from nodefs.space import DiskSpace
from nodefs.store import NodeStore, PutItem
from nodefs.syncing import Syncer

MIB, GIB = 1 << 20, 1 << 30
# A shard of 4 MiB, 256 KiB and 64 KiB at 10+4.
SHARD_BYTES = (419_533, 26_216, 6_556)
GOAL_SECONDS = 0.5
A_ROUND = 64


def fill(store: NodeStore, shard_bytes: int, count: int) -> None:
    syncs = Syncer()
    syncs.start()
    for start in range(0, count, A_ROUND):
        jobs = [
            PutJob([(store, PutItem(_batch(store, shard_bytes, number), 0))], shard_bytes, lambda _: None)
            for number in range(start, min(count, start + A_ROUND))
        ]
        commit_round(list(jobs), store.space, syncs, SystemClock())
        assert {item.status for job in jobs for _, item in job.items} == {Status.OK}
    syncs.stop()
    store.checkpoint()


def _batch(store: NodeStore, size: int, number: int) -> PutBatch:
    payload = os.urandom(size)
    return PutBatch(
        blob=BlobId(7 << 32 | number + 1),
        chunk=0,
        total=14,
        shard_size=size,
        indexes=[0],
        nodes=[store.node_id],
        block_hashes=[b"".join(block_hashes(payload))],
        proofs=[bytes(128)],
        payloads=[payload],
    )


def measure(scratch: Path, shard_bytes: int, size: int) -> float:
    """CPU seconds a GiB, printed with the rest."""
    folder = scratch / f"node-{shard_bytes}"
    create_node(folder, folder.name, bytes(16), bytes(16), bytes(32))
    store, _ = open_store(open_folder(folder), DiskSpace(folder, SystemClock()), SystemClock())
    fill(store, shard_bytes, max(1, size // shard_bytes))
    scrubber, reader = Scrubber(store, 1.0, SystemClock()), BulkReader()
    scrubber.begin_pass()
    wall, before, read = time.perf_counter(), resource.getrusage(resource.RUSAGE_THREAD), 0
    while scrubber.progress().running:
        read += scrubber.slice(reader)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_THREAD)
    assert not store.suspects
    assert not store.strays
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    cpu = (user + system) * GIB / read
    print(
        f"shards of {shard_bytes:>7} bytes: {cpu:.3f} s CPU/GiB ({user * GIB / read:.3f} user, "
        f"{system * GIB / read:.3f} system), {read / MIB / wall:.0f} MiB/s"
    )
    store.close()
    return cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="how much to write and read for each size of shard")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".") as scratch:
        whole = measure(Path(scratch), SHARD_BYTES[0], asked.mib * MIB)
        for size in SHARD_BYTES[1:]:
            measure(Path(scratch), size, asked.mib * MIB // 4)
    print(f"goal: {GOAL_SECONDS} s CPU/GiB for whole chunks: {'kept' if whole <= GOAL_SECONDS else 'MISSED'}")


if __name__ == "__main__":
    main()
