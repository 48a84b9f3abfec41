"""R5, R6, R20, R37 on a running store: what is lost on disks is made good by the mover, seen through S3 and the disks."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.cluster import packs
from tests.cluster.conftest import running
from tests.cluster.packs import Disks, filed
from tests.cluster.running import Running, until
from tests.cluster.s3 import S3

KIB, MIB = 1 << 10, 1 << 20
SIZES = (17 * KIB, 60_000, 300 * KIB, 5 * MIB)
AT_ONCE = {"mover__away": "1s", "mover__grace": "0s", "mover__mib_per_second": 1000, "delete_grace": "1s"}
HURTS = {
    "missing": packs.marked_deleted,
    "zeros": packs.all_zeroed,
    "noise": packs.noise,
    "one bit": packs.in_payload(lambda size: size // 3),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("mover") / "data", **AT_ONCE) as made:
        yield made


@pytest.fixture
async def s3(store: Running) -> AsyncIterator[S3]:
    async with store.s3() as client:
        yield client


async def objects(s3: S3, bucket: str, count: int) -> dict[str, bytes]:
    await s3.must("PUT", f"/{bucket}")
    made = {f"{n:03d}": random.Random(f"{bucket}/{n}").randbytes(SIZES[n % len(SIZES)]) for n in range(count)}
    for key, body in made.items():
        await s3.put(bucket, key, body)
    return made


async def test_shards_damaged_on_disk_are_mended_after_a_read(store: Running, s3: S3) -> None:
    made = await objects(s3, "mended", 12)
    disks, rng = Disks(store), random.Random(5)
    hurt = []
    for key in made:
        records = disks.of("mended", key)
        hurt += [(record, HURTS[rng.choice(sorted(HURTS))]) for record in rng.sample(records[:10], 3)]
    for record, damage in hurt:
        damage(record)
    for key, body in made.items():
        assert await s3.get("mended", key) == body
    until(lambda: filed(store), "damage is filed", 5)
    until(lambda: not filed(store), "all is mended", 40)
