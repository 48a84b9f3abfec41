"""Clients that write, overwrite, delete, upload in parts and read while a test breaks things, and remember what was said.

The manifest lives outside the system. What was acknowledged must be there, byte for byte; a request without an answer
may have been carried out or not, but whole; what was refused must have changed nothing. Keys belong to one client each,
and one whose state is not certain is never written again, so that every later read can be judged.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.cluster.running import Running
from tests.cluster.s3 import S3, Answer, Broken, Query, completion, object_path

KIB, MIB = 1 << 10, 1 << 20
NOISE = random.Random(1).randbytes(16 * MIB)
ABSENT = None
State = str | None  # SHA-256 of the content, or ABSENT


@dataclass(frozen=True, slots=True)
class Mix:
    """What the clients do; shares are of all requests."""

    clients: int = 8
    least_bytes: int = KIB
    most_bytes: int = 6 * MIB
    multipart: float = 0.3
    overwrite: float = 0.15
    delete: float = 0.1
    read: float = 0.3


@dataclass(slots=True)
class Manifest:
    certain: dict[str, State] = field(default_factory=dict)
    open: dict[str, set[State]] = field(default_factory=dict)
    answers: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def acknowledged(self, key: str, state: State) -> None:
        self.certain[key] = state

    def unanswered(self, key: str, state: State) -> None:
        """From now on either of both, for good."""
        self.open[key] = {self.certain.pop(key, ABSENT), state}

    def refused(self, operation: str) -> dict[int | str, int]:
        return {status: count for (done, status), count in self.answers.items() if done == operation and status != 200}

    def share_done(self, operation: str) -> float:
        """Of the requests that were answered at all, those that succeeded."""
        counts = {status: n for (done, status), n in self.answers.items() if done == operation and status != "broken"}
        return counts.get(200, 0) / max(1, sum(counts.values()))

    @property
    def writes(self) -> int:
        """Acknowledged changes."""
        return sum(self.answers[done, 200] for done in ("put", "complete", "delete"))

    def judge(self, key: str, found: State) -> None:
        allowed = self.open[key] if key in self.open else {self.certain.get(key, ABSENT)}
        if found not in allowed:
            self.wrong.append(f"{key}: {found}, not one of {allowed}")


class Load:
    """`manifest` is another load's of the same bucket, whose keys these clients then read."""

    def __init__(self, store: Running, bucket: str, mix: Mix, seed: int, manifest: Manifest | None = None) -> None:
        self.store, self.bucket, self.mix = store, bucket, mix
        self.manifest = manifest or Manifest()
        self._seed = seed
        self._stopped = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Clients work inside the block; each ends its request in hand."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.mix.clients):
                group.create_task(self._client(number))
            try:
                yield
            finally:
                self.stop()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped = True

    async def until_writes(self, count: int, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while self.manifest.writes < count:
                await asyncio.sleep(0.02)

    async def verify(self) -> None:
        """Reads all that was ever written, and lists it."""
        manifest = self.manifest
        keys = sorted(manifest.certain.keys() | manifest.open.keys())
        present: set[str] = set()
        async with self.store.s3() as s3:

            async def look(some: list[str]) -> None:
                for key in some:
                    found = await read(s3, self.bucket, key)
                    manifest.judge(key, found)
                    if found is not ABSENT:
                        present.add(key)

            await asyncio.gather(*(look(keys[first::8]) for first in range(8)))
            assert set(await s3.keys(self.bucket)) == present, "a listing shows what can be read and nothing else"
        assert not manifest.wrong, "\n".join(manifest.wrong)

    async def _client(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        async with self.store.s3() as s3:
            turn = 0
            while not self._stopped:
                turn += 1
                try:
                    await self._act(s3, rng, f"c{number}/{turn:05d}", f"c{number}/")
                except Broken:
                    s3.drop()
                    await asyncio.sleep(0.05)

    async def _act(self, s3: S3, rng: random.Random, new: str, own: str) -> None:
        mix, chance = self.mix, rng.random()
        known = [key for key in list(self.manifest.certain)[-400:] if key.startswith(own)]
        if known and chance < mix.read:
            await self._read(s3, rng.choice(known))
        elif known and chance < mix.read + mix.delete:
            await self._change(s3, "DELETE", rng.choice(known), b"", ABSENT)
        else:
            key = rng.choice(known) if known and rng.random() < mix.overwrite else new
            body = self._body(rng, key)
            if rng.random() < mix.multipart:
                await self._upload(s3, key, body)
            else:
                await self._change(s3, "PUT", key, body, digest(body))

    def _body(self, rng: random.Random, key: str) -> bytes:
        """Sizes even over their order of magnitude; no two bodies alike."""
        most, least = self.mix.most_bytes, self.mix.least_bytes
        size = int(least * (most / least) ** rng.random())
        name = f"{key} {rng.random()} ".encode()
        at = rng.randrange(len(NOISE) - size)
        return name + NOISE[at : at + size - len(name)]

    async def _read(self, s3: S3, key: str) -> None:
        expected = self.manifest.certain[key]
        answer = await self._call(s3, "get", "GET", key)
        found = digest(answer.body) if answer.status == 200 else ABSENT if answer.status == 404 else expected
        if found != expected:
            self.manifest.wrong.append(f"{key}: read {found}, acknowledged {expected}")

    async def _change(self, s3: S3, method: str, key: str, body: bytes, state: State) -> None:
        try:
            answer = await self._call(s3, method.lower(), method, key, body)
        except Broken:
            self.manifest.unanswered(key, state)
            raise
        if answer.ok:
            self.manifest.acknowledged(key, state)

    async def _upload(self, s3: S3, key: str, body: bytes) -> None:
        """In two parts where it is big enough, else in one."""
        cut = min(len(body), 5 * MIB)
        begun = await self._call(s3, "create", "POST", key, query=(("uploads", ""),))
        if not begun.ok:
            return
        upload = begun.text("UploadId")
        etags = []
        for number, part in enumerate(filter(None, (body[:cut], body[cut:])), start=1):
            query = (("partNumber", str(number)), ("uploadId", upload))
            answer = await self._call(s3, "part", "PUT", key, part, query=query)
            if not answer.ok:
                return
            etags.append(answer.headers["etag"])
        await self._complete(s3, key, upload, etags, digest(body))

    async def _complete(self, s3: S3, key: str, upload: str, etags: list[str], state: State) -> None:
        """One without an answer is sent again, as clients do: it must then succeed, whether or not it had before."""
        document, query = completion(etags), (("uploadId", upload),)
        try:
            answer = await self._call(s3, "complete", "POST", key, document, query=query)
        except Broken:
            s3.drop()
            try:
                answer = await self._call(s3, "complete again", "POST", key, document, query=query)
            except Broken:
                self.manifest.unanswered(key, state)
                raise
            if answer.status == 404:
                self.manifest.wrong.append(f"{key}: its upload is gone, though nobody ended it")
        if answer.ok:
            self.manifest.acknowledged(key, state)
        elif answer.status == 503:
            self.manifest.unanswered(key, state)

    async def _call(self, s3: S3, name: str, method: str, key: str, body: bytes = b"", *, query: Query = ()) -> Answer:
        try:
            answer = await s3.call(method, object_path(self.bucket, key), body, query)
        except Broken:
            self.manifest.answers[name, "broken"] += 1
            raise
        self.manifest.answers[name, 200 if answer.ok else answer.status] += 1
        if answer.status == 500:
            self.manifest.wrong.append(f"{name} {key}: {answer.body!r}")
        return answer


async def read(s3: S3, bucket: str, key: str) -> State:
    answer = await s3.call("GET", object_path(bucket, key))
    assert answer.status in (200, 404), (key, answer.status, answer.body)
    return digest(answer.body) if answer.status == 200 else ABSENT


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
