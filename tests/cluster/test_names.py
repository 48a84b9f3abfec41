"""R25: a key is a name and nothing else: never a path on a disk, and read back byte for byte as it was given."""

from __future__ import annotations

import os
import random
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest

from tests.cluster.running import Running
from tests.cluster.s3 import S3, Request, object_path

ESCAPED = "escaped-the-data-folder"

KEYS = [
    b"a",
    b"a/b",
    b"a/",
    b"a//b",
    b"//",
    b"/",
    b"/leading",
    b"..",
    b".",
    b"../" * 30 + ESCAPED.encode(),
    b"/../" + ESCAPED.encode(),
    b"x/../../" + ESCAPED.encode(),
    b"%2e%2e/%2e%2e/" + ESCAPED.encode(),
    b"..%2f..%2f" + ESCAPED.encode(),
    b"..\\..\\" + ESCAPED.encode(),
    b"C:\\windows\\" + ESCAPED.encode(),
    b"~/" + ESCAPED.encode(),
    b"$HOME/" + ESCAPED.encode(),
    b"nul\x00in the middle",
    b"\x01\x02\x1f control \x7f",
    b"line\r\nbreak: yes",
    b"tab\tand space ",
    b" leading space",
    b"+plus+ %20 %2B %zz",
    b"question?mark#hash&amp;=;",
    b"quote'\"<>&]]>",
    b"*",
    b"-rf",
    "ünïcödé".encode(),
    "unicode composed \u00e9, decomposed e\u0301".encode(),
    "e\u0301".encode(),
    "\u00e9".encode(),
    "\u202eright to left \u0627\u0644\u0639\u0631\u0628\u064a\u0629".encode(),
    "\U0001f600\U0010ffff".encode(),
    "\ufeffbyte order mark".encode(),
    "\u2028\u2029\u0085".encode(),
    "\ufffe\uffff noncharacters".encode(),
    b"s/" * 400 + b"deep",
    b"k" * 1024,
    "\u20ac".encode() * 341 + b"x",
    b"con",
    b"aux.txt",
    b"meta.db",
    b"keys/master",
    b".git/config",
    b"nodes/n01/node.json",
]
NOT_UTF8 = ["%ED%A0%80", "%ED%A0%BD%ED%B8%80", "%FF", "%C0%AE%C0%AE/", "%E2%82", "%80abc", "ok%F8%88%80%80%80"]
BAD_ESCAPES = ["%zz", "%", "abc%2", "%u0041"]


def content_of(key: bytes) -> bytes:
    return b"content of " + key


async def test_every_key_comes_back_byte_for_byte(s3: S3, bucket: str) -> None:
    for key in KEYS:
        await s3.must("PUT", object_path(bucket, key), content_of(key))
    for key in KEYS:
        assert (await s3.must("GET", object_path(bucket, key))).body == content_of(key), key
    listed = [unquote_to_bytes(text.replace("+", "%20")) for text in await s3.keys(bucket, **{"encoding-type": "url"})]
    assert listed == sorted(KEYS), "in the order of UTF-8 bytes"
    paged = await s3.keys(bucket, **{"encoding-type": "url", "max-keys": "3"})
    assert [unquote_to_bytes(text.replace("+", "%20")) for text in paged] == sorted(KEYS)
    for key in KEYS:
        copying = {"x-amz-copy-source": f"/{bucket}/{quote(key, safe='')}"}
        await s3.must("PUT", object_path(bucket, b"copy"), headers=copying)
        assert await s3.get(bucket, "copy") == content_of(key), key
    for at, key in enumerate(KEYS):
        assert (await s3.must("DELETE", object_path(bucket, key))).status == 204
        assert (await s3.call("GET", object_path(bucket, key))).status == 404, key
        left = len(await s3.keys(bucket, **{"encoding-type": "url"}))
        assert left == len(KEYS) - at, "one delete removes one key, whatever it is like"


