"""How each client is told to carry a folder or a file to a bucket and back: the options that its users would give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3
from boto3.s3.transfer import TransferConfig

from conformance.clients.endpoint import Endpoint

BIN = Path(sys.executable).parent
PART_MIB = 16
TIMEOUT_SECONDS = 3600


class Client(Protocol):
    """Places are BUCKET/KEY; a folder's place ends in a slash."""

    @property
    def endpoint(self) -> Endpoint: ...

    def make_bucket(self, bucket: str) -> None: ...
    def upload(self, folder: Path, place: str) -> None: ...
    def download(self, place: str, folder: Path) -> None: ...
    def upload_file(self, file: Path, place: str) -> None: ...
    def download_file(self, place: str, file: Path) -> None: ...


def run(endpoint: Endpoint, *command: str, **more: str) -> str:
    """One call of a program; its failure is the test's."""
    ended = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        env=endpoint.environment() | more,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, (
        f"{command} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}"
    )
    return ended.stdout + ended.stderr


@dataclass(frozen=True, slots=True)
class AwsCli:
    endpoint: Endpoint

    def make_bucket(self, bucket: str) -> None:
        run(self.endpoint, "aws", "s3", "mb", f"s3://{bucket}")

    def upload(self, folder: Path, place: str) -> None:
        self._copy("--recursive", str(folder), f"s3://{place}")

    def download(self, place: str, folder: Path) -> None:
        self._copy("--recursive", f"s3://{place}", str(folder))

    def upload_file(self, file: Path, place: str) -> None:
        self._copy(str(file), f"s3://{place}")

    def download_file(self, place: str, file: Path) -> None:
        self._copy(f"s3://{place}", str(file))

    def _copy(self, *arguments: str) -> None:
        run(self.endpoint, "aws", "s3", "cp", "--only-show-errors", *arguments)


@dataclass(frozen=True, slots=True)
class Boto3:
    endpoint: Endpoint

    def make_bucket(self, bucket: str) -> None:
        self.client().create_bucket(Bucket=bucket)

    def upload(self, folder: Path, place: str) -> None:
        bucket, _, prefix = place.partition("/")
        client = self.client()
        files = [path for path in folder.rglob("*") if path.is_file()]

        def send(path: Path) -> None:
            client.upload_file(str(path), bucket, prefix + path.relative_to(folder).as_posix(), Config=self._config())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, files))

    def download(self, place: str, folder: Path) -> None:
        bucket, _, prefix = place.partition("/")
        client = self.client()

        def fetch(key: str) -> None:
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, str(path), Config=self._config())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fetch, list(self.keys(bucket, prefix))))

    def upload_file(self, file: Path, place: str) -> None:
        bucket, _, key = place.partition("/")
        self.client().upload_file(str(file), bucket, key, Config=self._config())

    def download_file(self, place: str, file: Path) -> None:
        bucket, _, key = place.partition("/")
        self.client().download_file(bucket, key, str(file), Config=self._config())

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        for page in self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]

    def client(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint.url,
            aws_access_key_id=self.endpoint.access_key,
            aws_secret_access_key=self.endpoint.secret_key,
            region_name=self.endpoint.region,
            verify=str(self.endpoint.ca) if self.endpoint.ca else None,
        )

    @staticmethod
    def _config() -> TransferConfig:
        return TransferConfig(multipart_chunksize=PART_MIB << 20, multipart_threshold=PART_MIB << 20)


@dataclass(frozen=True, slots=True)
class Rclone:
    endpoint: Endpoint

    def make_bucket(self, bucket: str) -> None:
        self.run("mkdir", f"cyx:{bucket}")

    def upload(self, folder: Path, place: str) -> None:
        self.run("copy", str(folder), f"cyx:{place}")

    def download(self, place: str, folder: Path) -> None:
        self.run("copy", f"cyx:{place}", str(folder))

    def upload_file(self, file: Path, place: str) -> None:
        self.run("copyto", str(file), f"cyx:{place}")

    def download_file(self, place: str, file: Path) -> None:
        self.run("copyto", f"cyx:{place}", str(file))

    def run(self, *arguments: str) -> str:
        """The remote is configured by environment, provider Other: a store that needs no quirk of rclone's."""
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": self.endpoint.url,
            "ACCESS_KEY_ID": self.endpoint.access_key,
            "SECRET_ACCESS_KEY": self.endpoint.secret_key,
            "REGION": self.endpoint.region,
            "CHUNK_SIZE": f"{PART_MIB}Mi",
            "UPLOAD_CUTOFF": f"{PART_MIB}Mi",
        }
        more = {f"RCLONE_CONFIG_CYX_{name}": value for name, value in remote.items()} | {"RCLONE_CONFIG": "/notfound"}
        if self.endpoint.ca:
            more["RCLONE_CA_CERT"] = str(self.endpoint.ca)
        return run(self.endpoint, "rclone", "--retries", "1", "--transfers", "8", *arguments, **more)


@dataclass(frozen=True, slots=True)
class S5cmd:
    endpoint: Endpoint

    def make_bucket(self, bucket: str) -> None:
        self._run("mb", f"s3://{bucket}")

    def upload(self, folder: Path, place: str) -> None:
        self._run("cp", f"{folder}/", f"s3://{place}")

    def download(self, place: str, folder: Path) -> None:
        self._run("cp", f"s3://{place}*", f"{folder}/")

    def upload_file(self, file: Path, place: str) -> None:
        self._run("cp", "-p", str(PART_MIB), str(file), f"s3://{place}")

    def download_file(self, place: str, file: Path) -> None:
        self._run("cp", "-p", str(PART_MIB), f"s3://{place}", str(file))

    def _run(self, *arguments: str) -> None:
        run(self.endpoint, "s5cmd", "--endpoint-url", self.endpoint.url, "--retry-count", "1", *arguments)


@dataclass(frozen=True, slots=True)
class S3cmd:
    endpoint: Endpoint

    def make_bucket(self, bucket: str) -> None:
        self._run("mb", f"s3://{bucket}")

    def upload(self, folder: Path, place: str) -> None:
        self._run("put", "--recursive", f"{folder}/", f"s3://{place}")

    def download(self, place: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run("get", "--recursive", f"s3://{place}", f"{folder}/")

    def upload_file(self, file: Path, place: str) -> None:
        self._run("put", str(file), f"s3://{place}")

    def download_file(self, place: str, file: Path) -> None:
        self._run("get", f"s3://{place}", str(file))

    def _run(self, *arguments: str) -> None:
        options = [
            "--config=/dev/null",
            f"--access_key={self.endpoint.access_key}",
            f"--secret_key={self.endpoint.secret_key}",
            f"--host={self.endpoint.host}",
            f"--host-bucket={self.endpoint.host}",
            f"--region={self.endpoint.region}",
            f"--multipart-chunk-size-mb={PART_MIB}",
            "--ssl" if self.endpoint.tls else "--no-ssl",
            "--quiet",
        ]
        if self.endpoint.ca:
            options.append(f"--ca-certs={self.endpoint.ca}")
        run(self.endpoint, "s3cmd", *options, *arguments)


CLIENTS: dict[str, type[AwsCli | Boto3 | Rclone | S5cmd | S3cmd]] = {
    "aws-cli": AwsCli,
    "boto3": Boto3,
    "rclone": Rclone,
    "s5cmd": S5cmd,
    "s3cmd": S3cmd,
}
