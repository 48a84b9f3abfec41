"""A stopped process that holds the write lock is found and ended; nobody else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.writerlock import STUCK_SECONDS, free_stuck_lock, holders

HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "writer.lock"
    path.touch()
    return path


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


def test_holder_is_known_and_a_free_lock_has_none(lock: Path, holder: subprocess.Popen[bytes]) -> None:
    assert holders(lock) == {holder.pid}
    assert holders(lock.with_name("other")) == set()


def test_stopped_holder_is_killed_once_its_time_is_over(lock: Path, holder: subprocess.Popen[bytes]) -> None:
    stop(holder)
    since = free_stuck_lock(lock, {}, 100.0, {holder.pid})
    since = free_stuck_lock(lock, since, 100.0 + STUCK_SECONDS - 0.1, {holder.pid})
    assert holder.poll() is None
    assert free_stuck_lock(lock, since, 100.0 + STUCK_SECONDS, {holder.pid}) == {}
    assert holder.wait(5) == -signal.SIGKILL
    assert holders(lock) == set()


def test_running_holder_is_left_alone(lock: Path, holder: subprocess.Popen[bytes]) -> None:
    assert free_stuck_lock(lock, {holder.pid: 0.0}, 1000.0, {holder.pid}) == {}
    assert holder.poll() is None


def test_stranger_is_left_alone(lock: Path, holder: subprocess.Popen[bytes]) -> None:
    stop(holder)
    assert free_stuck_lock(lock, {holder.pid: 0.0}, 1000.0, {os.getpid()}) == {}
    assert holder.poll() is None
