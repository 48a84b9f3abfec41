"""Notifications of a whole store whose coordinator is killed: nothing is lost between a change and its delivery."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from tests.cluster.conftest import running
from tests.cluster.operations.test_notifications import ARN, NAME, Receiver, receiving
from tests.cluster.running import PROGRAM, Running, kill, until

CONFIG = (
    f"<NotificationConfiguration><QueueConfiguration><Queue>{ARN}</Queue><Event>s3:ObjectCreated:*</Event>"
    "</QueueConfiguration></NotificationConfiguration>"
).encode()
ROUNDS, PUTS = 3, 20


def command(store: Running, *arguments: str) -> str:
    return subprocess.run(
        [str(PROGRAM), *arguments, "--data", str(store.data)], check=True, capture_output=True, text=True, timeout=30
    ).stdout


def keys_told(receiver: Receiver) -> list[str]:
    return [unquote_plus(key) for _, key in receiver.told()]


async def test_killed_coordinator_loses_no_notification(tmp_path: Path) -> None:
    wanted: list[str] = []
    with receiving() as receiver, running(tmp_path / "data", notifications__allow="127.0.0.1") as store:
        command(store, "webhook", "add", NAME, receiver.url, "--secret", "long-and-random")
        command(store, "webhook", "add", "inside", f"http://127.0.0.2:{receiver.port}/")
        command(store, "webhook", "test", NAME)
        assert receiver.messages.pop()["Event"] == "s3:TestEvent"
        with pytest.raises(subprocess.CalledProcessError) as refused:
            command(store, "webhook", "test", "inside")
        assert "notifications.allow" in refused.value.stderr
        async with store.s3() as s3:
            await s3.must("PUT", "/told")
            await s3.must("PUT", "/told", query=(("notification", ""),), body=CONFIG)
            for turn in range(ROUNDS):
                for n in range(PUTS):
                    key = f"{turn}/{n}"
                    await s3.must("PUT", f"/told/{key}", body=b"x")
                    wanted.append(key)
                    if n == PUTS // 2:
                        kill(until(lambda: store.pids("coordinator"), "a coordinator")[0])
        until(lambda: set(keys_told(receiver)) >= set(wanted), "all told", 60)
        until(lambda: not store.rows("SELECT 1 FROM delivery"), "the queue empty")
    assert set(keys_told(receiver)) == set(wanted)
