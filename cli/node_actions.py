"""`cyxcloud node drain|suspend|resume`: what an operator has a running store do with a node."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli import control
from cli.home import Home
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta import cluster, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED, GONE, SUSPENDED, TRUSTED, NodeRow

NodeArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id, the first eight digits of it, or its name.")]
LOOK_SECONDS = 0.5


def drain(
    node: NodeArgument,
    *,
    data: DataOption = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Leave there what has not moved yet.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a drain that was cancelled.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is empty, with its progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move everything off a node; it is read meanwhile, takes nothing new, and has its receipt at the end.

    Example: cyxcloud node drain node-03 --wait
    """
    home = home_of(data)
    action = "cancel" if cancel else "resume" if resume else "begin"
    with explained():
        value = _asked(home, "POST", {"node": node, "action": action})
        if wait and action != "cancel":
            value = _waited(home, int(value["node"]), quiet=as_json)
    show(value, as_json=as_json, text=lambda console: console.print(_said(node, value)))


def suspend(node: NodeArgument, *, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Give a node nothing new; what it holds stays, is read and is audited.

    Example: cyxcloud node suspend node-03
    """
    _stand(node, SUSPENDED, data, as_json=as_json)


def resume(node: NodeArgument, *, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Trust a suspended node again.

    Example: cyxcloud node resume node-03
    """
    _stand(node, TRUSTED, data, as_json=as_json)


def named(rows: list[NodeRow], text: str) -> NodeRow:
    """Raises CommandError where no node, or more than one, is meant."""
    living = [row for row in rows if row.state != GONE]
    found = [row for row in living if row.name == text] or [
        row for row in living if len(text) >= 8 and row.node_id.hex().startswith(text)
    ]
    if len(found) != 1:
        raise CommandError(f"no node {text!r} here; `cyxcloud node list` names them")
    return found[0]


def _stand(node: str, standing: str, data: Any, *, as_json: bool) -> None:
    home = home_of(data)
    with explained(), open_existing(home) as store:
        row = named(nodes.read_all(store.reader), node)
        if row.standing == DISQUALIFIED:
            raise CommandError(f"{row.name} is disqualified; only an appeal changes that: cyxcloud node appeal {node}")

        def change(conn: Connection) -> None:
            nodes.set_standing(conn, row.number, standing)
            cluster.bump(conn, Epoch.TOPOLOGY)

        store.change(change)
    value = {"name": row.name, "id": row.node_id.hex(), "standing": standing, "at_ms": SystemClock().now_ms()}
    show(value, as_json=as_json, text=lambda console: console.print(f"{row.name} is {standing}"))


def _asked(home: Home, method: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = control.ask(home.control_socket, method, "/drain", body)
    except control.NoAnswer as error:
        raise CommandError(f"{error}; a drain needs the store to run: cyxcloud up --data {home.path}") from None
    return answer


def _waited(home: Home, number: int, *, quiet: bool) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=quiet) as shown:
        task = shown.add_task("draining", total=1)
        while True:
            row: dict[str, Any] = next(each for each in _asked(home, "GET")["drains"] if each["node"] == number)
            shown.update(task, total=max(1, row["shards"]), completed=row["shards_moved"])
            if row["ended_at_ms"] is not None:
                return row
            time.sleep(LOOK_SECONDS)


def _said(node: str, row: dict[str, Any]) -> str:
    moved = f"{row['shards_moved']} of {row['shards']} shards moved"
    return f"{node}: {row['state']}, {moved}" + ("; its receipt is kept" if row.get("receipt") else "")
