"""Storage classes with profiles of their own: what is written is coded as its class says, and stays as it was written."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.cluster.conftest import running
from tests.cluster.packs import Disks
from tests.cluster.running import PROGRAM, Running
from tests.cluster.s3 import S3

KIB, MIB = 1 << 10, 1 << 20
BODY = random.Random(6).randbytes(300 * KIB)
CLASSES = {"classes__standard_ia": "4+2", "classes__glacier_ir": "10+6"}
WIDTHS = {"STANDARD": 14, "STANDARD_IA": 6, "ONEZONE_IA": 14, "GLACIER_IR": 16}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("classes") / "data", **CLASSES) as made:
        yield made


@pytest.fixture
async def s3(store: Running) -> AsyncIterator[S3]:
    async with store.s3() as client:
        yield client


def of_class(name: str) -> dict[str, str]:
    return {"x-amz-storage-class": name}


@pytest.mark.parametrize("name", WIDTHS)
async def test_a_put_is_coded_as_its_class_says(store: Running, s3: S3, name: str) -> None:
    bucket = f"put-{name.lower().replace('_', '-')}"
    await s3.must("PUT", f"/{bucket}")
    await s3.put(bucket, "key", BODY, of_class(name))
    assert await s3.get(bucket, "key") == BODY
    assert len(Disks(store).all_of(bucket, "key")) == WIDTHS[name]


async def test_parts_are_coded_as_the_class_of_their_upload(store: Running, s3: S3) -> None:
    await s3.must("PUT", "/parts")
    answer = await s3.must("POST", "/parts/key", query=(("uploads", ""),), headers=of_class("STANDARD_IA"))
    upload = answer.text("UploadId")
    first, last = BODY * 18, BODY
    etags = [await s3.put_part("parts", "key", upload, number, part) for number, part in ((1, first), (2, last))]
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    await s3.must("POST", "/parts/key", body, query=(("uploadId", upload),))
    assert await s3.get("parts", "key") == first + last
    widths = store.rows("SELECT DISTINCT k, m FROM blob WHERE size IN (?, ?) AND k = 4", len(first), len(last))
    assert widths == [(4, 2)]
    assert store.rows("SELECT count(*) FROM blob WHERE size = ?", len(first)) == [(1,)]


async def test_a_copy_into_another_class_is_coded_anew_and_one_of_the_same_profile_shares(
    store: Running, s3: S3
) -> None:
    await s3.must("PUT", "/copies")
    await s3.put("copies", "from", BODY)
    for name, width in WIDTHS.items():
        await s3.must("PUT", f"/copies/{name}", headers=of_class(name) | {"x-amz-copy-source": "/copies/from"})
        assert await s3.get("copies", name) == BODY
        assert len(Disks(store).all_of("copies", name)) == width
    blobs = store.rows(
        "SELECT count(DISTINCT seg_blob) FROM version JOIN bucket ON bucket.id = version.bucket "
        "WHERE bucket.name = 'copies'"
    )
    assert blobs == [(3,)]


async def test_a_class_without_its_profile_any_more_is_written_as_others_and_what_it_holds_stays(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = tmp_path_factory.mktemp("changed") / "data"
    with running(data, **CLASSES) as store:
        async with store.s3() as s3:
            await s3.must("PUT", "/kept")
            await s3.put("kept", "old", BODY, of_class("STANDARD_IA"))
        store.stop()
    with running(data, classes__glacier_ir="8+4") as store:
        async with store.s3() as s3:
            await s3.put("kept", "new", BODY, of_class("STANDARD_IA"))
            await s3.put("kept", "other", BODY, of_class("GLACIER_IR"))
            assert [await s3.get("kept", key) for key in ("old", "new", "other")] == [BODY] * 3
        widths = [len(Disks(store).all_of("kept", key)) for key in ("old", "new", "other")]
        opened = store.rows("SELECT DISTINCT k, m FROM placement WHERE state = 1 ORDER BY k")
        store.stop()
    assert (widths, opened) == ([6, 14, 12], [(8, 4), (10, 4)])


async def test_placement_explain_tells_each_chunks_nodes_rules_and_what_is_survived(store: Running, s3: S3) -> None:
    await s3.must("PUT", "/told")
    await s3.put("told", "key", BODY, of_class("STANDARD_IA"))
    value = told(store, "placement", "explain", "told/key")
    [chunk] = value["chunks"]
    assert (chunk["profile"], chunk["readable"], len(chunk["shards"])) == ("4+2", 6, 6)
    assert {shard["state"] for shard in chunk["shards"]} == {"up"}
    assert {rule["rule"]: rule["state"] for rule in chunk["rules"]}["disk"] == "relaxed"
    assert (chunk["survives"]["nodes"], chunk["survives"]["disks"]) == (2, 0)
    assert told(store, "placement", "explain", "told/key", "--version", "null")["chunks"] == value["chunks"]
    assert told(store, "placement", "check")["broken"] == []


def told(store: Running, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(PROGRAM), *words, "--data", str(store.data), "--json"], capture_output=True, timeout=40, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    value: dict[str, Any] = json.loads(done.stdout)
    return value
