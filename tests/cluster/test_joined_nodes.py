"""Nodes that join as their operators have them join: by the commands, as processes, over TLS."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nodefs.fleetfolder import CERTIFICATE, DENIED
from tests.cluster.conftest import running
from tests.cluster.fleet import AT_ONCE, Fleet
from tests.cluster.running import PROGRAM, Running, until

BODY = bytes(range(256)) * 1000


def cyxcloud(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROGRAM), *arguments], capture_output=True, text=True, timeout=60, check=False)


def told(*arguments: str) -> dict[str, Any]:
    done = cyxcloud(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@dataclass(slots=True)
class Provider:
    """Boxes of one fleet; `boxes` are the processes that run on them."""

    store: Running
    boxes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def root(self, name: str) -> Path:
        return self.store.data.with_name(name)

    def token(self, *options: str) -> dict[str, Any]:
        return told("node", "token", *self.store.folders, *options)

    def init(self, name: str, token: dict[str, Any], address: str) -> subprocess.CompletedProcess[str]:
        options = {"--root": str(self.root(name)), "--join": token["token"], "--fleet": token["fleet"], "--name": name}
        options |= {"--capacity": "10GB", "--listen": address, "--zone": "z", "--operator": name, "--region": "r"}
        return cyxcloud("node", "init", "--json", *(text for option in options.items() for text in option))

    def run(self, name: str) -> None:
        with self.output(name).open("wb") as output:
            command = [str(PROGRAM), "node", "run", "--root", str(self.root(name))]
            self.boxes[name] = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(lambda: "Ready." in self.said(name) or self.boxes[name].poll() is not None, f"{name} serves", 40)
        assert self.boxes[name].poll() is None, self.said(name)

    def output(self, name: str) -> Path:
        return self.store.data.with_name(f"{name}.out")

    def said(self, name: str) -> str:
        return self.output(name).read_text()

    def join(self, *numbers: int) -> None:
        for number in numbers:
            done = self.init(f"n{number}", self.token(), f"127.{number}.1.1:{7300 + number}")
            assert done.returncode == 0, done.stderr
            self.run(f"n{number}")
        names = {f"n{number}" for number in numbers}
        until(lambda: names <= {row["name"] for row in self.list() if row["state"] == "up"}, "all are up", 40)

    def list(self) -> list[dict[str, Any]]:
        done = cyxcloud("node", "list", "--json", *self.store.folders)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def node(self, name: str) -> dict[str, Any]:
        return next(row for row in self.list() if row["name"] == name)

    def end(self) -> None:
        for process in self.boxes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def provider(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Provider]:
    more: dict[str, object] = getattr(request, "param", {})
    with running(tmp_path / "data", **{**AT_ONCE, "profile": "2+1", "workers": 1, **more}) as store:
        made = Provider(store)
        try:
            yield made
        finally:
            made.end()


@pytest.fixture
def fleet(provider: Provider) -> Iterator[Fleet]:
    """Those that are let in without the commands, which take their time."""
    made = Fleet(provider.store)
    try:
        yield made
    finally:
        made.end()


async def test_nodes_join_by_the_commands_and_hold_what_is_stored(provider: Provider) -> None:
    provider.join(1, 2, 3)
    row = provider.node("n1")
    assert (row["zone"], row["operator"], row["region"], row["capacity"]) == ("z", "n1", "r", 10**10)
    assert len(row["id"]) == 64
    async with provider.store.s3() as s3:
        await s3.must("PUT", "/photos")
        until(lambda: provider.store.rows("SELECT count(*) FROM placement") != [(0,)], "a pool")
        await s3.put("photos", "a", BODY)
        assert await s3.get("photos", "a") == BODY
        provider.boxes["n2"].terminate()
        assert provider.boxes["n2"].wait(20) == 0
        stopped = until(lambda: (row := provider.node("n2"))["state"] == "down" and row, "n2 has said that it stops")
        assert stopped["reason"] == "stopped by its operator"
        assert await s3.get("photos", "a") == BODY
        provider.run("n2")
        until(lambda: provider.node("n2")["state"] == "up", "n2 is back")


def test_token_lets_one_node_in_and_only_in_its_time(provider: Provider) -> None:
    token = provider.token()
    assert provider.init("n1", token, "127.1.1.1:7301").returncode == 0
    again = provider.init("n1", token, "127.1.1.1:7301")
    assert again.returncode == 0, "the very same, given again"
    other = provider.init("n2", token, "127.2.1.1:7302")
    assert (other.returncode, "used by another node" in other.stderr) == (1, True)
    assert not provider.root("n2").exists()
    late = provider.init("n2", provider.token("--expires", "0s"), "127.2.1.1:7302")
    assert (late.returncode, "expired" in late.stderr) == (1, True)
    cut = provider.init("n2", {**token, "token": token["token"][:-3]}, "127.2.1.1:7302")
    assert (cut.returncode, "copy it again" in cut.stderr) == (1, True)
    assert [row["name"] for row in provider.list()] == ["n1"]


@pytest.mark.parametrize("provider", [{"fleet__certificate_lifetime": "15s"}], indirect=True)
async def test_certificates_are_renewed_while_the_fleet_serves(provider: Provider, fleet: Fleet) -> None:
    await asyncio.to_thread(fleet.add, 1, 2, 3)
    certificate = fleet.nodes[1].root / CERTIFICATE
    first = certificate.read_bytes()
    async with provider.store.s3() as s3:
        await s3.must("PUT", "/photos")
        until(fleet.pool, "a pool")
        await s3.put("photos", "a", BODY)
        until(lambda: certificate.read_bytes() != first, "renewed", 20)
        await asyncio.sleep(5.5)  # the first certificates have ended
        fleet.nodes[1].stop()
        until(lambda: fleet.states()["n01"] == "down", "n01 has said that it stops", 20)
        fleet.nodes[1].start()  # every connection is made anew
        until(lambda: fleet.states()["n01"] == "up", "n01 is back", 40)
        assert await s3.get("photos", "a") == BODY


def test_denied_node_is_out_for_good(provider: Provider, fleet: Fleet) -> None:
    fleet.add(1, 2, 3)
    done = told("node", "deny", "n03", "--reason", "its box was stolen", *provider.store.folders)
    assert done["was_denied"] is False
    until(lambda: fleet.states()["n03"] == "down", "n03 is dialled and heard by nobody", 20)
    assert provider.node("n03")["standing"] == "disqualified"
    for number in (1, 2):
        kept = fleet.nodes[number].root / DENIED
        until(lambda kept=kept: kept.exists() and done["id"] in kept.read_text(), "the others were told", 20)  # type: ignore[misc]
    assert provider.store.rows("SELECT kind, detail FROM node_event WHERE kind = 'denied'") == [
        ("denied", '{"reason": "its box was stolen", "standing": "trusted"}')
    ]
