"""Puts a new, empty node in the place of one that is lost: `cyxcloud node replace`.

Order: what is left of the folder is moved aside (never deleted), a new folder is made whole, then one transaction makes
the old row gone, under a name that frees its own, and adds the new one; at last a running store's host is asked to open
it. Killed before the transaction, the store knows the old node only, whose folder is not there: the command can be
given again, and moves the half-made one aside. Killed after it, the next start opens the node.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from cli.home import Home, is_running
from cli.hosts import connected, open_on
from cli.new_node import new_node
from cli.options import CommandError
from cli.store import Store
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.durable import fsync_dir
from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.meta import cluster, nodes, strays
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import GONE, READABLE, ClusterRow, NodeRow
from cyxcloud.wire.status import HostUnavailable
from fleet.keycopies import node_folder
from fleet.mover.plan import RETIRED
from nodefs.folder import FolderUnusable, open_folder


@dataclass(frozen=True, slots=True)
class Replaced:
    """`moved_to` is empty where nothing was left of the old folder; `opened` is false where no host serves it yet."""

    name: str
    node_id: NodeId
    folder: Path
    moved_to: str
    opened: bool


def replace_node(store: Store, name: str, *, disk: Path | None = None, force: bool = False) -> Replaced:
    """CommandError says why not."""
    home = store.home
    row = next((each for each in nodes.read_all(store.reader) if each.name == name and each.state != GONE), None)
    known = cluster.read(store.reader)
    assert known is not None, "an open store has its cluster row"
    if row is None:
        raise CommandError(f"there is no node {name}; `cyxcloud node list` shows them")
    if row.is_remote:
        raise CommandError(f"{name} stands on another box: drain it there, and let a new node join in its place")
    running, old = is_running(home), node_folder(row, home.data_dirs)
    if not force:
        _refuse_living(row, old, running=running)
    data_dir = _data_dir(home, row, disk)
    moved_to = _move_aside(old)
    folder = data_dir / "nodes" / name
    if folder != old:
        _move_aside(folder)
    made = _make(store, known, row, data_dir)
    store.change(lambda conn: _write(conn, row, made, moved_to))
    opened = running and asyncio.run(_open(store, row, made, folder))
    return Replaced(name, made.node_id, folder, "" if moved_to is None else str(moved_to), opened)


def _refuse_living(row: NodeRow, folder: Path, *, running: bool) -> None:
    if running and row.state in READABLE:
        raise CommandError(
            f"{row.name} is {row.state}: replacing it gives up what it holds; --force does it all the same"
        )
    try:
        found = open_folder(folder)
    except FolderUnusable:
        return
    if found.identity.node_id == row.node_id:
        raise CommandError(
            f"{row.name}: {folder} is whole, so the node may come back with what it holds "
            f"({row.reason or 'start the store'}); --force replaces it all the same"
        )


def _data_dir(home: Home, row: NodeRow, disk: Path | None) -> Path:
    """Where the new node is to stand. A disk that is not there is never made: it may only not be mounted."""
    wanted = Path(row.disk) if disk is None else disk.expanduser().resolve()
    if disk is not None and wanted not in home.data_dirs:
        raise CommandError(
            f"--disk {wanted} is none of the store's data folders ({', '.join(map(str, home.data_dirs))})"
        )
    if not wanted.is_dir():
        raise CommandError(f"{wanted} is not there: mount it, or name another data folder by --disk")
    return wanted


def _move_aside(folder: Path) -> Path | None:
    """To NAME.replaced-N beside it; None where there is nothing."""
    if not folder.exists() and not folder.is_symlink():
        return None
    number = 1
    while (aside := folder.with_name(f"{folder.name}.replaced-{number}")).exists():
        number += 1
    folder.rename(aside)
    fsync_dir(folder.parent)
    return aside


def _make(store: Store, known: ClusterRow, old: NodeRow, data_dir: Path) -> NodeRow:
    made = new_node(store.keyring, known.incarnation, old.name, data_dir, _now_ms(store.reader))
    return replace(made, host=old.host, zone=old.zone, operator=old.operator)


def _write(conn: Connection, old: NodeRow, made: NodeRow, moved_to: Path | None) -> None:
    number = NodeNumber(max(row.number for row in nodes.read_all(conn)) + 1)
    left = "" if moved_to is None else moved_to.as_uri()
    nodes.retire(conn, old.number, f"{old.name}{RETIRED}{old.number}", left, made.joined_at_ms)
    strays.remove_node(conn, old.number)
    nodes.upsert(conn, replace(made, number=number))
    cluster.bump(conn, Epoch.TOPOLOGY)


def _now_ms(conn: Connection) -> int:
    """The store's time, which the mover's waits go by."""
    kept = cluster.clock(conn)
    return SystemClock().now_ms() if kept is None else max(kept[0], SystemClock().now_ms())


async def _open(store: Store, old: NodeRow, made: NodeRow, folder: Path) -> bool:
    """Ask the host that served the old node; no other may, or two would write to one folder after the next start."""
    async with connected(store) as hosts:
        for host in hosts:
            with contextlib.suppress(HostUnavailable):
                if any(info.node_id == old.node_id or info.name == old.name for info in await host.stats()):
                    return await open_on(host, made.node_id, folder)
    return False
