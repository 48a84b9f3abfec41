"""What `cyxcloud cid` computes off-line from the bytes and the layout is what the store says of the object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import MIB, PART, content, raw

CHUNK = 4 * MIB


def named(client: Any, bucket: str, key: str = "k") -> tuple[str, str | None]:
    headers = client.head_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"]
    return headers["x-cyx-cid"], headers.get("x-cyx-layout")


def offline(folder: Path, body: bytes, layout: str | None) -> str:
    file = folder / "body"
    file.write_bytes(body)
    result = CliRunner().invoke(app, ["cid", str(file), *(["--layout", layout] if layout is not None else [])])
    assert result.exit_code == 0, result.output
    return result.output.strip()


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_of_a_single_put(client: Any, bucket: str, tmp_path: Path, size: int) -> None:
    body = content(size)
    answer = client.put_object(Bucket=bucket, Key="k", Body=body)
    cid, layout = named(client, bucket)
    assert (cid, layout) == (offline(tmp_path, body, None), None)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-cyx-cid"] == cid
    read = client.get_object(Bucket=bucket, Key="k")
    assert (read["Body"].read(), read["ResponseMetadata"]["HTTPHeaders"]["x-cyx-cid"]) == (body, cid)
    client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    assert named(client, bucket, "copy") == (cid, None)


@pytest.mark.parametrize("sizes", [[5], [PART, PART, 5], [PART, CHUNK + PART], [PART, 0], [0]])
def test_of_an_upload(store: InProcessStore, client: Any, bucket: str, tmp_path: Path, sizes: list[int]) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    given, parts, whole = {"Bucket": bucket, "Key": "k", "UploadId": upload}, [], b""
    for number, size in enumerate(sizes, 1):
        body = content(size, number)
        part = client.upload_part(PartNumber=number, Body=body, **given)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
        whole += body
    client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **given)
    check(store, client, bucket, tmp_path, whole, several=len(sizes) > 1)


def test_of_parts_copied_across_segments(store: InProcessStore, client: Any, bucket: str, tmp_path: Path) -> None:
    """Such a part has more segments than one, so the layout is not that of the parts."""
    test_of_an_upload(store, client, bucket, tmp_path, [PART, PART, 77])
    source = client.get_object(Bucket=bucket, Key="k")["Body"].read()
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    given = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    parts, whole = [], b""
    for number, (first, last) in enumerate([(PART - 3, 2 * PART + 5), (PART - 1, PART)], 1):
        part = client.upload_part_copy(
            PartNumber=number, CopySource=f"{bucket}/k", CopySourceRange=f"bytes={first}-{last}", **given
        )["CopyPartResult"]
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
        whole += source[first : last + 1]
    client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **given)
    assert named(client, bucket)[1] == f"3,{PART},6,1*2"
    check(store, client, bucket, tmp_path, whole, several=True)
    for number, size in ((1, PART + 9), (2, 2)):
        assert client.head_object(Bucket=bucket, Key="k", PartNumber=number)["ContentLength"] == size


def test_of_copies_of_an_upload(store: InProcessStore, client: Any, bucket: str, tmp_path: Path) -> None:
    test_of_an_upload(store, client, bucket, tmp_path, [PART, 9])
    original = named(client, bucket)
    client.copy_object(Bucket=bucket, Key="same", CopySource=f"{bucket}/k")
    client.copy_object(Bucket=bucket, Key="summed", CopySource=f"{bucket}/k", ChecksumAlgorithm="SHA256")
    assert named(client, bucket, "same") == named(client, bucket, "summed") == original


def check(store: InProcessStore, client: Any, bucket: str, folder: Path, whole: bytes, *, several: bool) -> None:
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == whole
    cid, layout = named(client, bucket)
    assert (layout is not None) == several
    assert offline(folder, whole, layout) == cid
    answer = raw(store, "GET", f"/-/layout/{cid}")
    assert answer.status == 200
    if layout is not None:
        assert layout in answer.body.decode()
    assert raw(store, "GET", f"/-/layout/{cid}", signed=False).status in (401, 403, 404)
