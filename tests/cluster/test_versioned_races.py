"""R13 with versioning on: races for one key leave a whole chain, in which every acknowledged version stands once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest

from tests.cluster.s3 import S3, object_path
from tests.cluster.test_conditional_writes import ABSENT, WRITERS, body_of, only_winner, put, rounds_of_each

_VERSION = re.compile(
    rb"<(Version|DeleteMarker)><Key>([^<]*)</Key><VersionId>([^<]*)</VersionId><IsLatest>(true|false)"
)


async def configure(s3: S3, bucket: str, status: str) -> None:
    document = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
    await s3.must("PUT", f"/{bucket}", document, (("versioning", ""),))


@pytest.fixture
async def versioned(s3: S3, bucket: str) -> str:
    await configure(s3, bucket, "Enabled")
    return bucket


async def chain(s3: S3, bucket: str, key: str) -> list[tuple[str, str, bool]]:
    """(kind, version id, is latest), the newest first."""
    listed = await s3.must("GET", f"/{bucket}", query=(("prefix", key), ("versions", "")))
    found = _VERSION.findall(listed.body)
    return [(kind.decode(), version.decode(), latest == b"true") for kind, _, version, latest in found]


@rounds_of_each
async def test_put_if_none_match_under_a_marker_has_one_winner(s3: S3, versioned: str, rounds: int) -> None:
    for turn in range(rounds):
        winner = await only_winner([put(s3, versioned, "k", writer, ABSENT) for writer in range(WRITERS)])
        assert await s3.get(versioned, "k") == body_of(winner)
        await s3.must("DELETE", object_path(versioned, "k"))
        kinds = Counter(kind for kind, _, _ in await chain(s3, versioned, "k"))
        assert kinds == {"Version": turn + 1, "DeleteMarker": turn + 1}


@rounds_of_each
async def test_puts_and_deletes_at_once_leave_each_its_version(s3: S3, versioned: str, rounds: int) -> None:
    path = object_path(versioned, "k")
    acknowledged: set[tuple[str, str]] = set()
    for _ in range(rounds):
        puts, deletes = await asyncio.gather(
            asyncio.gather(*(s3.must("PUT", path, body_of(writer)) for writer in range(16))),
            asyncio.gather(*(s3.must("DELETE", path) for _ in range(8))),
        )
        acknowledged |= {("Version", answer.headers["x-amz-version-id"]) for answer in puts}
        acknowledged |= {("DeleteMarker", answer.headers["x-amz-version-id"]) for answer in deletes}
        found = await chain(s3, versioned, "k")
        assert {(kind, version) for kind, version, _ in found} == acknowledged
        assert [latest for *_, latest in found] == [True] + [False] * (len(found) - 1)


@rounds_of_each
async def test_removals_of_versions_at_once_uncover_what_is_left(s3: S3, versioned: str, rounds: int) -> None:
    path = object_path(versioned, "k")
    for _ in range(rounds):
        made = [(await s3.must("PUT", path, body_of(writer))).headers["x-amz-version-id"] for writer in range(12)]
        # Each version twice over, but for one: whichever request comes first takes it away, the other finds it gone.
        await asyncio.gather(*(s3.must("DELETE", path, query=(("versionId", each),)) for each in made[1:] * 2))
        assert await chain(s3, versioned, "k") == [("Version", made[0], True)]
        assert await s3.get(versioned, "k") == body_of(0)
        await s3.must("DELETE", path, query=(("versionId", made[0]),))
    await s3.must("DELETE", f"/{versioned}")


@rounds_of_each
async def test_writes_in_a_suspended_bucket_leave_one_null_version(s3: S3, versioned: str, rounds: int) -> None:
    path = object_path(versioned, "k")
    kept = (await s3.must("PUT", path, b"kept")).headers["x-amz-version-id"]
    await configure(s3, versioned, "Suspended")
    for _ in range(rounds):
        await asyncio.gather(
            *(s3.must("PUT", path, body_of(writer)) for writer in range(12)),
            *(s3.must("DELETE", path) for _ in range(4)),
        )
        found = await chain(s3, versioned, "k")
        assert [(version, latest) for _, version, latest in found] == [("null", True), (kept, False)]
