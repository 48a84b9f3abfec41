"""PutObject, GetObject, HeadObject and DeleteObject through real shards."""

from __future__ import annotations

import hashlib
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.inprocess import ACCESS, SECRET, InProcessStore
from tests.cluster.operations.calls import MIB, content, raw, refused
from tests.cluster.s3 import Endpoint, Key, Request, Signing

INLINE = 16 << 10
CHUNK = 4 * MIB
EARLIER, LATER = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
HELLO_ETAG = f'"{hashlib.md5(b"hello", usedforsecurity=False).hexdigest()}"'


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 65_536, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 12_345])
def test_put_and_get_give_back_the_bytes(client: Any, bucket: str, size: int) -> None:
    body = content(size)
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    assert client.put_object(Bucket=bucket, Key="k", Body=body)["ETag"] == etag
    read = client.get_object(Bucket=bucket, Key="k")
    assert (read["ContentLength"], read["ETag"], read["ContentType"]) == (size, etag, "binary/octet-stream")
    assert read["Body"].read() == body
    head = client.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"], head["LastModified"]) == (size, etag, read["LastModified"])


def test_put_without_a_length_is_taken_to_its_end(store: InProcessStore, client: Any, bucket: str) -> None:
    body = content(CHUNK + 77)
    chunks = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    framed = b"".join(f"{len(each):x}\r\n".encode() + each + b"\r\n" for each in [*chunks, b""])
    headers = {"transfer-encoding": "chunked"}
    assert raw(store, "PUT", f"/{bucket}/k", framed, headers, payload="UNSIGNED-PAYLOAD").status == 200
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_put_with_neither_length_nor_chunks_is_refused(store: InProcessStore, bucket: str) -> None:
    answer = raw(store, "PUT", f"/{bucket}/k", headers={"transfer-encoding": "identity"})
    assert answer.status in (400, 411)


def test_what_is_kept_with_an_object_comes_back(client: Any, bucket: str) -> None:
    kept = {
        "ContentType": "text/plain; charset=utf-8",
        "CacheControl": "no-cache",
        "ContentDisposition": "attachment",
        "ContentLanguage": "de",
        "ContentEncoding": "gzip, aws-chunked",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"colour": "blue", "empty": ""},
    }
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=LATER, **kept)
    read = client.head_object(Bucket=bucket, Key="k")
    assert read["ContentEncoding"] == "gzip"
    assert read["ExpiresString"] == LATER.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert {name: read[name] for name in kept if name != "ContentEncoding"} == {
        name: value for name, value in kept.items() if name != "ContentEncoding"
    }


def test_metadata_is_raw_utf8_both_ways(store: InProcessStore, bucket: str) -> None:
    raw(store, "PUT", f"/{bucket}/k", b"x", {"x-amz-meta-name": "café €"})
    answer = raw(store, "GET", f"/{bucket}/k")
    assert answer.headers["x-amz-meta-name"].encode("latin-1") == "café €".encode()


def test_metadata_has_a_limit(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "b" * 2047})
    with refused("MetadataTooLarge", 400):
        client.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "b" * 2048})


@pytest.mark.parametrize("size", [100, 40_000])
def test_overwriting_replaces_all_of_it(client: Any, bucket: str, size: int) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=content(40_000), Metadata={"a": "1"}, ContentType="a/b")
    client.put_object(Bucket=bucket, Key="k", Body=content(size, 3))
    read = client.get_object(Bucket=bucket, Key="k")
    assert (read["Body"].read(), read["Metadata"]) == (content(size, 3), {})
    assert read["ContentType"] == "binary/octet-stream"


