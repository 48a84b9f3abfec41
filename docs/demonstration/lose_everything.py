"""Stores objects on four disks, loses one disk while writing and then the metadata, and gets every byte back.

    .venv/bin/python docs/demonstration/lose_everything.py --data /var/tmp/cyx-demo [--objects 5000]

What it does, with real processes and real files, and nothing but the product's own commands:

1. `cyxcloud up` over four folders that stand for disks (20 nodes, 10+4), and writers that store objects of 1 byte to
   64 MiB, each remembered by its SHA-256 outside the store;
2. `rm -rf` of one disk's folder while they write;
3. waits until every chunk has its fourteen shards again, on the three disks that are left;
4. stops the store and deletes the metadata, its mirror and the keys; `cyxcloud meta restore` brings all back from the
   nodes and the recovery code; `cyxcloud meta adopt --confirm`;
5. reads every object and compares.

It prints what each step took and moved, and ends with 0 only when every acknowledged object was equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

PROGRAM = Path(sys.executable).with_name("cyxcloud")
DISKS, NODES = 4, 20
LOST = 3  # which of the disks
ACCESS, SECRET = "demonstration", "demonstration-secret"
WRITERS = 8
BUCKET = "demonstration"
MIB = 1 << 20
# Most objects are small, as they are in life; some are big, a few as big as they get.
BIG_SHARE, BIGGEST = 0.03, 6
SETTINGS = {
    "CYXCLOUD_ROOT_ACCESS_KEY": ACCESS,
    "CYXCLOUD_ROOT_SECRET_KEY": SECRET,
    "CYXCLOUD_PROFILE": "10+4",
    "CYXCLOUD_NODES": str(NODES),
    "CYXCLOUD_MOVER__GRACE": "0s",  # a chunk that lacks one or two shards would else wait for hours
    "CYXCLOUD_MOVER__MIB_PER_SECOND": "1000",
}


class Store:
    def __init__(self, disks: list[Path], listen: str) -> None:
        self.disks, self.listen, self.output = disks, listen, disks[0].parent / "up.out"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Serve; what it said until it was ready."""
        folders = [part for disk in self.disks for part in ("--data", str(disk))]
        command = [str(PROGRAM), "up", *folders, "--listen", self.listen, "--control", "127.0.0.1:0"]
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | SETTINGS
            )
        while "Ready." not in (said := self.output.read_text()):
            if self._process.poll() is not None:
                raise SystemExit(said)
            time.sleep(0.1)
        return said

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def run(self, *words: str) -> str:
        done = subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"cyxcloud {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json", "--data", str(self.disks[0])))
        return found

    def client(self) -> Any:
        config = botocore.config.Config(
            s3={"addressing_style": "path"}, retries={"max_attempts": 10, "mode": "standard"}, max_pool_connections=32
        )
        return boto3.client(
            "s3",
            endpoint_url=f"http://{self.listen}",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=config,
        )


def sizes(count: int) -> Iterator[int]:
    rng = random.Random(1)
    for number in range(count):
        if number < BIGGEST:
            yield 64 * MIB - number * 4097
        elif rng.random() < BIG_SHARE:
            yield int(2 ** rng.uniform(18, 24))
        else:
            yield int(2 ** rng.uniform(0, 18))


