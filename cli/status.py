"""`cyxcloud status`: who runs, which nodes are up, what is survived."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from cli import control, mirror
from cli.home import Home, is_running
from cli.nodes import described
from cli.options import DataOption, JsonOption, explained, home_of, show, table
from cli.sockets import reachable
from cli.status_health import health_status, health_text, mover_status
from cli.status_keys import keys_status
from cli.status_reconcile import reconcile_status
from cli.status_snapshot import snapshot_status, snapshot_text
from cli.store import Store, open_existing
from cli.survival import Survival, survival
from cli.verdict import verdict
from cyxcloud.meta import health, nodes, placements, repairs
from cyxcloud.meta.rows import GONE

VERSION = 1


def status(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Show processes, nodes and what the store survives.

    Examples:

      cyxcloud status

      cyxcloud status --json --data ./data
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        value = gather(home, store)
    show(value, as_json=as_json, text=lambda console: _print(console, value))


def gather(home: Home, store: Store) -> dict[str, Any]:
    running = is_running(home)
    roles: list[dict[str, Any]] = json.loads(home.roles.read_text()) if running and home.roles.exists() else []
    with store.reader.snapshot():
        found = nodes.read_all(store.reader)
        whole = health.read(store.reader)
        survived = survival(
            found,
            placements.read_all(store.reader),
            whole.used,
            metadata_disks=mirror.disks_survived(home),
        )
        queued = repairs.count(store.reader)
    value = {
        "version": VERSION,
        "ready": _answers(roles),
        "roles": roles,
        "nodes": [described(node, running=running) for node in found if node.state != GONE],
        "survives": survived.counts(),
        "mirror": mirror.status(home),
        "repair": {"queued": queued},
        "health": health_status(whole),
        "mover": mover_status(store, whole),
        "keys": keys_status(store),
        "snapshot": snapshot_status(store),
        "reconcile": reconcile_status(store.reader),
    }
    state, reasons = verdict(value)
    return value | {"state": state, "reasons": reasons}


def _answers(roles: list[dict[str, Any]]) -> bool:
    """Whether the S3 port says that it is ready, now."""
    endpoints = {str(role["endpoint"]) for role in roles if role["role"] == "gateway"}
    if not endpoints:
        return False
    url = urlsplit(endpoints.pop())
    host, port = reachable(url.netloc)
    return control.is_healthy(host, port, tls=url.scheme == "https")


def _print(console: Console, value: dict[str, Any]) -> None:
    console.print("ready" if value["ready"] else "not ready" if value["roles"] else "stopped")
    console.print(value["state"], *(f"\n  {reason}" for reason in value["reasons"]), sep="")
    if value["roles"]:
        console.print()
        table(console, ("role", "pid", "endpoint"), value["roles"])
    console.print()
    table(console, ("name", "state", "disk", "used_bytes", "free_bytes", "shard_count", "reason"), value["nodes"])
    console.print(f"\nsurvives the loss of {Survival(**value['survives'])}")
    if (mirrored := value["mirror"]) is None:
        console.print("metadata, small objects and keys stand on the first disk alone")
    else:
        console.print(f"metadata's mirror in {mirrored['path']}: {mirrored['state']} {mirrored['reason']}".rstrip())
    console.print(f"{value['repair']['queued']} shards wait for repair")
    console.print(health_text(value["health"], value["mover"]))
    console.print(snapshot_text(value["snapshot"]))
