"""`cyxcloud keys`: the keyring. (Access keys are `cyxcloud key`.)"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from cli import control, keyrecovery, keyrotation, mirror
from cli.home import Home, is_running, stopped
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show
from cli.recovery import CodeOption, recovery_code
from cli.status_keys import keys_status
from cli.store import Store, open_existing
from cyxcloud.core import keycopies
from cyxcloud.core.durable import write_file
from cyxcloud.core.keyring import NODE_FOLDER, Keyring, KeyringDamaged
from cyxcloud.core.worker import Idle
from cyxcloud.meta import nodes
from cyxcloud.meta.mirror_state import read_state
from fleet.keycopies import copy_folders
from fleet.rewrap import Rewrap

app = typer.Typer(
    help="The keyring: confirm its recovery code, rotate, export, recover.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

POLL_SECONDS = 0.3


@app.command("confirm")
def confirm(code: CodeOption = None, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Show that the recovery code is kept: it is tried on the keyring, and `status` asks for it no more.

    Example: cyxcloud keys confirm
    """
    with explained(), open_existing(home_of(data)) as store:
        if not store.keyring.opens_with(recovery_code(code)):
            raise CommandError("this recovery code is not the one of this store")
        store.keyring.confirm(store.home.keys)
    show({"confirmed": True}, as_json=as_json, text=lambda console: console.print("the code opens the keyring; noted"))


@app.command("rotate")
def rotate(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when every data key is under the new key.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new wrapping key; the store then wraps every data key anew under it, in the background.

    Neither the master key nor the recovery code changes, no object is encrypted again, and reads and writes go on.

    Example: cyxcloud keys rotate --wait
    """
    with explained(), open_existing(home_of(data)) as store:
        rotated = keyrotation.rotate(store.home.keys, _copies(store), store.change)
        if wait:
            _wait(store, quiet=as_json)
        value: dict[str, Any] = {
            "current": rotated.key,
            "copies": len(rotated.copies.current),
            "missed": [{"folder": str(folder), "reason": reason} for folder, reason in rotated.copies.missed],
            "rewrap": keys_status(store)["rewrap"],
        }
    show(value, as_json=as_json, text=lambda console: _print_rotated(console, value))


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; must not exist.")],
    data: DataOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the sealed keyring to a file (0600). It is of no use without the recovery code.

    Example: cyxcloud keys export /media/stick/cyxcloud.keyring
    """
    with explained(), open_existing(home_of(data)) as store:
        if file.exists():
            raise CommandError(f"{file} exists; give another name")
        try:
            write_file(file, keycopies.encode_export(store.keyring), mode=0o600)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
    value = {"file": str(file)}
    show(value, as_json=as_json, text=lambda console: console.print(f"{file} written; keep the code apart from it"))


@app.command("recover")
def recover(
    *,
    code: CodeOption = None,
    file: Annotated[Path | None, typer.Option(help="An exported keyring, instead of the nodes' copies.")] = None,
    node: Annotated[
        list[Path] | None, typer.Option("--nodes", metavar="PATH", help="A node's folder, or one that holds some.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a missing or damaged keyring back, from a node's copy and the recovery code. The store must be stopped.

    Examples:

      cyxcloud keys recover --data ./data

      cyxcloud keys recover --file cyxcloud.keyring
    """
    home = home_of(data)
    with explained(), stopped(home):
        given = recovery_code(code)
        copies = [_read_export(file)] if file is not None else keyrecovery.find_copies(home, node or [])
        source = keyrecovery.recover(home, given, copies)
    value = {"recovered": str(home.keys), "source": source.source}
    show(value, as_json=as_json, text=lambda console: _print_recovered(console, home, source.source))


def _copies(store: Store) -> list[Path]:
    folders = copy_folders(nodes.read_all(store.reader), store.home.data_dirs)
    mirror = read_state(store.home.meta)
    return folders if mirror is None else [*folders, mirror.folder / NODE_FOLDER]


def _read_export(file: Path) -> keycopies.Copy:
    try:
        return keycopies.decode_export(file.read_bytes(), str(file))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except KeyringDamaged as error:
        raise CommandError(str(error)) from None


def _wait(store: Store, *, quiet: bool) -> None:
    if not is_running(store.home):
        asyncio.run(_wrap_anew_here(store))
        return
    with Progress(disable=quiet) as drawn:
        task = drawn.add_task("wrapping data keys anew", total=None)
        while not keys_status(store)["rewrap"]["complete"]:
            try:
                found = control.ask(store.home.control_socket, "GET", "/keys")
                drawn.update(task, total=found["total"] or None, completed=found["seen"])
            except control.NoAnswer:
                drawn.update(task, description="waiting for the coordinator")
            time.sleep(POLL_SECONDS)


async def _wrap_anew_here(store: Store) -> None:
    """Of a stopped store: nobody else writes, so what is found once is all."""
    writer = store.database.writer()
    writer.start()
    try:
        worker = Rewrap(lambda: Keyring.open(store.home.keys).wrapping, store.reader, writer, settle_seconds=0.0)
        while not worker.settled:
            did = await worker.step(time.monotonic())
            if worker.progress.failed and isinstance(did, Idle):
                raise CommandError(f"{worker.progress.failed} data keys do not open; see `cyxcloud meta check`")
    finally:
        writer.close()
        mirror.after_command(store.home)


def _print_rotated(console: Console, value: dict[str, Any]) -> None:
    console.print(f"wrapping key {value['current']} is in use and stands in {value['copies']} copies")
    for each in value["missed"]:
        console.print(f"not in {each['folder']} ({each['reason']}); it is copied when the node is back")
    complete = value["rewrap"]["complete"]
    console.print("every data key is under it" if complete else "data keys are wrapped anew while the store runs")


def _print_recovered(console: Console, home: Home, source: str) -> None:
    console.print(f"the keyring is back in {home.keys}, from {source}")
    if not home.root_credentials.exists():
        console.print("the root key's file is not: `cyxcloud key create` makes another access key")
