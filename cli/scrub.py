"""`cyxcloud scrub`: read every shard again now, see how far that is and what it found."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli import control
from cli.home import Home
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show, table

app = typer.Typer(
    help="Read every shard again, to find what has decayed; what is found is made good by the mover.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

POLL_SECONDS = 0.2
# A host that restarts is back by then; its pass goes on.
PATIENCE_SECONDS = 30.0
_COLUMNS = ("name", "running", "done", "last_full_pass", "found")

NodeOption = Annotated[
    list[str] | None, typer.Option("--node", metavar="NAME", help="Only this node; may be repeated. [all]")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Return when the pass is through, with a bar meanwhile.")]


@app.command()
def start(
    data: DataOption = None, *, node: NodeOption = None, wait: WaitOption = False, as_json: JsonOption = False
) -> None:
    """Begin a full pass now, at up to 100 MiB/s a disk, leaving the disk's time to requests.

    Exit code 1 where a named node cannot be read.

    Examples:

      cyxcloud scrub start --wait

      cyxcloud scrub start --node node-03 --node node-04 --json
    """
    home, names = home_of(data), node or []
    with explained():
        value = _ask(home, "POST", {"action": "start", "nodes": names})
        _all_there(value)
        if wait:
            value = _wait(home, names, quiet=as_json)
    show(value, as_json=as_json, text=lambda console: _print(console, value))


@app.command()
def status(
    data: DataOption = None, *, node: NodeOption = None, wait: WaitOption = False, as_json: JsonOption = False
) -> None:
    """Show how far scrub is on each node, when it was last through and what was ever found.

    Examples:

      cyxcloud scrub status

      cyxcloud scrub status --node node-03 --wait --json
    """
    home, names = home_of(data), node or []
    with explained():
        value = _wait(home, names, quiet=as_json) if wait else _of(_ask(home, "GET"), names)
        _all_there(value)
    show(value, as_json=as_json, text=lambda console: _print(console, value))


@app.command()
def stop(data: DataOption = None, *, node: NodeOption = None, as_json: JsonOption = False) -> None:
    """Go on at the usual pace (`scrub.interval`); what was read of the pass counts.

    Example: cyxcloud scrub stop
    """
    home, names = home_of(data), node or []
    with explained():
        value = _ask(home, "POST", {"action": "stop", "nodes": names})
        _all_there(value)
    show(value, as_json=as_json, text=lambda console: _print(console, value))


def _ask(home: Home, method: str, body: object = None) -> dict[str, Any]:
    try:
        value: dict[str, Any] = control.ask(home.control_socket, method, "/scrub", body)
    except control.NoAnswer as error:
        raise CommandError(f"no running store answers in {home.path}; start it with `cyxcloud up` ({error})") from None
    return value


def _of(value: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Only the named nodes, where any is."""
    if not names:
        return value
    found = [each for each in value["nodes"] if each["name"] in names]
    return {"nodes": found, "missing": sorted(set(names) - {each["name"] for each in found})}


def _all_there(value: dict[str, Any]) -> None:
    if value["missing"]:
        names = ", ".join(value["missing"])
        raise CommandError(f"cannot be read now, or is no node of this store: {names}; see `cyxcloud status`")


def _wait(home: Home, names: list[str], *, quiet: bool) -> dict[str, Any]:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    silent_since: float | None = None
    with Progress(*columns, TimeRemainingColumn(), disable=quiet) as drawn:
        bar = drawn.add_task("reading", total=None)
        while True:
            try:
                value = _of(_ask(home, "GET"), names)
            except CommandError:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > PATIENCE_SECONDS:
                    raise
                drawn.update(bar, description="waiting for the coordinator")
            else:
                silent_since = None
                running = [each for each in value["nodes"] if each["running"]]
                total = sum(each["total_bytes"] for each in value["nodes"])
                left = sum(each["total_bytes"] - each["done_bytes"] for each in running)
                drawn.update(bar, description="reading", total=total, completed=total - left)
                if not running:
                    return value
            time.sleep(POLL_SECONDS)


def _print(console: Console, value: dict[str, Any]) -> None:
    table(console, _COLUMNS, [_row(each) for each in value["nodes"]])


def _row(each: dict[str, Any]) -> dict[str, object]:
    share = each["done_bytes"] / each["total_bytes"] if each["total_bytes"] else 1.0
    at = each["finished_at_ms"]
    return {
        "name": each["name"],
        "running": each["running"],
        "done": f"{share:.0%}",
        "last_full_pass": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000)) if at else "never",
        "found": each["found"],
    }
