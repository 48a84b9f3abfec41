"""Programs with habits of their own: backups, synchronisation, file systems, locks, registries."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.response import addinfourl

import pytest

from conformance.clients.endpoint import Endpoint
from conformance.clients.installed import NotInstalled, call, program
from conformance.clients.programs import Boto3, Rclone
from conformance.clients.tree import manifest

WAIT_SECONDS = 30


def needs(name: str) -> str:
    try:
        return program(name)
    except NotInstalled as missing:
        pytest.skip(str(missing))


def test_restic_backup_restore_prune(endpoint: Endpoint, bucket: str, small_tree: Path, tmp_path: Path) -> None:
    restic = needs("restic")
    environment = endpoint.environment() | {
        "RESTIC_REPOSITORY": f"s3:{endpoint.url}/{bucket}",
        "RESTIC_PASSWORD": "conformance",
        "HOME": str(tmp_path),
    }
    trust = ["--cacert", str(endpoint.ca)] if endpoint.ca else []

    def run(*arguments: str, cwd: Path | None = None) -> str:
        return call([restic, *trust, "--no-cache", *arguments], environment, cwd=cwd)

    run("init")
    run("backup", ".", cwd=small_tree)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "file").write_bytes(os.urandom(3 << 20))
    run("backup", ".", cwd=tmp_path / "more")
    run("check", "--read-data")
    first, second = json.loads(run("snapshots", "--json"))
    run("restore", first["id"], "--target", str(tmp_path / "back"))
    assert manifest(tmp_path / "back") == manifest(small_tree)
    run("forget", second["id"], "--prune")
    run("check", "--read-data")
    assert len(json.loads(run("snapshots", "--json"))) == 1


def test_rclone_syncs_by_checksum_and_copies_on_the_server(
    endpoint: Endpoint, bucket: str, small_tree: Path, tmp_path: Path
) -> None:
    rclone = Rclone(endpoint)
    rclone.make_bucket(bucket)
    rclone.run("sync", "--checksum", str(small_tree), f"cyx:{bucket}/a")
    said = rclone.run("sync", "--checksum", "--stats-log-level", "NOTICE", "-v", str(small_tree), f"cyx:{bucket}/a")
    assert "Copied" not in said, "nothing has changed, so nothing is sent again"
    rclone.run("sync", "--checksum", f"cyx:{bucket}/a", f"cyx:{bucket}/b")
    rclone.run("check", "--download", f"cyx:{bucket}/a", f"cyx:{bucket}/b")
    rclone.run("touch", f"cyx:{bucket}/b/touched")
    rclone.run("copy", f"cyx:{bucket}/b", str(tmp_path / "back"))
    assert (tmp_path / "back" / "touched").read_bytes() == b""
    rclone.run("purge", f"cyx:{bucket}/b")
    assert list(Boto3(endpoint).keys(bucket, "b/")) == []


def test_rclone_test_info(endpoint: Endpoint, bucket: str) -> None:
    """What rclone finds out about names that a store can hold."""
    rclone = Rclone(endpoint)
    rclone.make_bucket(bucket)
    found = rclone.run("test", "info", "--check-length", "--check-streaming", "--check-base32768", f"cyx:{bucket}/info")
    assert "canStream = true" in found
    lengths = [int(each) for each in re.findall(r"maxFileLength = (\d+) // for 1 byte", found)]
    assert lengths, found
    assert lengths[0] + len("info/rclone-test-info-12345678/") >= 1020, "a key has 1,024 bytes"


def test_s3fs_mount(endpoint: Endpoint, bucket: str, tmp_path: Path) -> None:
    s3fs = needs("s3fs")
    Boto3(endpoint).make_bucket(bucket)
    folder = tmp_path / "mounted"
    folder.mkdir()
    options = f"url={endpoint.url},use_path_request_style,multipart_size=5,enable_noobj_cache"
    environment = endpoint.environment() | {
        "AWSACCESSKEYID": endpoint.access_key,
        "AWSSECRETACCESSKEY": endpoint.secret_key,
    }
    if endpoint.ca:
        environment["CURL_CA_BUNDLE"] = str(endpoint.ca)
    mounted = subprocess.run(
        [s3fs, bucket, str(folder), "-o", options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if mounted.returncode and "fuse" in mounted.stderr.lower():
        pytest.skip(f"FUSE cannot be used here: {mounted.stderr.strip()[-200:]}")
    assert mounted.returncode == 0, mounted.stderr
    deadline = time.monotonic() + WAIT_SECONDS
    while not os.path.ismount(folder):
        assert time.monotonic() < deadline, "s3fs did not mount"
        time.sleep(0.1)
    try:
        _use_folder(folder)
    finally:
        subprocess.run(["fusermount", "-u", str(folder)], check=False, capture_output=True)
    assert sorted(Boto3(endpoint).keys(bucket, "")) == ["dir/", "dir/renamed"]


def _use_folder(folder: Path) -> None:
    body = os.urandom(12 << 20)
    (folder / "dir").mkdir()
    (folder / "dir" / "file").write_bytes(body)
    (folder / "dir" / "file").chmod(0o640)
    assert (folder / "dir" / "file").stat().st_mode & 0o777 == 0o640
    with (folder / "dir" / "file").open("r+b") as file:
        file.seek(1000)
        file.write(b"patched")
    (folder / "dir" / "file").rename(folder / "dir" / "renamed")
    expected = body[:1000] + b"patched" + body[1007:]
    assert (folder / "dir" / "renamed").read_bytes() == expected
    (folder / "gone").write_bytes(b"x")
    (folder / "gone").unlink()
    assert sorted(path.name for path in folder.iterdir()) == ["dir"]


def test_terraform_state_and_lock(endpoint: Endpoint, bucket: str, tmp_path: Path) -> None:
    """The S3 backend with its lock file: two plans at once, one of them refused, the lock gone afterwards."""
    terraform = needs("terraform")
    s3 = Boto3(endpoint).client()
    s3.create_bucket(Bucket=bucket)
    flags = "skip_credentials_validation = true\n skip_requesting_account_id = true\n skip_metadata_api_check = true"
    (tmp_path / "main.tf").write_text(
        f"""
        terraform {{
          backend "s3" {{
            bucket = "{bucket}"
            key = "state/terraform.tfstate"
            region = "us-east-1"
            endpoints = {{ s3 = "{endpoint.url}" }}
            use_path_style = true
            use_lockfile = true
            encrypt = true
            {flags}
            skip_region_validation = true
          }}
        }}
        resource "terraform_data" "one" {{ input = "conformance" }}
        """
    )
    environment = endpoint.environment() | {"HOME": str(tmp_path), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    del environment["AWS_ENDPOINT_URL"]

    def run(*arguments: str) -> str:
        return call([terraform, *arguments, "-no-color"], environment, cwd=tmp_path)

    run("init", "-input=false")
    run("apply", "-auto-approve", "-input=false")
    assert "conformance" in run("show")
    s3.put_object(Bucket=bucket, Key="state/terraform.tfstate.tflock", Body=b'{"ID":"another"}', IfNoneMatch="*")
    with pytest.raises(AssertionError, match="Error acquiring the state lock"):
        run("apply", "-auto-approve", "-input=false", "-lock-timeout=0s")
    s3.delete_object(Bucket=bucket, Key="state/terraform.tfstate.tflock")
    run("workspace", "new", "second")
    assert "second" in run("workspace", "list")
    run("workspace", "select", "default")
    run("destroy", "-auto-approve", "-input=false")
    assert [key for key in Boto3(endpoint).keys(bucket, "") if key.endswith(".tflock")] == []


def test_docker_registry_push_and_pull(endpoint: Endpoint, bucket: str, tmp_path: Path) -> None:
    """Docker's registry on the store: a blob uploaded in pieces becomes parts and part copies; read back by digest."""
    registry = needs("docker-registry")
    Boto3(endpoint).make_bucket(bucket)
    with _registry(registry, endpoint, bucket, tmp_path) as url:
        body = os.urandom(25 << 20)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        trust = ssl.create_default_context(cafile=endpoint.ca) if endpoint.ca else None
        location = _ask("POST", f"{url}/v2/conformance/blobs/uploads/").headers["Location"]
        for at in range(0, len(body), 10 << 20):
            piece = body[at : at + (10 << 20)]
            location = _ask("PATCH", location, piece).headers["Location"]
        joined = "&" if "?" in location else "?"
        assert _ask("PUT", f"{location}{joined}digest={digest}", b"").status == 201
        assert _ask("GET", f"{url}/v2/conformance/blobs/{digest}", trust=trust).read() == body
    assert Boto3(endpoint).client().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@contextlib.contextmanager