def test_reads_of_what_is_not_there(client: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        client.get_object(Bucket=bucket, Key="nothing")
    with refused("404", 404):
        client.head_object(Bucket=bucket, Key="nothing")
    with refused("NoSuchBucket", 404):
        client.get_object(Bucket="no-such-bucket", Key="k")
    with refused("NoSuchBucket", 404):
        client.put_object(Bucket="no-such-bucket", Key="k", Body=b"")
    with refused("InvalidArgument", 400):
        client.get_object(Bucket=bucket, Key="k", VersionId="4")
    with refused("KeyTooLongError", 400):
        client.put_object(Bucket=bucket, Key="k" * 1025, Body=b"")


@pytest.mark.parametrize("size", [1000, 200_000, CHUNK + 100_000])
@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=990-", slice(990, None)),
        ("bytes=0-99999999999", slice(0, None)),
        ("bytes=-99999999999", slice(0, None)),
    ],
)
def test_ranges(client: Any, bucket: str, size: int, asked: str, wanted: slice) -> None:
    body = content(size)
    client.put_object(Bucket=bucket, Key="k", Body=body)
    read = client.get_object(Bucket=bucket, Key="k", Range=asked)
    expected, start = body[wanted], wanted.indices(size)[0]
    assert read["Body"].read() == expected
    assert read["ContentRange"] == f"bytes {start}-{start + len(expected) - 1}/{size}"
    assert read["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = client.head_object(Bucket=bucket, Key="k", Range=asked)
    assert (head["ContentLength"], head["ContentRange"]) == (len(expected), read["ContentRange"])


def test_ranges_across_chunks_and_frames(client: Any, bucket: str) -> None:
    body = content(2 * CHUNK + 500)
    client.put_object(Bucket=bucket, Key="k", Body=body)
    for first, last in [(CHUNK - 1, CHUNK), (65_535, 65_536), (CHUNK, 2 * CHUNK), (1, 2 * CHUNK + 498)]:
        read = client.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert read["Body"].read() == body[first : last + 1]


def test_ranges_that_are_none(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    client.put_object(Bucket=bucket, Key="empty", Body=b"")
    for asked in ("bytes=5-", "bytes=9-12", "bytes=-0"):
        with refused("InvalidRange", 416):
            client.get_object(Bucket=bucket, Key="k", Range=asked)
    with refused("InvalidRange", 416):
        client.get_object(Bucket=bucket, Key="empty", Range="bytes=0-0")
    for asked in ("bytes=3-2", "lines=1-2", "bytes=0-1,3-4"):
        read = client.get_object(Bucket=bucket, Key="k", Range=asked)
        assert (read["Body"].read(), read["ResponseMetadata"]["HTTPStatusCode"]) == (b"hello", 200)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"IfMatch": HELLO_ETAG}, 200),
        ({"IfMatch": "*"}, 200),
        ({"IfMatch": '"other"'}, 412),
        ({"IfNoneMatch": '"other"'}, 200),
        ({"IfNoneMatch": HELLO_ETAG}, 304),
        ({"IfNoneMatch": f"W/{HELLO_ETAG}"}, 304),
        ({"IfModifiedSince": EARLIER}, 200),
        ({"IfModifiedSince": LATER}, 304),
        ({"IfUnmodifiedSince": LATER}, 200),
        ({"IfUnmodifiedSince": EARLIER}, 412),
        ({"IfMatch": HELLO_ETAG, "IfUnmodifiedSince": EARLIER}, 200),
        ({"IfNoneMatch": '"other"', "IfModifiedSince": LATER}, 200),
    ],
)
def test_conditional_reads(client: Any, bucket: str, condition: dict[str, Any], status: int) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    codes = {304: "304", 412: "PreconditionFailed"}
    if status == 200:
        assert client.get_object(Bucket=bucket, Key="k", **condition)["Body"].read() == b"hello"
        assert client.head_object(Bucket=bucket, Key="k", **condition)["ContentLength"] == 5
        return
    with refused(codes[status], status):
        client.get_object(Bucket=bucket, Key="k", **condition)
    with refused(str(status), status):
        client.head_object(Bucket=bucket, Key="k", **condition)


