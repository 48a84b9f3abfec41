"""The disk is full: writes are refused and say so, everything else goes on, and room is all it takes to write again.

The data folder is a small filesystem of its own in memory, made larger in the end. Mounting takes the right to.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import running
from tests.cluster.load import ABSENT, KIB, MIB, NOISE, Manifest, State, digest, read
from tests.cluster.running import Running
from tests.cluster.s3 import S3, Answer, completion, object_path

SMALL_MIB = 96
REFUSED = {503, 507}


def mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: a full disk, since no filesystem can be mounted here ({error})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def store(small_disk: Path) -> Iterator[Running]:
    with running(small_disk) as made:
        yield made


class Filling:
    """Writes until nothing more is taken, and remembers what was."""

    def __init__(self, s3: S3, bucket: str) -> None:
        self.s3, self.bucket = s3, bucket
        self.manifest = Manifest()

    async def put(self, key: str, body: bytes) -> Answer:
        answer = await self.s3.call("PUT", object_path(self.bucket, key), body)
        self._note(key, answer, digest(body))
        return answer

    async def delete(self, key: str) -> Answer:
        answer = await self.s3.call("DELETE", object_path(self.bucket, key))
        self._note(key, answer, ABSENT)
        return answer

    def _note(self, key: str, answer: Answer, state: State) -> None:
        if answer.ok:
            self.manifest.acknowledged(key, state)
        else:
            assert answer.status in REFUSED, (key, answer.status, answer.body)

    async def fill(self, prefix: str, size: int) -> int:
        """How many it took; it is full when several in a row were refused."""
        taken = refused = number = 0
        deadline = time.monotonic() + 40
        while refused < 5:
            number += 1
            assert time.monotonic() < deadline, f"{prefix}: {taken} of {number} taken, still not full"
            done = (await self.put(f"{prefix}/{number:05d}", NOISE[number : number + size])).ok
            taken, refused = (taken + 1, 0) if done else (taken, refused + 1)
        return taken

    async def verify(self) -> None:
        """Everything acknowledged reads right; nothing else is there."""
        present = set()
        for key, state in self.manifest.certain.items():
            self.manifest.judge(key, await read(self.s3, self.bucket, key))
            present |= {key} if state is not ABSENT else set()
        assert not self.manifest.wrong, self.manifest.wrong
        assert set(await self.s3.keys(self.bucket)) == present


async def test_full_disk_refuses_writes_and_nothing_else(store: Running, small_disk: Path) -> None:
    async with store.s3() as s3:
        await s3.must("PUT", "/full")
        upload = await s3.begin_upload("full", "assembled")
        etag = await s3.put_part("full", "assembled", upload, 1, NOISE[:MIB])
        filling = Filling(s3, "full")
        # Shards first, down to small ones, then bodies that are rows of the database, until neither has room.
        for size in (2 * MIB, 100 * KIB, 17 * KIB, 15 * KIB, 1 * KIB):
            await filling.fill(f"s{size}", size)
        assert sum(state is not ABSENT for state in filling.manifest.certain.values()) > 20
        await filling.verify()
        for size in (5 * MIB, 50 * KIB):
            assert (await filling.put("refused", NOISE[:size])).status in REFUSED
        part = (("partNumber", "2"), ("uploadId", upload))
        assert (await s3.call("PUT", object_path("full", "assembled"), NOISE[:MIB], part)).status in REFUSED
        await deletes_work(filling)
        await restart(store, filling)
    mount("-o", f"remount,size={3 * SMALL_MIB}m", str(small_disk))
    async with store.s3() as s3:
        filling.s3 = s3
        await writes_work_again(filling)
        ended = await s3.call("POST", object_path("full", "assembled"), completion([etag]), (("uploadId", upload),))
        assert ended.ok, "an upload begun before goes on"
        filling.manifest.acknowledged("assembled", digest(NOISE[:MIB]))
        await filling.verify()


async def deletes_work(filling: Filling) -> None:
    keys = [key for key, state in filling.manifest.certain.items() if state is not ABSENT]
    answers = [(key, (await filling.delete(key)).status) for key in keys[:: max(1, len(keys) // 20)]]
    assert {status for _, status in answers} == {204}, answers
    await filling.verify()


async def restart(store: Running, filling: Filling) -> None:
    """A store on a full disk can be stopped and started, and still reads."""
    filling.s3.drop()
    store.kill()
    store.start()
    async with store.s3() as s3:
        filling.s3 = s3
        await filling.verify()


async def writes_work_again(filling: Filling) -> None:
    """Soon after there is room: two probes say so, and nodes that failed are opened again after a pause."""
    deadline = time.monotonic() + 60
    while True:
        answers = [await filling.put(f"again/{size}", NOISE[:size]) for size in (100, 50 * KIB, 3 * MIB)]
        if all(answer.ok for answer in answers):
            return
        assert time.monotonic() < deadline, [(answer.status, answer.code) for answer in answers]
