"""Multipart uploads from the first part to the answer that is remembered."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import MIB, PART, content, refused

CID_HEADER = "x-cyx-cid"


def begin(client: Any, bucket: str, key: str = "k", **given: Any) -> str:
    upload: str = client.create_multipart_upload(Bucket=bucket, Key=key, **given)["UploadId"]
    return upload


def send(client: Any, bucket: str, upload: str, number: int, body: bytes, **given: Any) -> dict[str, Any]:
    """The part's line in the list of the completion."""
    answer = client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body, **given)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(client: Any, bucket: str, upload: str, parts: list[dict[str, Any]], **given: Any) -> Any:
    return client.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}, **given
    )


def multipart_etag(*bodies: bytes) -> str:
    joined = b"".join(hashlib.md5(body, usedforsecurity=False).digest() for body in bodies)
    return f'"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(bodies)}"'


def test_whole_life(store: InProcessStore, client: Any, bucket: str) -> None:
    bodies = [content(PART), content(PART + 1, 1), content(100, 2)]
    upload = begin(client, bucket, ContentType="a/b", Metadata={"m": "1"}, StorageClass="STANDARD_IA")
    listed = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(each["Key"], each["UploadId"], each["StorageClass"]) for each in listed] == [("k", upload, "STANDARD_IA")]
    parts = [send(client, bucket, upload, number, body) for number, body in zip((1, 4, 9), bodies, strict=True)]
    seen = client.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert [(each["PartNumber"], each["Size"], each["ETag"]) for each in seen["Parts"]] == [
        (part["PartNumber"], len(body), part["ETag"]) for part, body in zip(parts, bodies, strict=True)
    ]
    with refused("NoSuchKey", 404):
        client.get_object(Bucket=bucket, Key="k")
    answer = complete(client, bucket, upload, parts)
    assert answer["ETag"] == multipart_etag(*bodies)
    assert answer["Location"] == f"{store.url}/{bucket}/k"
    read = client.get_object(Bucket=bucket, Key="k")
    assert read["Body"].read() == b"".join(bodies)
    assert (read["ETag"], read["ContentType"], read["Metadata"]) == (answer["ETag"], "a/b", {"m": "1"})
    assert read["StorageClass"] == "STANDARD_IA"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    with refused("NoSuchUpload", 404):
        client.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_ranges_across_parts(client: Any, bucket: str) -> None:
    bodies = [content(PART, 1), content(PART, 2), content(50, 3)]
    upload = begin(client, bucket)
    complete(client, bucket, upload, [send(client, bucket, upload, n, body) for n, body in enumerate(bodies, 1)])
    whole = b"".join(bodies)
    for first, last in [(PART - 1, PART), (PART - 100, 2 * PART + 10), (2 * PART, 2 * PART + 49), (0, 2 * PART)]:
        read = client.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert read["Body"].read() == whole[first : last + 1]