@pytest.mark.parametrize("raw", NOT_UTF8 + BAD_ESCAPES)
async def test_key_that_is_no_text_is_refused(s3: S3, bucket: str, raw: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        answer = await s3.call(method, f"/{bucket}/{raw}", b"x" if method == "PUT" else b"")
        assert (answer.status, answer.code) == (400, "InvalidURI"), method
    assert await s3.keys(bucket) == []


async def test_key_longer_than_1024_bytes_is_refused(s3: S3, bucket: str) -> None:
    for key in (b"k" * 1025, "\u20ac".encode() * 342, b"../" * 400):
        answer = await s3.call("PUT", object_path(bucket, key), b"x")
        assert (answer.status, answer.code) == (400, "KeyTooLongError")
    assert await s3.keys(bucket) == []


@pytest.mark.parametrize(
    "name",
    [".", "..", "...", "%2e%2e", "..%2f..%2fetc", ".hidden", "a", "ab", "a..b", "-a-b", "UPPER", "under_score", "a%00b",
     "with%20space", "%C3%BCber", "1.2.3.4.", "x" * 64, "nodes%2fn01", "meta.db%00"],
)  # fmt: skip
async def test_bucket_name_that_could_be_a_path_is_refused(s3: S3, unharmed: Running, name: str) -> None:
    before = unharmed.visible()
    answer = await s3.call("PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")
    for path in (f"/{name}/key", f"/{name}/../key"):
        answer = await s3.call("PUT", path, b"x")
        assert answer.status in (400, 404), path
    assert unharmed.visible() == before


async def test_raw_dots_and_slashes_of_the_request_line_are_part_of_the_key(s3: S3, bucket: str) -> None:
    """No part of the way may tidy the path up: what is signed is what is stored."""
    raw = [
        f"/{bucket}/../{bucket}-other/k",
        f"/{bucket}/./k",
        f"/{bucket}//k",
        f"/{bucket}/k/..",
        f"/{bucket}/a/%2e%2e/k",
    ]
    for path in raw:
        await s3.must("PUT", path, path.encode())
    for path in raw:
        assert (await s3.must("GET", path)).body == path.encode()
    expected = sorted(unquote_to_bytes(path.removeprefix(f"/{bucket}/")).decode() for path in raw)
    assert await s3.keys(bucket) == expected


async def test_absolute_request_target_names_no_other_host_or_file(s3: S3, bucket: str) -> None:
    request = Request("GET", f"http://{s3.endpoint}/{bucket}/../../etc/passwd")
    answer = await s3.send(request)
    assert answer.status == 403, "unsigned"
    for target in (
        "/../../../../etc/passwd",
        "/-/../../../etc/passwd",
        "/-/..%2f..%2fetc%2fpasswd",
        "/..%2f/etc/passwd",
    ):
        answer = await s3.send(Request("GET", target))
        assert answer.status in (400, 403, 404), target
        assert b"root:" not in answer.body


async def test_no_key_makes_a_file(unharmed: Running, s3: S3, bucket: str) -> None:
    """Neither around the data folder nor in it: the only files are the store's own."""
    rng = random.Random(25)
    hostile = [*KEYS, *(("../" * depth + ESCAPED).encode() for depth in range(1, 16))]
    before = files_of(unharmed.data)
    around = set(unharmed.data.parent.iterdir()), set(unharmed.data.parent.parent.iterdir())
    for key in hostile:
        upload = await s3.must("POST", object_path(bucket, key), query=(("uploads", ""),))
        part = (("partNumber", "1"), ("uploadId", upload.text("UploadId")))
        await s3.must("PUT", object_path(bucket, key), rng.randbytes(20_000), part)
        await s3.must("PUT", object_path(bucket, key), rng.randbytes(20_000))
    assert (set(unharmed.data.parent.iterdir()), set(unharmed.data.parent.parent.iterdir())) == around
    new = {path for path in files_of(unharmed.data) - before if path.suffix not in {".pack", ".session"}}
    assert new == set(), "packs may be new, nothing else"
    assert not [path for path in unharmed.data.rglob("*") if ESCAPED in os.fsdecode(path)]
    for folder in {Path("/"), Path.cwd(), Path.home(), *unharmed.data.parents}:
        assert not (folder / ESCAPED).exists()


def files_of(folder: Path) -> set[Path]:
    """All but SQLite's own side files, which come and go."""
    return {path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm", "-journal"))}
