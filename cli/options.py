"""What all commands share: --data, --json, how results are shown and how failures end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.home import AlreadyRunning, Home
from cli.layout import LayoutError
from cli.sockets import PortTaken
from cyxcloud.core.config import ConfigError, default_home

FAILED = 1  # the store said no, or could not
MISUSED = 2  # an option or setting is wrong; typer's own code for the same
RUNNING = 3  # another instance serves the folder

PAGE_COLUMNS = 240  # ids are never cut, whatever the terminal's width

DataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data folder; repeat it to spread nodes over disks. The first is the store's home.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class CommandError(Exception):
    """What a command cannot do, as a sentence for the one who called it."""


def home_of(data: Sequence[Path] | None) -> Home:
    return Home.of(data or [default_home()])


@contextmanager
def explained() -> Iterator[None]:
    """Expected failures become one line on stderr and an exit code; any other is a fault of ours, shown whole."""
    try:
        yield
    except (ConfigError, LayoutError, PortTaken) as error:
        raise _end(error, MISUSED) from None
    except AlreadyRunning as error:
        raise _end(error, RUNNING) from None
    except CommandError as error:
        raise _end(error, FAILED) from None


def show(value: object, *, as_json: bool, text: Callable[[Console], None]) -> None:
    """The result for a script or for a person."""
    if as_json:
        typer.echo(json.dumps(value, indent=2))
    else:
        text(Console(highlight=False, soft_wrap=True, width=PAGE_COLUMNS))


def table(console: Console, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Rows under headings that are named like their fields."""
    drawn = Table(*(column.replace("_", " ") for column in columns), box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*(_cell(row[column]) for column in columns))
    console.print(drawn)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _end(error: Exception, code: int) -> typer.Exit:
    typer.echo(f"cyxcloud: {error}", err=True)
    return typer.Exit(code)