def test_part_numbers_of_reads(client: Any, bucket: str) -> None:
    bodies = [content(PART, 1), content(70, 2)]
    upload = begin(client, bucket)
    numbers = (3, 7)
    parts = [send(client, bucket, upload, n, body) for n, body in zip(numbers, bodies, strict=True)]
    complete(client, bucket, upload, parts)
    for number, body in zip(numbers, bodies, strict=True):
        read = client.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (read["Body"].read(), read["PartsCount"]) == (body, 2)
        assert read["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert client.head_object(Bucket=bucket, Key="k", PartNumber=number)["ContentLength"] == len(body)
    with refused("InvalidPart", 400):
        client.get_object(Bucket=bucket, Key="k", PartNumber=4)
    with refused("InvalidRequest", 400):
        client.get_object(Bucket=bucket, Key="k", PartNumber=3, Range="bytes=0-1")
    client.put_object(Bucket=bucket, Key="single", Body=b"hello")
    assert client.get_object(Bucket=bucket, Key="single", PartNumber=1)["Body"].read() == b"hello"
    with refused("InvalidPart", 400):
        client.get_object(Bucket=bucket, Key="single", PartNumber=2)


def test_a_part_sent_again_replaces_the_first(store: InProcessStore, client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    first = send(client, bucket, upload, 1, content(51_111, 1))
    second = send(client, bucket, upload, 1, content(60_000, 2))
    with refused("InvalidPart", 400):
        complete(client, bucket, upload, [first])
    complete(client, bucket, upload, [first, second])
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == content(60_000, 2)
    assert store.rows("SELECT count(*) FROM blob WHERE refs > 0 AND size = 51111") == [(0,)]


def test_parts_left_out_are_released(store: InProcessStore, client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    parts = [send(client, bucket, upload, n, content(PART + 777 + n)) for n in (1, 2, 3)]
    complete(client, bucket, upload, [parts[0], parts[2]])
    sizes = store.rows("SELECT size FROM blob WHERE refs > 0 AND size BETWEEN ? AND ?", PART + 778, PART + 780)
    assert sorted(sizes) == [(PART + 778,), (PART + 780,)]
    assert client.head_object(Bucket=bucket, Key="k")["ContentLength"] == 2 * PART + 2 * 779


def test_lists_that_are_refused(client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    small, last = (send(client, bucket, upload, n, content(1000 + n)) for n in (1, 2))
    with refused("EntityTooSmall", 400):
        complete(client, bucket, upload, [small, last])
    with refused("InvalidPartOrder", 400):
        complete(client, bucket, upload, [last, small])
    with refused("InvalidPart", 400):
        complete(client, bucket, upload, [{"PartNumber": 5, "ETag": last["ETag"]}])
    with refused("InvalidPart", 400):
        complete(client, bucket, upload, [{"PartNumber": 2, "ETag": small["ETag"]}])
    with refused("MalformedXML", 400):
        complete(client, bucket, upload, [])
    with refused("InvalidRequest", 400):
        complete(client, bucket, upload, [last], MpuObjectSize=7)
    complete(client, bucket, upload, [last], MpuObjectSize=1002)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == content(1002)


def test_uploads_that_are_none(client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    for wrong in ("7fffffffffffffff", "nonsense", "0"):
        with refused("NoSuchUpload", 404):
            send(client, bucket, wrong, 1, b"x")
        with refused("NoSuchUpload", 404):
            client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=wrong)
        with refused("NoSuchUpload", 404):
            complete(client, bucket, wrong, [{"PartNumber": 1, "ETag": "x"}])
    with refused("NoSuchUpload", 404):
        client.list_parts(Bucket=bucket, Key="another", UploadId=upload)
    for number in (0, 10_001):
        with refused("InvalidArgument", 400):
            send(client, bucket, upload, number, b"x")


def test_abort_ends_it_for_good(store: InProcessStore, client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    part = send(client, bucket, upload, 1, content(33_333))
    assert store.rows("SELECT refs FROM blob WHERE size = 33333") == [(1,)]
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with refused("NoSuchUpload", 404):
        send(client, bucket, upload, 2, b"x")
    with refused("NoSuchUpload", 404):
        complete(client, bucket, upload, [part])
    with refused("NoSuchUpload", 404):
        client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    store.step(lambda coordinator: coordinator.upload_sweep())
    assert store.rows("SELECT refs FROM blob WHERE size = 33333 AND refs > 0") == []
    assert store.rows("SELECT id FROM upload WHERE id = ?", int(upload, 16)) == []


def test_the_same_completion_again_gets_the_same_answer(client: Any, bucket: str) -> None:
    upload = begin(client, bucket, ChecksumAlgorithm="CRC32")
    answer = client.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"hello", ChecksumAlgorithm="CRC32"
    )
    part = {"PartNumber": 1, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]}
    first = complete(client, bucket, upload, [part])
    client.put_object(Bucket=bucket, Key="k", Body=b"newer")
    again = complete(client, bucket, upload, [part])
    for name in ("ETag", "ChecksumCRC32", "ChecksumType", "Location"):
        assert again[name] == first[name]
    assert again["ResponseMetadata"]["HTTPHeaders"][CID_HEADER] == first["ResponseMetadata"]["HTTPHeaders"][CID_HEADER]
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"
    with refused("NoSuchUpload", 404):
        complete(client, bucket, upload, [part | {"ETag": '"other"'}])


def test_a_remembered_answer_is_swept_after_a_day(store: InProcessStore, client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    part = send(client, bucket, upload, 1, b"hello")
    complete(client, bucket, upload, [part])
    store.step(lambda coordinator: coordinator.upload_sweep(), ahead_seconds=23 * 3600)
    complete(client, bucket, upload, [part])
    store.step(lambda coordinator: coordinator.upload_sweep(), ahead_seconds=25 * 3600)
    with refused("NoSuchUpload", 404):
        complete(client, bucket, upload, [part])
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


def test_of_completions_at_once_all_get_one_answer(client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    parts = [send(client, bucket, upload, 1, content(PART)), send(client, bucket, upload, 2, b"end")]
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            outcomes.append(complete(client, bucket, upload, parts)["ETag"])
        except client.exceptions.ClientError as refusal:
            outcomes.append(refusal.response["Error"]["Code"])

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [multipart_etag(content(PART), b"end")] * 6
    assert client.head_object(Bucket=bucket, Key="k")["ContentLength"] == PART + 3


def test_conditions_of_the_completion(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    upload = begin(client, bucket)
    part = send(client, bucket, upload, 1, content(30_000))
    with refused("PreconditionFailed", 412):
        complete(client, bucket, upload, [part], IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        complete(client, bucket, upload, [part], IfMatch='"other"')
    etag = client.head_object(Bucket=bucket, Key="k")["ETag"]
    complete(client, bucket, upload, [part], IfMatch=etag)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == content(30_000)


def test_pages_of_uploads_and_parts(client: Any, bucket: str) -> None:
    begun = sorted((key, begin(client, bucket, key)) for key in ("a", "b/1", "b/2", "c", "a"))
    seen: list[tuple[str, str]] = []
    markers: dict[str, str] = {}
    while True:
        page = client.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        seen += [(each["Key"], each["UploadId"]) for each in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert seen == begun
    grouped = client.list_multipart_uploads(Bucket=bucket, Delimiter="/", Prefix="b")
    assert [each["Prefix"] for each in grouped["CommonPrefixes"]] == ["b/"]
    assert "Uploads" not in grouped
    upload = begin(client, bucket)
    for number in range(1, 8):
        send(client, bucket, upload, number, b"x")
    first = client.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=3)
    assert ([each["PartNumber"] for each in first["Parts"]], first["IsTruncated"]) == ([1, 2, 3], True)
    rest = client.list_parts(Bucket=bucket, Key="k", UploadId=upload, PartNumberMarker=first["NextPartNumberMarker"])
    assert ([each["PartNumber"] for each in rest["Parts"]], rest["IsTruncated"]) == ([4, 5, 6, 7], False)


def test_attributes_of_parts_come_in_pages(client: Any, bucket: str) -> None:
    upload = begin(client, bucket)
    bodies = [content(PART, n) for n in (1, 2)] + [content(9, 3)]
    complete(client, bucket, upload, [send(client, bucket, upload, n, body) for n, body in enumerate(bodies, 1)])
    wanted = ["ETag", "ObjectParts", "ObjectSize", "StorageClass", "Checksum"]
    found = client.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted, MaxParts=2)
    parts = found["ObjectParts"]
    assert (found["ETag"], found["ObjectSize"]) == (multipart_etag(*bodies).strip('"'), 2 * PART + 9)
    assert (parts["TotalPartsCount"], parts["IsTruncated"], parts["NextPartNumberMarker"]) == (3, True, 2)
    assert [(each["PartNumber"], each["Size"]) for each in parts["Parts"]] == [(1, PART), (2, PART)]
    rest = client.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], PartNumberMarker=2)
    assert [(each["PartNumber"], each["Size"]) for each in rest["ObjectParts"]["Parts"]] == [(3, 9)]
    client.put_object(Bucket=bucket, Key="single", Body=content(MIB))
    single = client.get_object_attributes(Bucket=bucket, Key="single", ObjectAttributes=["ObjectParts", "ObjectSize"])
    assert (single.get("ObjectParts"), single["ObjectSize"]) == (None, MIB)
