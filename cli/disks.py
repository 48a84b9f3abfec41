"""`cyxcloud disk`: the disks that a store's nodes stand on."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.disk_changes import Leaving, add_disk, begin_removal, cancel_removal, chunks_left, end_removal
from cli.home import is_running
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show, table
from cli.store import Store, open_existing
from cli.survival import Survival
from cyxcloud.meta import nodes
from cyxcloud.meta.rows import GONE, NodeRow

app = typer.Typer(help="Disks: list, add and remove them.", no_args_is_help=True, rich_markup_mode=None)
LOOK_SECONDS = 1.0
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The disk's data folder.")]


@app.command("list")
def list_disks(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List the disks and what is on them.

    Example: cyxcloud disk list --json
    """
    with explained(), open_existing(home_of(data)) as store:
        by_disk: defaultdict[str, list[NodeRow]] = defaultdict(list)
        for row in nodes.read_all(store.reader):
            if row.state != GONE and not row.is_remote:
                by_disk[row.disk].append(row)
    rows = [_described(disk, on_it) for disk, on_it in sorted(by_disk.items())]
    columns = ("disk", "nodes", "up", "leaving", "used_bytes", "free_bytes")
    show(rows, as_json=as_json, text=lambda console: table(console, columns, rows))


@app.command("add")
def add(
    folder: Folder,
    *,
    count: Annotated[int | None, typer.Option("--nodes", help="Nodes on it. [as the other disks have]")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a disk: nodes are made on it, and take their share of what is written from now on.

    On a running store they serve at once. Name the folder at the next start as well (`cyxcloud up --data ... --data
    DIR`), so that it is locked against other stores.

    Example: cyxcloud disk add /disk5/cyx --data /disk1/cyx
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        done = add_disk(store, folder, count)
        running = is_running(home)
    value = {"disk": str(folder.expanduser().resolve()), "nodes": list(done.names), "opened": done.opened}
    lines = [f"{len(done.names)} nodes on {value['disk']}: {', '.join(done.names)}"]
    lines += ["restart the store to serve them"] if running and not done.opened else []
    show(value, as_json=as_json, text=lambda console: console.print("\n".join(lines)))


@app.command("remove")
def remove(
    folder: Folder,
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until the disk is empty.")] = True,
    cancel: Annotated[bool, typer.Option("--cancel", help="Let its nodes stay after all.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Empty a disk, so that it can be taken out: what its nodes hold is moved to the others.

    Reads and writes go on meanwhile. Given again, it goes on waiting; the disk may be taken out when it says so. No
    folder is deleted.

    Examples:

      cyxcloud disk remove /disk2/cyx --data /disk1/cyx

      cyxcloud disk remove /disk2/cyx --no-wait --json
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        leaving = begin_removal(store, folder)
        if cancel:
            cancel_removal(store, leaving)
            show({"cancelled": True}, as_json=as_json, text=lambda console: console.print("its nodes stay"))
            return
        _assert_somebody_moves(store)
        empty = _waited(store, leaving, quiet=as_json) if wait else not chunks_left(store.reader, leaving.numbers)
        removed = empty and end_removal(store, leaving)
        left = chunks_left(store.reader, leaving.numbers)
    value = {
        "disk": leaving.nodes[0].disk,
        "removed": removed,
        "chunks_left": left,
        "survives": leaving.survives.counts(),
    }
    show(value, as_json=as_json, text=lambda console: _print(console, value))


def _assert_somebody_moves(store: Store) -> None:
    if not is_running(store.home):
        raise CommandError(
            "its nodes are marked as leaving; start the store (`cyxcloud up`), which moves what they hold"
        )


def _waited(store: Store, leaving: Leaving, *, quiet: bool) -> bool:
    """True once no chunk is left on them."""
    total = chunks_left(store.reader, leaving.numbers)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("chunks moved", total=total)
        while left := chunks_left(store.reader, leaving.numbers):
            progress.update(task, completed=max(0, total - left), total=max(total, left))
            if not is_running(store.home):
                raise CommandError("the store has stopped; start it and give the command again")
            time.sleep(LOOK_SECONDS)
        progress.update(task, completed=total)
    return True


def _described(disk: str, on_it: list[NodeRow]) -> dict[str, Any]:
    return {
        "disk": disk,
        "nodes": len(on_it),
        "up": sum(row.state == "up" for row in on_it),
        "leaving": all(row.leaving for row in on_it),
        "used_bytes": sum(row.used_bytes for row in on_it),
        "free_bytes": sum(row.free_bytes for row in on_it),
    }


def _print(console: Console, value: dict[str, Any]) -> None:
    if value["removed"]:
        console.print(f"{value['disk']} is empty and no longer part of the store: it may be taken out")
    else:
        console.print(f"{value['chunks_left']} chunks are still on {value['disk']}; give the command again")
    console.print(f"without it the store survives the loss of {Survival(**value['survives'])}")
