"""What `status` says of the chunks' health and of the mover."""

from __future__ import annotations

from typing import Any

from cli import control
from cli.home import is_running
from cli.store import Store
from cyxcloud.meta.health import Health

BAR = 40


def health_status(found: Health) -> dict[str, Any]:
    return {"chunks": found.chunks, "by_shards": {str(shards): count for shards, count in found.by_shards.items()}}


def mover_status(store: Store, found: Health) -> dict[str, Any]:
    """`queued` and `running` chunks; `done` since the coordinator started; `stuck` placements lack a node for which no
    other can stand in; `failing` chunks could not be made whole when last tried; `waiting_for` nodes went together."""
    idle: dict[str, Any] = {"running": 0, "done": 0, "bytes": 0, "stuck": 0, "failing": 0, "waiting_for": []}
    if is_running(store.home):
        try:
            told = control.ask(store.home.control_socket, "GET", "/mover")
            idle = {name: told[name] for name in idle}
        except control.NoAnswer:
            pass
    return {"queued": max(0, found.queued - idle["running"])} | idle


def health_text(value: dict[str, Any], mover: dict[str, Any]) -> str:
    """A bar for each class of chunks."""
    most = max(value["by_shards"].values(), default=1)
    lines = [f"{value['chunks']} chunks, by the shards that can be had:"]
    for shards, count in value["by_shards"].items():
        lines.append(f"  {shards:>2}  {'█' * max(1, round(BAR * count / most)):<{BAR}}  {count}")
    lines.append(f"mover: {mover['queued']} chunks queued, {mover['running']} running, {mover['done']} done")
    if mover["stuck"]:
        lines.append(
            f"  {mover['stuck']} placements lack nodes and no other node can stand in: `cyxcloud node replace`"
        )
    if mover["failing"]:
        lines.append(f"  {mover['failing']} chunks could not be made whole; tried again")
    if mover["waiting_for"]:
        lines.append(f"  many nodes went together and are waited for: {', '.join(mover['waiting_for'])}")
    return "\n".join(lines)
