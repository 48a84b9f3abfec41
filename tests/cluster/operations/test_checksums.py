"""Checksums beside the ETag: of every kind, in header and trailer, of objects, parts and whole uploads."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest
from awscrt import checksums as crt

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, UNSIGNED_TRAILER, content, raw, refused, trailing

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
CRCS = {"CRC32": (crt.crc32, 4), "CRC32C": (crt.crc32c, 4), "CRC64NVME": (crt.crc64nvme, 8)}
SIZES = [0, 100, 40_000]


def digest(algorithm: str, body: bytes) -> bytes:
    if algorithm in CRCS:
        function, size = CRCS[algorithm]
        return int(function(body)).to_bytes(size, "big")
    return hashlib.new(algorithm.lower(), body, usedforsecurity=False).digest()


def checksum(algorithm: str, body: bytes) -> str:
    return b64encode(digest(algorithm, body)).decode()


def composite(algorithm: str, *bodies: bytes) -> str:
    joined = b"".join(digest(algorithm, body) for body in bodies)
    return f"{checksum(algorithm, joined)}-{len(bodies)}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_a_header(client: Any, bucket: str, algorithm: str, size: int) -> None:
    body, name = content(size), f"Checksum{algorithm}"
    right = checksum(algorithm, body)
    answer = client.put_object(Bucket=bucket, Key="k", Body=body, **{name: right})
    assert (answer[name], answer["ChecksumType"]) == (right, "FULL_OBJECT")
    for wrong in (checksum(algorithm, b"other"), "bad", ""):
        with refused("BadDigest", 400):
            client.put_object(Bucket=bucket, Key="k", Body=content(size, 1), **{name: wrong})
    read = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (read["Body"].read(), read[name], read["ChecksumType"]) == (body, right, "FULL_OBJECT")
    found = client.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert found["Checksum"] == {name: right, "ChecksumType": "FULL_OBJECT"}


def test_is_shown_only_when_asked_for_and_of_the_whole(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="CRC32")
    assert "ChecksumCRC32" not in client.head_object(Bucket=bucket, Key="k")
    head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", Range="bytes=0-1")
    assert "ChecksumCRC32" not in head


@pytest.mark.parametrize("size", [*SIZES, PART])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_a_trailer(store: InProcessStore, client: Any, bucket: str, algorithm: str, size: int) -> None:
    body, name = content(size), f"x-amz-checksum-{algorithm.lower()}"
    path = f"/{bucket}/k"
    framed, headers = trailing(body, name, checksum(algorithm, body))
    answer = raw(store, "PUT", path, framed, headers, payload=UNSIGNED_TRAILER)
    assert (answer.status, answer.headers[name]) == (200, checksum(algorithm, body))
    framed, headers = trailing(content(size, 1), name, checksum(algorithm, b"other"))
    refusal = raw(store, "PUT", path, framed, headers, payload=UNSIGNED_TRAILER)
    assert (refusal.status, refusal.code) == (400, "BadDigest")
    read = client.get_object(Bucket=bucket, Key="k")
    assert (read["Body"].read(), "ContentEncoding" in read) == (body, False)


def test_more_than_one_is_refused(client: Any, bucket: str) -> None:
    both = {"ChecksumCRC32": checksum("CRC32", b"x"), "ChecksumSHA1": checksum("SHA1", b"x")}
    with refused("InvalidRequest", 400):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", **both)


def test_content_md5(client: Any, bucket: str) -> None:
    right = b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", ContentMD5=right)
    with refused("BadDigest", 400):
        client.put_object(Bucket=bucket, Key="k", Body=b"other", ContentMD5=right)
    with refused("InvalidDigest", 400):
        client.put_object(Bucket=bucket, Key="k", Body=b"other", ContentMD5="x")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [(algorithm, "COMPOSITE") for algorithm in ALGORITHMS if algorithm != "CRC64NVME"]
    + [(algorithm, "FULL_OBJECT") for algorithm in CRCS],
)
def test_of_an_upload(client: Any, bucket: str, algorithm: str, kind: str) -> None:
    bodies, name = [content(PART, 1), content(70_000, 2)], f"Checksum{algorithm}"
    begun = client.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == (algorithm, kind)
    given = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    parts = []
    for number, body in enumerate(bodies, 1):
        own = {name: checksum(algorithm, body)}
        part = client.upload_part(PartNumber=number, Body=body, **own, **given)
        parts.append({"PartNumber": number, "ETag": part["ETag"], **own})
        assert part[name] == own[name]
    listed = client.list_parts(**given)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    assert [part[name] for part in listed["Parts"]] == [part[name] for part in parts]
    whole = composite(algorithm, *bodies) if kind == "COMPOSITE" else checksum(algorithm, b"".join(bodies))
    for wrong in ("bad", checksum(algorithm, b"other")):
        with refused("BadDigest", 400):
            client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **{name: wrong}, **given)
    with refused("InvalidPart", 400):
        wrong_part = parts[0] | {name: checksum(algorithm, b"other")}
        client.complete_multipart_upload(MultipartUpload={"Parts": [wrong_part, parts[1]]}, **given)
    answer = client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **{name: whole}, **given)
    assert (answer[name], answer["ChecksumType"]) == (whole, kind)
    head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (whole, kind)
    for number, body in enumerate(bodies, 1):
        read = client.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (read["Body"].read(), read[name]) == (body, checksum(algorithm, body))
    found = client.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectParts"])
    assert found["Checksum"] == {name: whole, "ChecksumType": kind}
    assert [part[name] for part in found["ObjectParts"]["Parts"]] == [part[name] for part in parts]


def test_a_part_without_its_own_gets_the_uploads(client: Any, bucket: str) -> None:
    quiet = client.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    given = {"Bucket": bucket, "Key": "k", "UploadId": quiet["UploadId"]}
    client.put_object(Bucket=bucket, Key="source", Body=content(50_000))
    copied = client.upload_part_copy(PartNumber=1, CopySource=f"{bucket}/source", **given)["CopyPartResult"]
    assert copied["ChecksumSHA256"] == checksum("SHA256", content(50_000))
    parts = [{"PartNumber": 1, "ETag": copied["ETag"]}]
    answer = client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **given)
    assert answer["ChecksumSHA256"] == composite("SHA256", content(50_000))


def test_what_does_not_go_together(client: Any, bucket: str) -> None:
    for algorithm, kind in [("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT")]:
        with refused("InvalidRequest", 400):
            client.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    begun = client.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA1")
    given = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"], "PartNumber": 1}
    with refused("InvalidRequest", 400):
        client.upload_part(Body=b"x", ChecksumAlgorithm="SHA256", **given)
    plain = client.create_multipart_upload(Bucket=bucket, Key="k")
    given = {"Bucket": bucket, "Key": "k", "UploadId": plain["UploadId"]}
    part = client.upload_part(PartNumber=1, Body=b"x", **given)
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with refused("InvalidRequest", 400):
        client.complete_multipart_upload(MultipartUpload=listed, ChecksumCRC32=checksum("CRC32", b"x"), **given)
