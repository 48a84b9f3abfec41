"""`cyxcloud meta adopt`: an operator confirms a restored store, or what reconciliation would not believe by itself.

Until then nothing is removed that the database does not know. Node folders that still belong to an earlier incarnation
(their disk was away during the restore) are taken over; a running store opens them again. Killed in between, the same
command does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli import control
from cli.consistency import mismatch, read_database, read_nodes
from cli.home import is_running, stopped
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show, table
from cli.status_reconcile import is_held, reconcile_status
from cli.store import Store, open_existing
from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import cluster, nodes, reconcile
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NodeRow, ReconcileRow
from nodefs import folder

VERSION = 1


def adopt(
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Do it; without it only say what would be done.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm a restored store: what it does not know may be cleared away on its nodes.

    Also lets reconciliation go on, once, where it was held because more of a node looks unreferenced than is believed.

    Examples:

      cyxcloud meta adopt

      cyxcloud meta adopt --confirm --data ./data
    """
    home = home_of(data)
    with explained():
        running = is_running(home)
        with nullcontext() if running or not confirm else stopped(home), open_existing(home) as store:
            older = _older(store)
            value = _gather(store, older, running=running)
            if confirm:
                _adopt(store, older)
                value |= {"confirmed": True, "missed": _tell(store, older) if running else []}
    show(value, as_json=as_json, text=lambda console: _print(console, value))


def _older(store: Store) -> list[tuple[NodeRow, Path]]:
    """Nodes of this store whose folders are of another incarnation; CommandError where the database is the older."""
    said, found = read_database(store.database), read_nodes(store.home, store.database, store.keyring)
    # That most nodes are of another incarnation is what this command is for; all else is not.
    reason = mismatch(said.but_unconfirmed(), store.keyring.cluster_id, [says for _, says in found])
    if reason:
        raise CommandError(f"{store.database.path} {reason}; nothing was changed")
    return [
        (row, says.folder)
        for row, says in found
        if says.cluster_id == said.cluster_id and says.incarnation != said.incarnation
    ]


def _gather(store: Store, older: Sequence[tuple[NodeRow, Path]], *, running: bool) -> dict[str, Any]:
    with store.reader.snapshot():
        row = cluster.read(store.reader)
        assert row is not None
        counted = {each.node: each for each in reconcile.read_all(store.reader)}
        described = [_described(node, counted, older) for node in nodes.read_all(store.reader)]
        state = reconcile_status(store.reader)
    return {
        "version": VERSION,
        "confirmed": False,
        "restored_at_ms": row.restored_at_ms,
        "was_adopted": row.adopted,
        "reconcile": state,
        "unknown_sessions": _unknown_sessions(store) if running else None,
        "nodes": described,
    }


def _described(
    node: NodeRow,
    counted: dict[NodeNumber, ReconcileRow],
    older: Sequence[tuple[NodeRow, Path]],
) -> dict[str, Any]:
    row = counted.get(node.number)
    return {
        "name": node.name,
        "held": row is not None and is_held(row),
        "older_incarnation": any(each.number == node.number for each, _ in older),
        "unreferenced_bytes": None if row is None else row.unreferenced_bytes,
        "unreferenced_shards": None if row is None else row.unreferenced_shards,
    }


def _unknown_sessions(store: Store) -> list[int] | None:
    """What the nodes hold says it, so only a running store knows."""
    try:
        found: list[int] = control.ask(store.home.control_socket, "GET", "/reconcile")["unknown_sessions"]
    except control.NoAnswer:
        return None
    return found


def _adopt(store: Store, older: Sequence[tuple[NodeRow, Path]]) -> None:
    """Folders first: killed after them, the store is still to be confirmed."""
    incarnation = read_database(store.database).incarnation
    for _, path in older:
        folder.adopt(path, incarnation)

    def request(conn: Connection) -> None:
        cluster.set_adopted(conn)
        reconcile.allow(conn)

    store.change(request)


def _tell(store: Store, older: Sequence[tuple[NodeRow, Path]]) -> list[str]:
    """Folders that a running store could not open again; it will at its next start."""
    asked = {"nodes": {row.node_id.hex(): str(path) for row, path in older}}
    try:
        missed: list[str] = control.ask(store.home.control_socket, "POST", "/reconcile/adopted", asked)["missed"]
    except control.NoAnswer:
        return [str(path) for _, path in older]
    return missed


def _print(console: Console, value: dict[str, Any]) -> None:
    if value["restored_at_ms"] is None:
        console.print("never restored")
    else:
        at = datetime.fromtimestamp(value["restored_at_ms"] / 1000, UTC)
        console.print(f"restored {at:%Y-%m-%d %H:%M} UTC, {'adopted' if value['was_adopted'] else 'not adopted yet'}")
    if value["unknown_sessions"]:
        console.print(f"shards of {len(value['unknown_sessions'])} write sessions that the metadata does not know")
    table(console, tuple(value["nodes"][0]), value["nodes"])
    if value["confirmed"]:
        console.print("\nconfirmed: unreferenced bytes go after the delete grace")
        for path in value["missed"]:
            console.print(f"{path} is opened at the next start")
    elif not value["was_adopted"] or value["reconcile"]["state"] == "held":
        console.print("\nNothing was changed. With --confirm what is unreferenced goes after the delete grace.")
    else:
        console.print("\nnothing waits for a word")
