"""`cyxcloud up` as a user starts it: real processes on a small store, killed and ended in every way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from cli.home import Home
from cli.store import database_of
from cyxcloud.meta import sessions

PROGRAM = Path(sys.executable).with_name("cyxcloud")
SMALL = ("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--nodes", "5", "--profile", "2+2", "--workers", "2")
KEYS = {"CYXCLOUD_ROOT_ACCESS_KEY": "ROOTKEY", "CYXCLOUD_ROOT_SECRET_KEY": "root-secret"}


def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass(slots=True)
class Up:
    """One data folder and the instances started on it."""

    data: Path
    instances: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                [str(PROGRAM), "up", "--data", str(self.data), *(options or SMALL)],
                env=os.environ | KEYS,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.instances.append(process)
        return process

    def ready(self, *options: str) -> subprocess.Popen[bytes]:
        process = self.start(*options)
        until(lambda: "Ready." in self.said() or process.poll() is not None, "ready")
        assert process.poll() is None, self.said()
        return process

    @property
    def output(self) -> Path:
        return self.data.with_suffix(".out")

    def said(self) -> str:
        return self.output.read_text()

    def status(self) -> dict[str, Any]:
        told = subprocess.run(
            [str(PROGRAM), "status", "--json", "--data", str(self.data)], capture_output=True, check=True
        )
        value: dict[str, Any] = json.loads(told.stdout)
        return value

    def pids(self, role: str) -> list[int]:
        roles: list[dict[str, Any]] = json.loads((self.data / "run" / "roles.json").read_text())
        return [each["pid"] for each in roles if each["role"] == role]

    def s3(self) -> Any:
        endpoint = next(role["endpoint"] for role in self.status()["roles"] if role["role"] == "gateway")
        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="ROOTKEY",
            aws_secret_access_key="root-secret",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 10, "mode": "standard"}),
        )

    def open_sessions(self) -> set[int]:
        database = database_of(Home.of([self.data]))
        try:
            return {row.number for row in sessions.open_ones(database.reader()) if row.role == "gateway"}
        finally:
            database.close()

    def gateway_sessions(self) -> set[int]:
        return {int(path.read_text()) for path in (self.data / "run").glob("gateway-*.session")}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "data")
    yield made
    for process in made.instances:
        process.kill()
        process.wait()


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_store_serves_stops_on_ctrl_c_and_finds_everything_again(up: Up) -> None:
    process = up.ready()
    status = up.status()
    assert status["ready"]
    assert [role["role"] for role in status["roles"]] == [
        "supervisor",
        "nodehost",
        "coordinator",
        "gateway",
        "gateway",
    ]
    assert status["survives"] == {"nodes": 2, "disks": 0}
    assert "recovery code" in up.said()
    up.s3().create_bucket(Bucket="kept")
    up.s3().put_object(Bucket="kept", Key="big", Body=b"x" * 300_000)
    children = [role["pid"] for role in status["roles"][1:]]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0, up.said()
    assert not any(alive(pid) for pid in children)
    assert up.open_sessions() == set(), "a clean stop closes its sessions"
    assert up.status()["roles"] == []
    up.ready()
    assert "recovery code" not in up.said()
    assert up.s3().get_object(Bucket="kept", Key="big")["Body"].read() == b"x" * 300_000


def test_second_instance_is_refused(up: Up) -> None:
    up.ready()
    second = Up(up.data)
    process = second.start("--listen", "127.0.0.1:0")
    assert process.wait(10) == 3
    assert "is served by another cyxcloud" in second.said()
    assert up.status()["ready"]


@pytest.mark.parametrize("role", ["gateway", "coordinator", "nodehost"])
def test_killed_process_comes_back_alone(up: Up, role: str) -> None:
    up.ready()
    s3 = up.s3()
    s3.create_bucket(Bucket="kept")
    before, session = up.status()["roles"], up.gateway_sessions()
    victim = up.pids(role)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in up.pids(role) and len(up.pids(role)) == (2 if role == "gateway" else 1), "restart")
    until(lambda: up.status()["ready"] and len(up.gateway_sessions()) == 2, "ready again")
    after = up.status()["roles"]
    others = {each["pid"] for each in before} - {victim}
    assert others <= {each["pid"] for each in after}, "nobody else was restarted"
    s3.put_object(Bucket="kept", Key="after", Body=b"x" * 100_000)
    assert s3.get_object(Bucket="kept", Key="after")["Body"].read() == b"x" * 100_000
    if role == "gateway":
        lost = session - up.gateway_sessions()
        assert len(lost) == 1
        until(lambda: not lost & up.open_sessions(), "its session is closed")


def test_killed_supervisor_takes_its_processes_along(up: Up) -> None:
    process = up.ready()
    children = [role["pid"] for role in up.status()["roles"][1:]]
    lost = up.gateway_sessions()
    process.kill()
    until(lambda: not any(alive(pid) for pid in children), "children gone", 5)
    assert up.status()["roles"] == []
    up.ready()
    until(lambda: not lost & up.open_sessions(), "sessions of the killed instance are closed")
    assert up.status()["ready"]


def test_taken_port_is_refused_before_anything_starts(up: Up) -> None:
    up.ready()
    taken = next(role["endpoint"] for role in up.status()["roles"] if role["role"] == "gateway").partition("//")[2]
    second = Up(up.data.with_name("other"))
    process = second.start("--listen", taken, "--nodes", "3", "--profile", "2+1")
    try:
        assert process.wait(10) == 2
        assert f"listen: cannot serve on {taken}" in second.said()
    finally:
        process.kill()
