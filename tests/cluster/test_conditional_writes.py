"""R13: of many conditional writes to one key at once exactly one wins, by whichever way and gateway they come."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence

import pytest

from tests.cluster.s3 import S3, Answer, completion, object_path

WRITERS = 64
LOST = {409, 412}
ABSENT = {"If-None-Match": "*"}
BOUNDED = pytest.param(4, id="bounded")
FULL = pytest.param(200, id="full", marks=pytest.mark.long)
rounds_of_each = pytest.mark.parametrize("rounds", [BOUNDED, FULL])


async def only_winner(attempts: Sequence[Awaitable[Answer]]) -> int:
    """Which one of the attempts won; all others must have been refused as a lost race."""
    answers = await asyncio.gather(*attempts)
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] == 1, statuses
    assert set(statuses) <= {200} | LOST, statuses
    return next(at for at, answer in enumerate(answers) if answer.status == 200)


def body_of(writer: int) -> bytes:
    """Every other one big enough to become shards, so that both kinds of body meet."""
    return f"writer {writer}".encode().ljust(20_000 if writer % 2 else 100)


async def put(s3: S3, bucket: str, key: str, writer: int, condition: Mapping[str, str]) -> Answer:
    return await s3.call("PUT", object_path(bucket, key), body_of(writer), headers=condition)


@rounds_of_each
async def test_put_if_none_match_has_one_winner(s3: S3, bucket: str, rounds: int) -> None:
    for turn in range(rounds):
        key = f"new-{turn}"
        winner = await only_winner([put(s3, bucket, key, writer, ABSENT) for writer in range(WRITERS)])
        assert await s3.get(bucket, key) == body_of(winner)


@rounds_of_each
async def test_put_if_match_has_one_winner(s3: S3, bucket: str, rounds: int) -> None:
    """Compare-and-set: each round, all writers have seen the same version."""
    etag = (await s3.put(bucket, "counter", b"none")).headers["etag"]
    for _ in range(rounds):
        seen = {"If-Match": etag}
        winner = await only_winner([put(s3, bucket, "counter", writer, seen) for writer in range(WRITERS)])
        answer = await s3.must("GET", object_path(bucket, "counter"))
        assert answer.body == body_of(winner)
        # The next round's writers come with other bodies, or the same ETag would let a second one in.
        etag = (await s3.put(bucket, "counter", f"after {etag}".encode())).headers["etag"]


@rounds_of_each
async def test_complete_if_none_match_has_one_winner(s3: S3, bucket: str, rounds: int) -> None:
    for turn in range(-(-rounds // 4)):
        key = f"assembled-{turn}"
        uploads = [await s3.begin_upload(bucket, key) for _ in range(WRITERS // 4)]
        etags = [await s3.put_part(bucket, key, upload, 1, body_of(at)) for at, upload in enumerate(uploads)]
        attempts = [
            s3.call("POST", object_path(bucket, key), completion([etag]), (("uploadId", upload),), ABSENT)
            for upload, etag in zip(uploads, etags, strict=True)
        ]
        winner = await only_winner(attempts)
        assert await s3.get(bucket, key) == body_of(winner)


@rounds_of_each
async def test_put_complete_and_copy_compete_for_one_key(s3: S3, bucket: str, rounds: int) -> None:
    await s3.put(bucket, "source", b"the source")
    for turn in range(rounds):
        key = f"wanted-{turn}"
        path = object_path(bucket, key)
        upload = await s3.begin_upload(bucket, key)
        etag = await s3.put_part(bucket, key, upload, 1, b"the part")
        copying = ABSENT | {"x-amz-copy-source": f"/{bucket}/source"}
        winner = await only_winner(
            [
                s3.call("POST", path, completion([etag]), (("uploadId", upload),), ABSENT),
                *(s3.call("PUT", path, headers=copying) for _ in range(8)),
                *(put(s3, bucket, key, writer, ABSENT) for writer in range(8)),
            ]
        )
        expected = b"the part" if winner == 0 else b"the source" if winner < 9 else body_of(winner - 9)
        assert await s3.get(bucket, key) == expected


@rounds_of_each
async def test_delete_if_match_has_one_winner_against_puts(s3: S3, bucket: str, rounds: int) -> None:
    """Whoever of them comes first changes the ETag that the others have seen."""
    path = object_path(bucket, "contested")
    for _ in range(rounds):
        seen = {"If-Match": (await s3.put(bucket, "contested", b"as seen")).headers["etag"]}
        deletes = [s3.call("DELETE", path, headers=seen) for _ in range(16)]
        puts = [put(s3, bucket, "contested", writer, seen) for writer in range(16)]
        deleted, answers = await asyncio.gather(asyncio.gather(*deletes), asyncio.gather(*puts))
        removed = any(answer.ok for answer in deleted)  # all others then find nothing that they could fail at
        winners = [writer for writer, answer in enumerate(answers) if answer.ok]
        assert len(winners) + removed == 1, Counter(answer.status for answer in (*deleted, *answers))
        assert {answer.status for answer in (*deleted, *answers) if not answer.ok} <= LOST | {404}
        found = await s3.call("GET", path)
        assert (found.status == 404) if removed else (found.body == body_of(winners[0]))
