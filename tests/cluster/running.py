"""A store as a user starts it, for tests: `cyxcloud up` on a folder of its own, its processes, and what its disks hold."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.s3 import S3, Endpoint, Key

PROGRAM = Path(sys.executable).with_name("cyxcloud")
ROOT = Key("ROOTKEY", "root-secret")
START_SECONDS = 40.0
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, seconds: float = 30) -> T:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether the process still runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass(slots=True)
class Running:
    """`settings` are CYXCLOUD_... variables without the prefix."""

    data: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    more: tuple[Path, ...] = ()  # further --data folders

    def start(self) -> None:
        """Serve, and return when it does."""
        with self.output.open("wb") as output:
            self.process = process = subprocess.Popen(
                [str(PROGRAM), "up", *self.folders, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"],
                env=os.environ
                | {"CYXCLOUD_ROOT_ACCESS_KEY": ROOT.access, "CYXCLOUD_ROOT_SECRET_KEY": ROOT.secret}
                | {f"CYXCLOUD_{name.upper()}": str(value) for name, value in self.settings.items()},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        until(lambda: "Ready." in self.said() or process.poll() is not None, "ready", START_SECONDS)
        assert process.poll() is None, self.said()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(40) == 0, self.said()

    def kill(self) -> None:
        """SIGKILL to everything at once, as when the machine's power goes but its page cache stays."""
        if self.process is None:
            return
        children = [pid for role in ("gateway", "coordinator", "nodehost") for pid in self.pids(role)]
        for pid in (self.process.pid, *children):
            kill(pid)
        self.process.wait()
        until(lambda: not any(alive(pid) for pid in children), "all processes gone")

    @property
    def folders(self) -> list[str]:
        """The --data options."""
        return [text for folder in (self.data, *self.more) for text in ("--data", str(folder))]

    @property
    def output(self) -> Path:
        return self.data.with_name(f"{self.data.name}.out")

    def said(self) -> str:
        return self.output.read_text()

    # Processes

    def roles(self) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = json.loads((self.data / "run" / "roles.json").read_text())
        except FileNotFoundError:
            return []
        return rows

    def pids(self, role: str) -> list[int]:
        return [each["pid"] for each in self.roles() if each["role"] == role]

    @property
    def endpoint(self) -> Endpoint:
        url: str = next(each["endpoint"] for each in self.roles() if each["role"] == "supervisor")
        host, _, port = url.partition("//")[2].rpartition(":")
        return Endpoint(host, int(port))

    def s3(self, key: Key = ROOT) -> S3:
        return S3(self.endpoint, key)

    # What it has written down

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the metadata says; read beside the running store."""
        with closing(sqlite3.connect(f"file:{self.data}/meta/meta.db?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(statement, values).fetchall()

    def visible(self) -> Counter[tuple[Any, ...]]:
        """Every row that makes anything visible or keeps bytes alive. A refused request leaves these as they were."""
        kept = {
            "bucket": "SELECT * FROM bucket",
            "bucket_config": "SELECT * FROM bucket_config",
            "head": "SELECT * FROM head",
            "version": "SELECT * FROM version",
            "segment": "SELECT * FROM segment",
            "upload": "SELECT * FROM upload",
            "part": "SELECT * FROM part",
            "inline": "SELECT blob, refs FROM inline",
            "blob": "SELECT * FROM blob WHERE refs > 0",
        }
        found: Counter[tuple[Any, ...]] = Counter()
        for table, statement in kept.items():
            found.update((table, *row) for row in self.rows(statement))
        return found


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