def body_of(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


def store_objects(store: Store, count: int, lose_at: int, lose: threading.Event) -> dict[str, str]:
    """SHA-256 by key of what was acknowledged."""
    acknowledged: dict[str, str] = {}
    client = store.client()
    planned = list(enumerate(sizes(count)))
    random.Random(2).shuffle(planned)

    def put(number: int, size: int) -> None:
        key, body = f"{number:06d}", body_of(number, size)
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
        acknowledged[key] = hashlib.sha256(body).hexdigest()
        if len(acknowledged) >= lose_at:
            lose.set()

    with ThreadPoolExecutor(WRITERS) as threads:
        for done in [threads.submit(put, number, size) for number, size in planned]:
            done.result()
    return acknowledged


def different(store: Store, expected: dict[str, str]) -> list[str]:
    client = store.client()

    def is_equal(key: str) -> bool:
        try:
            body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except botocore.exceptions.ClientError:
            return False
        return hashlib.sha256(body).hexdigest() == expected[key]

    with ThreadPoolExecutor(WRITERS) as threads:
        keys = sorted(expected)
        return [key for key, equal in zip(keys, threads.map(is_equal, keys), strict=True) if not equal]


def write_and_lose_a_disk(store: Store, objects: int) -> dict[str, str]:
    store.client().create_bucket(Bucket=BUCKET)
    lose = threading.Event()

    def remove_disk() -> None:
        lose.wait()
        shutil.rmtree(store.disks[LOST], ignore_errors=True)
        print(f"  rm -rf {store.disks[LOST]}")

    losing = threading.Thread(target=remove_disk, daemon=True)
    losing.start()
    started = time.monotonic()
    acknowledged = store_objects(store, objects, objects * 2 // 5, lose)
    total = sum(sizes(objects))
    print(f"stored {len(acknowledged)} objects, {total / MIB:.0f} MiB, in {time.monotonic() - started:.0f} s")
    losing.join()
    return acknowledged


def heal(store: Store) -> None:
    """Waits until all chunks have all their shards."""
    started = time.monotonic()
    while True:
        status = store.status()
        by_shards = {shards: chunks for shards, chunks in status["health"]["by_shards"].items() if chunks}
        print(f"\r  chunks by shards: {by_shards}   ", end="", flush=True)
        if set(by_shards) <= {"14"} and not status["mover"]["queued"]:
            break
        time.sleep(1)
    mover = status["mover"]
    print(f"\nhealed on {DISKS - 1} disks in {time.monotonic() - started:.0f} s more:")
    print(f"  {mover['done']} chunks of {mover['bytes'] / MIB:.0f} MiB made whole; survives now: {status['survives']}")


def lose_metadata(store: Store) -> None:
    started = time.monotonic()
    store.run("meta", "snapshot", "--data", str(store.disks[0]))
    print(f"snapshot of the metadata on the nodes: {time.monotonic() - started:.1f} s")
    store.stop()
    for folder in (store.disks[0] / "meta", store.disks[0] / "keys", store.disks[1] / "meta-mirror"):
        shutil.rmtree(folder)
        print(f"  rm -rf {folder}")


def restore(store: Store, code: str) -> None:
    started = time.monotonic()
    home = str(store.disks[0])
    nodes = [part for disk in store.disks if disk.exists() for part in ("--nodes", str(disk))]
    print(store.run("meta", "restore", "--data", home, *nodes, "--recovery-code", code).partition("\n")[0])
    print(f"restored from the nodes and the code in {time.monotonic() - started:.1f} s")
    store.start()
    store.run("meta", "adopt", "--confirm", "--data", home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an empty folder; about 5 GiB are used")
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--listen", default="127.0.0.1:9080")
    given = parser.parse_args()
    root: Path = given.data.absolute()
    if root.exists() and any(root.iterdir()):
        raise SystemExit(f"{root} is not empty")
    root.mkdir(parents=True, exist_ok=True)
    store = Store([root / f"disk{number}" for number in range(1, DISKS + 1)], given.listen)
    found = re.search(r"recovery code\s+(\S+)", store.start())
    assert found, "the first start shows the code"
    print(f"started: {NODES} nodes on {DISKS} disks")
    acknowledged = write_and_lose_a_disk(store, given.objects)
    heal(store)
    lose_metadata(store)
    restore(store, found[1])
    started = time.monotonic()
    wrong = different(store, acknowledged)
    print(f"read {len(acknowledged)} objects in {time.monotonic() - started:.0f} s: {len(wrong)} differ")
    store.stop()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