def test_not_modified_repeats_the_validators(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    whole = raw(store, "GET", f"/{bucket}/k")
    same = raw(store, "GET", f"/{bucket}/k", headers={"if-none-match": HELLO_ETAG})
    assert (same.status, same.body) == (304, b"")
    assert same.headers["etag"] == HELLO_ETAG
    assert same.headers["last-modified"] == whole.headers["last-modified"]


def test_overrides_of_the_answers_headers(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", ContentType="a/b")
    read = client.get_object(
        Bucket=bucket, Key="k", ResponseContentType="c/d", ResponseContentDisposition='attachment; filename="x"'
    )
    assert (read["ContentType"], read["ContentDisposition"]) == ("c/d", 'attachment; filename="x"')
    assert read["Body"].read() == b"hello"
    with refused("InvalidArgument", 400):
        client.get_object(Bucket=bucket, Key="k", ResponseContentType="c/d\r\nx-evil: 1")


def test_conditional_writes(client: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        client.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch="*")
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket=bucket, Key="k", Body=content(40_000), IfMatch='"other"')
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    client.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=HELLO_ETAG)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def test_a_refused_big_write_leaves_no_blob(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    before = store.rows("SELECT count(*) FROM blob WHERE refs > 0")
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket=bucket, Key="k", Body=content(CHUNK + 1), IfNoneMatch="*")
    assert store.rows("SELECT count(*) FROM blob WHERE refs > 0") == before


def test_delete_is_a_success_whether_or_not_there_is_something(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    for _ in range(2):
        assert client.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchKey", 404):
        client.get_object(Bucket=bucket, Key="k")
    with refused("NoSuchBucket", 404):
        client.delete_object(Bucket="no-such-bucket", Key="k")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"IfMatch": HELLO_ETAG}, True),
        ({"IfMatch": "*"}, True),
        ({"IfMatch": '"other"'}, False),
        ({"IfMatchSize": 5}, True),
        ({"IfMatchSize": 6}, False),
        ({"IfMatchLastModifiedTime": EARLIER}, False),
    ],
)
def test_conditional_deletes(client: Any, bucket: str, condition: dict[str, Any], *, holds: bool) -> None:
    client.delete_object(Bucket=bucket, Key="k", **condition)
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    if holds:
        client.delete_object(Bucket=bucket, Key="k", **condition)
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    else:
        with refused("PreconditionFailed", 412):
            client.delete_object(Bucket=bucket, Key="k", **condition)
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_delete_by_the_time_it_was_modified(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    modified = client.head_object(Bucket=bucket, Key="k")["LastModified"]
    client.delete_object(Bucket=bucket, Key="k", IfMatchLastModifiedTime=modified)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_delete_with_a_condition_that_is_none_of_its_own_deletes_nothing(
    store: InProcessStore, client: Any, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    answer = raw(store, "DELETE", f"/{bucket}/k", headers={"if-none-match": HELLO_ETAG})
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert client.head_object(Bucket=bucket, Key="k")["ContentLength"] == 5


def test_a_client_that_leaves_is_no_error(
    store: InProcessStore, client: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.put_object(Bucket=bucket, Key="big", Body=content(3 * CHUNK))
    for method, key, length in [("PUT", "k", "9000000"), ("GET", "big", "0")]:
        leave(store, Request(method, f"/{bucket}/{key}", headers=(("content-length", length),)))
    client.put_object(Bucket=bucket, Key="after", Body=b"x")
    with refused("404", 404):
        client.head_object(Bucket=bucket, Key="k")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def leave(store: InProcessStore, request: Request) -> None:
    """Signed for a body that does not come whole, or an answer that is not read."""
    endpoint = Endpoint("127.0.0.1", store.port)
    signed = Signing(Key(ACCESS, SECRET)).by_header(request, endpoint, "UNSIGNED-PAYLOAD")
    lines = [f"{signed.method} {signed.target} HTTP/1.1", f"Host: {endpoint}"]
    lines += [f"{name}: {value}" for name, value in signed.headers]
    with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (b"x" * 1000 if request.method == "PUT" else b""))
        if request.method == "GET":
            connection.recv(1000)
