"""R35 through two gateways: objects that share blobs are copied, cut, overwritten and deleted at once; afterwards the
metadata agrees with itself, every shard is there, and what is left reads as what was stored."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import running
from tests.cluster.running import PROGRAM, Running
from tests.cluster.s3 import S3

BODIES = [os.urandom(size) for size in (200, 40_000, 1_500_000)]
DIGESTS = {hashlib.sha256(body).digest() for body in BODIES}
KEYS = [f"/shared/{n}" for n in range(6)]
WORKERS, ROUNDS = 6, 25


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("shared") / "data") as found:
        yield found


async def test_shared_blobs_stay_exact_under_races(store: Running) -> None:
    async with store.s3() as s3:
        await s3.must("PUT", "/shared")
        for number, path in enumerate(KEYS):
            await s3.must("PUT", path, body=BODIES[number % len(BODIES)])
        await asyncio.gather(*(use(s3, random.Random(seed)) for seed in range(WORKERS)))
        for path in KEYS:
            answer = await s3.call("GET", path)
            assert answer.status in {200, 404}
            if answer.status == 200:
                assert hashlib.sha256(answer.body).digest() in DIGESTS
    done = subprocess.run(
        [str(PROGRAM), "meta", "check", "--full", "--json", "--data", str(store.data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["problems"] == 0


async def use(s3: S3, rng: random.Random) -> None:
    name = f"upload-{rng.randrange(1 << 30)}"
    upload = await s3.begin_upload("shared", name)
    for _ in range(ROUNDS):
        source, target = rng.choice(KEYS), rng.choice(KEYS)
        match rng.randrange(5):
            case 0:
                await s3.must("PUT", target, body=rng.choice(BODIES))
            case 1:
                await s3.call("DELETE", target)
            case 2:
                first = rng.randrange(100)
                headers = {"x-amz-copy-source": source, "x-amz-copy-source-range": f"bytes={first}-{first + 99}"}
                query = (("partNumber", str(rng.randint(1, 3))), ("uploadId", upload))
                answer = await s3.call("PUT", f"/shared/{name}", query=query, headers=headers)
                assert answer.status in {200, 404}, answer.body
            case _:
                answer = await s3.call("PUT", target, headers={"x-amz-copy-source": source})
                assert answer.status in {200, 404, 400}, answer.body  # 400: a copy onto itself that changes nothing
