"""Each client carries a real tree and a big file to the store and back; both sides are compared by SHA-256.

The short form runs with every `make test`; the whole standard library and 1 GiB are marked long.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.clients.endpoint import Endpoint
from conformance.clients.programs import Boto3, Client
from conformance.clients.tree import MIB, digest, manifest, write_random


def carry_tree(client: Client, bucket: str, tree: Path, back: Path) -> None:
    client.make_bucket(bucket)
    client.upload(tree, f"{bucket}/tree/")
    expected = manifest(tree)
    listed = [key.removeprefix("tree/") for key in Boto3(client.endpoint).keys(bucket, "tree/")]
    assert listed == sorted(expected, key=str.encode)
    client.download(f"{bucket}/tree/", back)
    assert manifest(back) == expected


def carry_file(client: Client, bucket: str, size: int, folder: Path) -> None:
    client.make_bucket(bucket)
    file = write_random(folder / "big.bin", size)
    client.upload_file(file, f"{bucket}/big.bin")
    head = Boto3(client.endpoint).client().head_object(Bucket=bucket, Key="big.bin")
    assert head["ContentLength"] == size
    assert "-" in head["ETag"], "a big file goes up in parts"
    client.download_file(f"{bucket}/big.bin", folder / "back.bin")
    assert digest(folder / "back.bin") == digest(file)


def test_tree_round_trip(client: Client, bucket: str, small_tree: Path, tmp_path: Path) -> None:
    carry_tree(client, bucket, small_tree, tmp_path / "back")


def test_multipart_round_trip(client: Client, bucket: str, tmp_path: Path) -> None:
    carry_file(client, bucket, 70 * MIB + 12345, tmp_path)


@pytest.mark.long
def test_whole_standard_library_round_trip(client: Client, bucket: str, whole_tree: Path, tmp_path: Path) -> None:
    carry_tree(client, bucket, whole_tree, tmp_path / "back")


@pytest.mark.long
def test_gibibyte_round_trip(client: Client, bucket: str, tmp_path: Path) -> None:
    carry_file(client, bucket, 1024 * MIB, tmp_path)


def test_boto3_streams_with_a_trailer(endpoint: Endpoint, bucket: str, tmp_path: Path) -> None:
    """An unseekable-looking stream with a checksum: over HTTPS botocore sends aws-chunked with a trailer."""
    s3 = Boto3(endpoint).client()
    s3.create_bucket(Bucket=bucket)
    body = write_random(tmp_path / "stream.bin", 3 * MIB + 7)
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        with body.open("rb") as stream:
            put = s3.put_object(Bucket=bucket, Key=algorithm, Body=stream, ChecksumAlgorithm=algorithm)
        got = s3.get_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
        assert got["Body"].read() == body.read_bytes()
        assert "ContentEncoding" not in got
