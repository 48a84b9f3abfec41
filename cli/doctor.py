"""`cyxcloud doctor`: what stands in a store's way, before its first start, stopped or running; each with its remedy."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from cli import doctor_checks as checks
from cli import mirror
from cli.doctor_checks import Check, Grade, ok
from cli.home import Home, is_running
from cli.options import FAILED, CommandError, DataOption, JsonOption, explained, home_of, show
from cli.status import gather
from cli.store import Store, open_existing
from cyxcloud.core import config
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.config import ConfigError, Settings
from cyxcloud.meta import cluster
from cyxcloud.meta.mirror_state import Step

# A snapshot is late when as many intervals have passed.
LATE_SNAPSHOTS = 3
SIGNS = {Grade.OK: "ok  ", Grade.WARN: "WARN", Grade.FAIL: "FAIL"}


def doctor(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Look at clock, disks, permissions, ports, limits, keyring, snapshot, mirror and nodes; say what to do.

    Works on a folder without a store as well. The exit code is 1 where a check fails.

    Example: cyxcloud doctor --data /var/cyxcloud
    """
    with explained():
        home = home_of(data)
        found = list(examine(home))
    value = {
        "healthy": all(each.grade is not Grade.FAIL for each in found),
        "checks": [
            {"name": each.name, "state": str(each.grade), "found": each.found, "remedy": each.remedy} for each in found
        ],
    }
    show(value, as_json=as_json, text=lambda console: _print(console, found))
    if not value["healthy"]:
        raise typer.Exit(FAILED)


def examine(home: Home) -> Iterator[Check]:
    try:
        settings = config.load(home.path)
    except ConfigError as error:
        yield Check("settings", Grade.FAIL, str(error), "correct that setting")
        settings = Settings()
    yield from _disks(home, settings)
    yield checks.open_files()
    yield checks.memory(Path("/proc/meminfo").read_text())
    yield from _ports(home, settings)
    if home.keys.is_dir():
        yield checks.permissions(home.keys)
    if not home.path.exists() or not home.meta.exists():
        yield _clock(None)
        yield ok("store", f"none in {home.path} yet; `cyxcloud up --data {home.path}` makes one")
        return
    yield from _store(home, settings)


def _disks(home: Home, settings: Settings) -> Iterator[Check]:
    mirrored = mirror.folder_of(home, settings)
    for folder in dict.fromkeys(_existing(each) for each in (*home.data_dirs, *([mirrored] if mirrored else []))):
        yield from checks.space(folder, os.statvfs(folder))
        yield from checks.disk(folder)


def _existing(folder: Path) -> Path:
    """The folder, or what it would be made in."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _ports(home: Home, settings: Settings) -> Iterator[Check]:
    running = is_running(home)
    for name, address in (("S3 port", settings.listen), ("operators' port", settings.control)):
        yield _port(name, address, ours=running)


def _port(name: str, address: str, *, ours: bool) -> Check:
    if ours:
        return ok(name, "the store is running")
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(where)
    except OSError as error:
        option = "--listen" if name == "S3 port" else "--control"
        return Check(name, Grade.FAIL, f"{address}: {error.strerror}", f"stop what listens there, or give {option}")
    return ok(name, f"{address} is free")


def _clock(store: Store | None) -> Check:
    kept = None if store is None else cluster.clock(store.reader)
    now_ms = SystemClock().now_ms()
    return checks.clock(
        synchronised=checks.clock_synchronised(), store_ms=None if kept is None else kept[0], wall_ms=now_ms
    )


def _store(home: Home, settings: Settings) -> Iterator[Check]:
    try:
        with open_existing(home) as store:
            yield _clock(store)
            yield from judged(gather(home, store), settings)
    except CommandError as error:
        yield Check("store", Grade.FAIL, str(error), "do what it says; `cyxcloud up` refuses to start before")


def judged(status: dict[str, Any], settings: Settings) -> Iterator[Check]:
    """From what `status --json` tells (pure)."""
    keys = status["keys"]
    yield (
        ok("keyring", "whole, its recovery code confirmed")
        if keys["confirmed"]
        else Check("keyring", Grade.WARN, "recovery code not confirmed as kept", "cyxcloud keys confirm")
    )
    yield _snapshot(status, settings)
    yield _mirror(status)
    away = [f"{node['name']} ({node['reason'] or node['state']})" for node in status["nodes"] if _is_away(node)]
    remedy = "bring the disk back, or `cyxcloud node replace NAME`"
    yield Check("nodes", Grade.WARN, ", ".join(away), remedy) if away else ok("nodes", f"{len(status['nodes'])} known")
    queued = status["repair"]["queued"]
    waiting = Check("repairs", Grade.WARN, f"{queued} shards wait", "wait for them while the store runs; see `status`")
    yield waiting if queued else ok("repairs", "none wait")
    if status["roles"] and not status["ready"]:
        yield Check("ready", Grade.FAIL, "processes run, the S3 port does not answer", "look into DIR/logs")


def _is_away(node: dict[str, Any]) -> bool:
    return node["state"] not in ("up", "stopped", "gone")


def _snapshot(status: dict[str, Any], settings: Settings) -> Check:
    remedy = "cyxcloud meta snapshot; see the coordinator's log for why none is taken"
    if status["snapshot"] is None:
        return Check("snapshot", Grade.WARN, "none was taken yet", "cyxcloud meta snapshot, while the store runs")
    age = status["snapshot"]["age_seconds"]
    late = age > LATE_SNAPSHOTS * settings.snapshot.interval and status["roles"]
    return Check("snapshot", Grade.WARN if late else Grade.OK, f"{age:.0f} s old", remedy if late else "")


def _mirror(status: dict[str, Any]) -> Check:
    found = status["mirror"]
    if found is None:
        remedy = "give a second --data on another disk, or --meta-mirror DIR"
        return Check("mirror", Grade.WARN, "metadata and small objects stand on one disk alone", remedy)
    if found["state"] != Step.IN_STEP and status["roles"]:
        return Check("mirror", Grade.WARN, f"{found['path']}: {found['state']} ({found['reason']})", "mend that disk")
    return ok("mirror", f"{found['path']}: {found['state']}")


def _print(console: Console, found: list[Check]) -> None:
    for each in found:
        console.print(f"{SIGNS[each.grade]}  {each.name}: {each.found}", markup=False)
        if each.remedy:
            console.print(f"      -> {each.remedy}", markup=False)
