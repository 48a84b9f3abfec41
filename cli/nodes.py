"""`cyxcloud node`: the storage nodes of this store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import node_actions, node_denial, node_history, node_host, node_tokens
from cli.home import is_running
from cli.options import DataOption, JsonOption, explained, home_of, show, table
from cli.replacement import replace_node
from cli.store import open_existing
from cyxcloud.meta import nodes
from cyxcloud.meta.rows import GONE, NodeRow

app = typer.Typer(
    help="Storage nodes: those of this store, and one on this box for a fleet elsewhere.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


app.command("init")(node_host.init)
app.command("run")(node_host.run)
app.command("token")(node_tokens.token)
app.command("drain")(node_actions.drain)
app.command("suspend")(node_actions.suspend)
app.command("resume")(node_actions.resume)
app.command("history")(node_history.history)
app.command("appeal")(node_history.appeal)
app.command("deny")(node_denial.deny)


@app.command("list")
def list_nodes(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List the nodes.

    Example: cyxcloud node list --json
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        running = is_running(home)
        rows = [described(row, running=running) for row in nodes.read_all(store.reader) if row.state != GONE]
    columns = ("name", "state", "disk", "used_bytes", "free_bytes", "shard_count", "reason")
    show(rows, as_json=as_json, text=lambda console: table(console, columns, rows))


@app.command("replace")
def replace(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The node whose place a new, empty one takes.")],
    *,
    data: DataOption = None,
    disk: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder for it. [the old one's]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also one that is up or whole: gives up its shards.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a new, empty node in the place of a lost one; what it held is made anew from the other nodes.

    What is left of the old folder is moved to NAME.replaced-N, never deleted. On a running store the new node serves at
    once; on a stopped one from the next start.

    Examples:

      cyxcloud node replace node-03

      cyxcloud node replace node-03 --disk /disk2/cyx --data /disk1/cyx --data /disk2/cyx
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        done = replace_node(store, name, disk=disk, force=force)
        running = is_running(home)
    value = {
        "name": done.name,
        "node_id": done.node_id.hex(),
        "folder": str(done.folder),
        "moved_to": done.moved_to,
        "opened": done.opened,
    }
    lines = [f"{done.name} is new and empty, in {done.folder}"]
    lines += [f"what was left of the old one is in {done.moved_to}"] if done.moved_to else []
    lines += ["restart the store to serve it"] if running and not done.opened else []
    show(value, as_json=as_json, text=lambda console: console.print("\n".join(lines)))


def described(row: NodeRow, *, running: bool) -> dict[str, Any]:
    """A node as `status` and `node list` show it."""
    return {
        "id": row.node_id.hex(),
        "name": row.name,
        "node_id": row.node_id.hex(),
        "state": row.state if running else "stopped",
        "reason": row.reason,
        "disk": row.disk,
        "total_bytes": row.total_bytes,
        "used_bytes": row.used_bytes,
        "free_bytes": row.free_bytes,
        "shard_count": row.shard_count,
        "zone": row.zone,
        "operator": row.operator,
        "region": row.region,
        "used": row.used_bytes,
        "capacity": row.total_bytes,
        "address": row.address,
        "standing": row.standing,
        "leaving": row.leaving,
    }
