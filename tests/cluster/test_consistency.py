"""R12: what many clients of several gateways see of a key fits one order of what they did, listings included.

Each body is unlike any other, so that its ETag tells which write a read has seen. A listing is a read of every key.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.linear import Kind, Operation, after, is_linearizable
from tests.cluster.s3 import S3, Answer, object_path

CLIENTS = 16
KEYS = 25  # in each of two buckets, one of which keeps versions
SEEDS = 10
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
BOUNDED = pytest.param(10.0, 1, id="bounded")
FULL = pytest.param(60.0, SEEDS, id="full", marks=pytest.mark.long)


def operation(begun: int, took: int, kind: Kind, value: str | None, **more: object) -> Operation:
    return Operation(begun, begun + took, kind, value, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "history",
    [
        [operation(0, 1, Kind.WRITE, "a"), operation(2, 1, Kind.READ, None)],
        [operation(0, 1, Kind.WRITE, "a"), operation(2, 1, Kind.WRITE, "b"), operation(4, 1, Kind.READ, "a")],
        [operation(0, 9, Kind.WRITE, "a"), operation(1, 1, Kind.READ, "a"), operation(3, 1, Kind.READ, None)],
        [operation(0, 9, Kind.CREATE, "a"), operation(0, 9, Kind.CREATE, "b")],
        [operation(0, 1, Kind.WRITE, "a"), operation(2, 1, Kind.SWAP, "b", expected="a", done=False)],
        [operation(0, 1, Kind.WRITE, None), operation(2, 9, Kind.CREATE, "a", done=False)],
    ],
)
def test_checker_finds_what_cannot_be(history: list[Operation]) -> None:
    assert not is_linearizable(history)


@given(
    st.lists(
        st.tuples(st.sampled_from(Kind), st.sampled_from(["a", "b", None]), st.integers(0, 60), st.integers(0, 40)),
        max_size=7,
    ),
    st.booleans(),
)
def test_checker_agrees_with_trying_every_order(drawn: list[tuple[Kind, str | None, int, int]], done: bool) -> None:  # noqa: FBT001
    history = [
        Operation(begun, begun + took, kind, value, "a", done=done or at % 2 == 0)
        for at, (kind, value, begun, took) in enumerate(drawn)
    ]
    assert is_linearizable(history) == any(_makes_sense(order) for order in itertools.permutations(history))


def _makes_sense(order: Sequence[Operation]) -> bool:
    state: str | None = None
    for at, each in enumerate(order):
        if any(each.called > later.answered for later in order[at + 1 :]):
            return False
        fits, state = after(state, each)
        if not fits:
            return False
    return True


class Histories:
    """What was done to each key and what was answered."""

    def __init__(self) -> None:
        self.of: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)

    def note(self, place: tuple[str, str], called: float, kind: Kind, value: str | None, **more: object) -> None:
        self.of[place].append(Operation(called, time.monotonic(), kind, value, **more))  # type: ignore[arg-type]


class Client:
    def __init__(self, s3: S3, number: int, places: list[tuple[str, str]], seed: int, histories: Histories) -> None:
        self._s3, self._places, self._histories = s3, places, histories
        self._random = random.Random(f"{seed} {number}")
        self._bodies = self._new_bodies(f"{seed} {number}")
        self._seen: dict[tuple[str, str], str] = {}

    def _new_bodies(self, who: str) -> Iterator[bytes]:
        """Every fourth one is big enough to become shards."""
        for number in itertools.count():
            yield f"{who} {number}".encode().ljust(20_000 if number % 4 == 0 else 50)

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        ways = (self._put, self._get, self._delete, self._create, self._swap, self._list)
        while time.monotonic() < end:
            way = self._random.choices(ways, (4, 6, 2, 3, 3, 1))[0]
            await way(self._random.choice(self._places))

    async def _put(self, place: tuple[str, str]) -> None:
        await self._write(place, Kind.WRITE)

    async def _create(self, place: tuple[str, str]) -> None:
        await self._write(place, Kind.CREATE, {"If-None-Match": "*"})

    async def _swap(self, place: tuple[str, str]) -> None:
        """From what this client has seen there last, which may be long gone."""
        expected = self._seen.get(place, "0" * 32)
        await self._write(place, Kind.SWAP, {"If-Match": f'"{expected}"'}, expected)

    async def _write(
        self, place: tuple[str, str], kind: Kind, headers: dict[str, str] | None = None, expected: str | None = None
    ) -> None:
        body = next(self._bodies)
        etag, called = hashlib.md5(body, usedforsecurity=False).hexdigest(), time.monotonic()
        answer = await self._s3.call("PUT", object_path(*place), body, headers=headers)
        assert answer.status == 200 or (kind is not Kind.WRITE and answer.status in (404, 412)), answer
        done = answer.status == 200
        self._histories.note(place, called, kind, etag, expected=expected, done=done)
        if done:
            self._seen[place] = etag

    async def _delete(self, place: tuple[str, str]) -> None:
        called = time.monotonic()
        await self._s3.must("DELETE", object_path(*place))
        self._histories.note(place, called, Kind.WRITE, None)

    async def _get(self, place: tuple[str, str]) -> None:
        called = time.monotonic()
        answer = await self._s3.call("GET", object_path(*place))
        assert answer.status in (200, 404), answer
        etag = _etag_of(answer)
        self._histories.note(place, called, Kind.READ, etag)
        if etag is not None:
            self._seen[place] = etag

    async def _list(self, place: tuple[str, str]) -> None:
        called = time.monotonic()
        answer = await self._s3.must("GET", f"/{place[0]}", query=(("list-type", "2"),))
        etags = [text.strip('"').replace("&quot;", "") for text in answer.texts("ETag")]
        listed = dict(zip(answer.texts("Key"), etags, strict=True))
        for bucket, key in self._places:
            if bucket == place[0]:
                self._histories.note((bucket, key), called, Kind.READ, listed.get(key))


def _etag_of(answer: Answer) -> str | None:
    """The bytes say which write they are of, not the header."""
    if answer.status == 404:
        return None
    etag = hashlib.md5(answer.body, usedforsecurity=False).hexdigest()
    assert answer.headers["etag"] == f'"{etag}"'
    return etag


@pytest.mark.timeout(SEEDS * 90)
@pytest.mark.parametrize(("seconds", "seeds"), [BOUNDED, FULL])
async def test_every_key_is_linearizable(s3: S3, bucket: str, seconds: float, seeds: int) -> None:
    await s3.must("PUT", f"/{bucket}-kept")
    await s3.must("PUT", f"/{bucket}-kept", VERSIONING, query=(("versioning", ""),))
    for seed in range(seeds):
        places = [(name, f"{seed}-{n}") for name in (bucket, f"{bucket}-kept") for n in range(KEYS)]
        histories = Histories()
        clients = [Client(s3, number, places, seed, histories) for number in range(CLIENTS)]
        await asyncio.gather(*(client.run(seconds) for client in clients))
        assert len(histories.of) == len(places)
        wrong = [place for place, history in histories.of.items() if not is_linearizable(history)]
        assert not wrong, [sorted(histories.of[place], key=lambda each: each.called) for place in wrong[:1]]