def _registry(registry: str, endpoint: Endpoint, bucket: str, folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "version": "0.1",
        "http": {"addr": f"127.0.0.1:{port}"},
        "storage": {
            "s3": {
                "accesskey": endpoint.access_key,
                "secretkey": endpoint.secret_key,
                "region": "us-east-1",
                "regionendpoint": endpoint.url,
                "bucket": bucket,
                "forcepathstyle": True,
                "chunksize": 5 << 20,
                "multipartcopythresholdsize": 10 << 20,
                "multipartcopychunksize": 6 << 20,
            },
            "redirect": {"disable": False},
        },
    }
    (folder / "registry.yml").write_text(json.dumps(config))
    environment = endpoint.environment()
    environment.pop("AWS_CA_BUNDLE", None)  # its SDK cannot take one, but Go's own SSL_CERT_FILE works
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [registry, "serve", str(folder / "registry.yml")], env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                _ask("GET", f"{url}/v2/")
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline, (folder / "registry.log").read_text()[-3000:]
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def _ask(method: str, url: str, body: bytes | None = None, *, trust: ssl.SSLContext | None = None) -> addinfourl:
    """Follows a redirect to a presigned URL, as the registry's clients do."""
    request = urllib.request.Request(url, data=body, method=method)
    if body:
        request.add_header("Content-Type", "application/octet-stream")
    answer: addinfourl = urllib.request.urlopen(request, timeout=60, context=trust)
    return answer
