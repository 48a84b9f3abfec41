"""`cyxcloud meta snapshot`: one now, taken by the coordinator of the running store."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console

from cli import control
from cli.home import Home, is_running
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show

POLL_SECONDS = 0.1
# A coordinator that is just being restarted does not answer for a moment.
SILENT_SECONDS = 30.0


def snapshot(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Write the metadata's changes to the nodes now, and wait until they are there.

    The store must run; it does the same by itself every 10 minutes (setting snapshot.interval).

    Examples:

      cyxcloud meta snapshot

      cyxcloud meta snapshot --json --data ./data
    """
    with explained():
        taken = take(home_of(data))
    show(taken, as_json=as_json, text=lambda console: _print(console, taken))


def take(home: Home) -> dict[str, Any]:
    """What the coordinator tells of the snapshot that it has taken."""
    if not is_running(home):
        raise CommandError(
            f"the store in {home.path} does not run: start it with `cyxcloud up --data {home.path}`, "
            "or copy its metadata with `cyxcloud meta backup FILE`"
        )
    try:
        number = int(control.ask(home.control_socket, "POST", "/snapshot")["number"])
    except control.NoAnswer as error:
        raise CommandError(str(error)) from None
    silent_until = time.monotonic() + SILENT_SECONDS
    while True:
        try:
            told: dict[str, Any] = control.ask(home.control_socket, "GET", "/snapshot")
        except control.NoAnswer as error:
            if time.monotonic() > silent_until:
                raise CommandError(f"the coordinator was lost while it took a snapshot: {error}") from None
        else:
            silent_until = time.monotonic() + SILENT_SECONDS
            if told["asked"] < number:
                raise CommandError("the coordinator was started anew while it took a snapshot; ask again")
            if told["answered"] >= number:
                return _outcome(told)
        time.sleep(POLL_SECONDS)


def _outcome(told: dict[str, Any]) -> dict[str, Any]:
    if told["error"]:
        raise CommandError(f"no snapshot was taken, the one before stays: {told['error']}")
    taken: dict[str, Any] = told["last"]
    return taken


def _print(console: Console, taken: dict[str, Any]) -> None:
    kind = "full" if taken["full"] else "incremental"
    console.print(
        f"snapshot {taken['sequence']} ({kind}): {taken['written_bytes']:,} bytes written of a database of "
        f"{taken['database_bytes']:,}, in {taken['seconds']} s"
    )
