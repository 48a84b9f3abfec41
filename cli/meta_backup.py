"""`cyxcloud meta backup FILE`: the metadata and the sealed keyring in one file, of a store that runs or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.backup_file import Backup, write_backup
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show
from cli.store import Store, open_existing
from cyxcloud.core.clock import SystemClock


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; what is there is replaced.")],
    data: DataOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Copy the metadata and the keyring, as of now, into one file that only its owner can read.

    The keyring in it is sealed: without the recovery code nobody reads any object by it. The metadata is not encrypted:
    names of buckets and objects, sizes and dates can be read by whoever has the file. Objects above 16 KiB are not in
    it, they stay on the nodes.

    Examples:

      cyxcloud meta backup /mnt/usb/cyxcloud.backup

      cyxcloud meta restore --file /mnt/usb/cyxcloud.backup --recovery-code CODE
    """
    with explained(), open_existing(home_of(data)) as store:
        made = _write(store, file.expanduser().absolute())
    show(made, as_json=as_json, text=lambda console: _print(console, made))


def _write(store: Store, file: Path) -> dict[str, Any]:
    keyring = store.keyring
    wanted = Backup(
        cluster_id=keyring.cluster_id,
        made_at_ms=SystemClock().now_ms(),
        wrapped=keyring.wrapped,
        bundle=keyring.bundle.encode(keyring.master),
        database_bytes=0,
    )
    try:
        made = write_backup(file, store.reader.driver, wanted)
    except (OSError, sqlite3.OperationalError) as error:
        raise CommandError(f"{file} was not written: {error}") from None
    return {"file": str(file), "bytes": file.stat().st_size, "database_bytes": made.database_bytes}


def _print(console: Console, made: dict[str, Any]) -> None:
    console.print(f"{made['file']}: {made['bytes']:,} bytes; the keyring in it opens with the recovery code alone")
