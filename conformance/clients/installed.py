"""Clients that `make clients` brings: how each is started, and whether it is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from conformance.clients.endpoint import Endpoint

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 280


class NotInstalled(Exception):
    """The text says what is missing."""


@dataclass(frozen=True, slots=True)
class Library:
    """A program of ours that exercises a client library; it is given the name of a bucket to make."""

    name: str
    what: str
    command: tuple[str, ...]
    version: tuple[str, ...]
    needs: str  # a path in the clients' folder

    def run(self, folder: Path, endpoint: Endpoint, bucket: str, scratch: Path) -> None:
        """Raises NotInstalled; a failure of the program is an AssertionError with what it said."""
        if not (folder / self.needs).exists():
            raise NotInstalled(f"{self.name} is not in {folder}: run `make clients`")
        call([*_in(self.command, folder), bucket], endpoint.environment() | self._trust(endpoint, scratch))

    def installed_version(self, folder: Path) -> str:
        if not (folder / self.needs).exists():
            return ""
        ended = subprocess.run(_in(self.version, folder), capture_output=True, text=True, check=False, timeout=60)
        return ended.stdout.strip()

    def _trust(self, endpoint: Endpoint, scratch: Path) -> dict[str, str]:
        """How each runtime is told of the test's CA, and a home of its own."""
        more = {"HOME": str(scratch)}
        if endpoint.ca is None:
            return more
        more["NODE_EXTRA_CA_CERTS"] = str(endpoint.ca)
        if self.name == "aws-sdk-java v2":
            more["JAVA_TOOL_OPTIONS"] = (
                f"-Djavax.net.ssl.trustStore={_trust_store(endpoint.ca, scratch)} "
                "-Djavax.net.ssl.trustStorePassword=changeit"
            )
        return more


def call(command: list[str], environment: dict[str, str], *, cwd: Path | None = None) -> str:
    ended = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert ended.returncode == 0, (
        f"{command} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}"
    )
    return ended.stdout


def program(name: str) -> str:
    """A program of the machine's; raises NotInstalled."""
    found = shutil.which(name)
    if found is None:
        raise NotInstalled(f"{name} is not installed: run `make clients`")
    return found


def _trust_store(ca: Path, scratch: Path) -> Path:
    store = scratch / "trust.p12"
    if not store.exists():
        command = [
            "keytool",
            "-importcert",
            "-noprompt",
            "-alias",
            "conformance",
            "-file",
            str(ca),
            "-keystore",
            str(store),
        ]
        call([*command, "-storetype", "PKCS12", "-storepass", "changeit"], dict(os.environ))
    return store


def _in(command: tuple[str, ...], folder: Path) -> list[str]:
    return [word.replace("CLIENTS/", f"{folder}/").replace("HERE/", f"{HERE}/") for word in command]


def _python(name: str, module: str, what: str, package: str) -> Library:
    asked = f"from importlib.metadata import version; print(version('{package}'))"
    command = ("CLIENTS/python/bin/python", f"HERE/python/{module}.py")
    return Library(name, what, command, ("CLIENTS/python/bin/python", "-c", asked), "python/bin/python")


LIBRARIES = (
    _python(
        "minio-py",
        "minio_py",
        "objects, parts of known and unknown size, ranges, presigned URLs, batch delete",
        "minio",
    ),
    _python("pyarrow", "pyarrow_s3", "Parquet and partitioned data sets, streams, copy, move", "pyarrow"),
    _python("pandas with s3fs", "pandas_s3fs", "CSV, Parquet, globs, appending by part copy", "s3fs"),
    _python("DuckDB", "duckdb_s3", "COPY to Parquet and CSV, partitions, globs, range reads", "duckdb"),
    _python("PyIceberg", "pyiceberg_sql", "SQL catalog: create, append, evolve, delete, history", "pyiceberg"),
    _python(
        "delta-rs", "delta_rs", "commits racing by conditional PUT, time travel (certificate not checked)", "deltalake"
    ),
    _python(
        "obstore",
        "obstore_s3",
        "conditional create and update, ranges, parts, copy (certificate not checked)",
        "obstore",
    ),
    _python("OpenDAL", "opendal_s3", "write, ranges, stat, list, copy, remove all", "opendal"),
    Library(
        "aws-sdk-js v3",
        "checksums, streams in parts, conditions, presigned URLs, pages, batch delete",
        ("node", "CLIENTS/js/round_trip.mjs"),
        ("node", "-p", "require('CLIENTS/js/node_modules/@aws-sdk/client-s3/package.json').version"),
        "js/node_modules/@aws-sdk/client-s3",
    ),
    Library(
        "aws-sdk-go v2",
        "managers for parts, conditions, presigned URLs, pages, batch delete",
        ("CLIENTS/go-round-trip",),
        ("sh", "-c", "grep -o 'service/s3 v[0-9.]*' HERE/go/go.mod | cut -d' ' -f2"),
        "go-round-trip",
    ),
    Library(
        "aws-sdk-java v2",
        "checksums, parts, ranges, conditions, presigned URLs, pages, batch delete",
        ("java", "-cp", "CLIENTS/java/*", "HERE/java/RoundTrip.java"),
        ("sh", "-c", "ls CLIENTS/java | sed -n 's/^s3-\\([0-9.]*\\).jar/\\1/p'"),
        "java",
    ),
)
