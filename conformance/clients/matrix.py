"""What came of every client, as a table for people: docs/clients.md is made by this and by nobody's hand."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from conformance.clients.installed import LIBRARIES
from conformance.clients.programs import BIN

SCHEMES = ("http", "https")
_MARKS = {"passed": "yes", "failed": "**no**", "skipped": "not run"}


class Row(TypedDict):
    client: str
    version: str
    what: str
    outcomes: dict[str, str]


_TREE = "a tree of files with odd names, a big file in parts, SHA-256 of everything"
# The first word of a test's name, or of its parameter, says whose row it belongs to.
_PROGRAMS = {
    "aws-cli": ("aws", "--version", _TREE),
    "boto3": ("", "", f"{_TREE}; streams with a trailing checksum"),
    "rclone": ("rclone", "version", f"{_TREE}; sync by checksum, server-side copy, `test info`"),
    "s5cmd": ("s5cmd", "version", _TREE),
    "s3cmd": ("s3cmd", "--version", _TREE),
    "restic": ("restic", "version", "init, backup, check of all data, restore, forget and prune"),
    "s3fs": ("s3fs", "--version", "mounted: write, patch, chmod, rename, remove (FUSE)"),
    "terraform": ("terraform", "version", "S3 backend with lock file: apply, a held lock, workspaces, destroy"),
    "docker": ("docker-registry", "--version", "registry: a blob pushed in pieces, part copies, redirected pull"),
}


def collect(outcomes: Sequence[tuple[str, str]], folder: Path) -> list[Row]:
    rows: dict[str, Row] = {}
    for name, (program, flag, what) in _PROGRAMS.items():
        rows[name] = Row(client=name, version=_version(name, program, flag), what=what, outcomes={})
    for library in LIBRARIES:
        version = library.installed_version(folder)
        rows[library.name] = Row(client=library.name, version=version, what=library.what, outcomes={})
    for test, outcome in outcomes:
        whose = _row_of(test, rows)
        scheme = next((each for each in reversed(SCHEMES) if re.search(rf"[\[-]{each}\b", test)), None)
        if whose is not None and scheme is not None:
            kept = rows[whose]["outcomes"]
            kept[scheme] = _worse(kept.get(scheme), outcome)
    return list(rows.values())


def page(rows: Sequence[Row]) -> str:
    lines = [
        "# Clients",
        "",
        "Each of these did what its users do against a store started by `cyxcloud up`, over HTTP and over HTTPS. The",
        "page is written by `make clients`.",
        "",
        "| client | version | what it did | HTTP | HTTPS |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        marks = [_MARKS[row["outcomes"].get(scheme, "skipped")] for scheme in SCHEMES]
        lines.append(f"| {row['client']} | {row['version']} | {row['what']} | {' | '.join(marks)} |")
    return "\n".join([*lines, ""])


def _row_of(test: str, rows: dict[str, Row]) -> str | None:
    parameters = test.partition("[")[2].rstrip("]")
    for name in rows:
        if parameters.endswith(f"-{name}") or parameters.startswith(f"{name}-"):
            return name
    first = test.removeprefix("test_").partition("_")[0]
    return first if first in rows else None


def _worse(one: str | None, other: str) -> str:
    order = ("passed", "skipped", "failed")
    return other if one is None else max(one, other, key=order.index)


def _version(name: str, program: str, flag: str) -> str:
    if name == "boto3":
        import boto3

        return str(boto3.__version__)
    path = shutil.which(program, path=str(BIN)) or shutil.which(program)
    if path is None:
        return ""
    said = subprocess.run([path, flag], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else ""
