"""Whether database, keyring and node folders belong together, and the database is not older than what the nodes know.

A store whose database was swapped, or put back from an old copy, would take what it does not know for rubbish. So a
start compares who each part says it is, and what the nodes' snapshot pointers say, before anything is written; where
they differ it refuses with what to do. A single foreign folder does not stop the store: that node is down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli.home import Home
from cli.options import CommandError
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster, nodes
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import GONE, NodeRow
from cyxcloud.meta.snapshot_pointer import PointerDamaged, open_pointer
from fleet.keycopies import node_folder
from nodefs.folder import POINTER, FolderUnusable, read_marker


@dataclass(frozen=True, slots=True)
class DatabaseSays:
    cluster_id: bytes
    incarnation: bytes
    snapshot: int  # the last one that it knows to have begun
    is_adopted: bool

    def but_unconfirmed(self) -> DatabaseSays:
        """As right after a restore, when the nodes may still be of another incarnation."""
        return replace(self, is_adopted=False)


@dataclass(frozen=True, slots=True)
class NodeSays:
    """What stands in a node's folder."""

    folder: Path
    cluster_id: bytes
    incarnation: bytes
    snapshot: int  # that its pointer names; 0 where there is none of this store's


def refuse_mismatch(home: Home, database: Database, keyring: Keyring) -> None:
    """CommandError where this database must not serve these nodes. Reads only."""
    said = read_database(database)
    reason = mismatch(said, keyring.cluster_id, [says for _, says in read_nodes(home, database, keyring)])
    if reason:
        raise CommandError(f"{home.meta / 'meta.db'} {reason}; nothing was changed. {_remedy(home)}")


def mismatch(database: DatabaseSays, keyring_cluster: bytes, found: Sequence[NodeSays]) -> str:
    """What is wrong; empty where the parts fit (pure)."""
    if database.cluster_id != keyring_cluster:
        return "belongs to another store than the keys"
    ours = [node for node in found if node.cluster_id == database.cluster_id]
    if len(ours) < len(found) - len(ours):
        return f"belongs to another store than the nodes ({found[0].folder} and others)"
    known = max((node.snapshot for node in ours), default=0)
    if known > database.snapshot:
        return f"is an old copy: it knows of snapshot {database.snapshot}, the nodes of {known}"
    present = [node for node in ours if node.incarnation == database.incarnation]
    if database.is_adopted and len(present) < len(ours) - len(present):
        return "is of another incarnation than the nodes: the store was restored since, or it is a copy"
    return ""


def read_database(database: Database) -> DatabaseSays:
    row = cluster.read(database.reader())
    assert row is not None
    return DatabaseSays(row.cluster_id, row.incarnation, cluster.snapshot_sequence(database.reader()), row.adopted)


def read_nodes(home: Home, database: Database, keyring: Keyring) -> list[tuple[NodeRow, NodeSays]]:
    """Of the nodes whose folders can be read."""
    found = []
    for row in nodes.read_all(database.reader()):
        if row.is_remote:
            continue
        folder = node_folder(row, home.data_dirs)
        try:
            marker = read_marker(folder)
        except FolderUnusable:
            continue
        if row.state != GONE:
            found.append((row, NodeSays(folder, marker.cluster_id, marker.incarnation, _snapshot(folder, keyring))))
    return found


def _snapshot(folder: Path, keyring: Keyring) -> int:
    """A pointer counts only where the master key has made it."""
    try:
        pointer = open_pointer((folder / POINTER).read_bytes(), keyring.master)
    except (OSError, PointerDamaged):
        return 0
    return pointer.sequence if pointer.cluster_id == keyring.cluster_id else 0


def _remedy(home: Home) -> str:
    return (
        f"Put back the newest {home.meta}, or make it again: `cyxcloud meta restore --data {home.path} "
        "--recovery-code CODE`"
    )
