"""Makes DIR/meta and DIR/keys of a stopped store again: from its nodes, a backup or a mirror, and the recovery code.

Everything is made beside its place (`meta.restored`, `keys.restored`) and checked; then what was there is renamed to
`*.before-restore-N` and the new folders take its place, meta last; then the nodes are told the new incarnation. Killed
before the renames, all is as it was; between them, there is no database and `up` refuses; after them, nodes that were
not told stay down. In every case the same command does all of it again. Nothing is ever deleted but what an earlier
attempt has left.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import structlog

from cli import access
from cli.home import Home
from cli.node_folders import FoundNode, OpenNodes
from cli.options import CommandError
from cli.store import change, check_keyring
from cyxcloud.core.durable import DISK, Disk, fsync_dir, make_dirs, remove_file, write_file
from cyxcloud.core.keyring import Keyring, KeyringDamaged
from cyxcloud.meta import accounts, cluster, heads, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import MetaError
from cyxcloud.meta.snapshot_pointer import Pointer
from cyxcloud.meta.system import SNAPSHOT_BUCKET
from cyxcloud.objects.at_rest import Unreadable
from cyxcloud.objects.snapshot_restore import Progress, newest_first, read_manifest, restore_database
from nodefs import folder as node_folder

log = structlog.get_logger(__name__)

# Snapshots of a restored store are numbered from here on: no node that was away can hold a later one of before.
SEQUENCE_GAP = 1000
DATABASE = "meta.db"
INCARNATION_BYTES = 16


@dataclass(frozen=True, slots=True)
class Copied:
    """A database file that was brought back, not yet in its place; `taken_at_ms`: when it was true. `lacks_nothing`:
    it claims to be as new as the store was, as a mirror does."""

    source: str
    sequence: int
    taken_at_ms: int
    lacks_nothing: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """`set_aside`: where the folders of before are; `not_adopted`: nodes that could not be told, with the reason."""

    copied: Copied
    objects: int
    database_bytes: int
    set_aside: tuple[Path, ...]
    not_adopted: dict[str, str]


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a store: its keyring, the nodes that were found, the number of the newest snapshot they know."""

    keyring: Keyring
    nodes: Sequence[FoundNode]
    newest_sequence: int


# A source puts the database file at the path it is given.
Source = Callable[[Path], Copied]


def from_nodes(nodes_found: OpenNodes, keyring: Keyring, progress: Progress) -> Source:
    """The newest snapshot that is whole on these nodes."""

    def bring(path: Path) -> Copied:
        pointers = newest_first(nodes_found.pointers(), keyring.master, keyring.cluster_id)
        failures = []
        for pointer in pointers:
            try:
                _bring_snapshot(nodes_found, pointer, keyring, path, progress)
            except Unreadable as error:
                remove_file(path)
                failures.append(f"snapshot {pointer.sequence}: {error}")
                log.warning("snapshot passed over", sequence=pointer.sequence, reason=str(error))
                continue
            return Copied("nodes", pointer.sequence, pointer.taken_at_ms)
        where = f"the {len(nodes_found.stores)} nodes that were found"
        if failures:
            raise CommandError(f"no snapshot on {where} is whole ({'; '.join(failures)}); name more nodes with --nodes")
        raise CommandError(f"there is no snapshot of this store on {where}; name more nodes, a backup or the mirror")

    return bring


def bring(home: Home, source: Source) -> Copied:
    """The database into a folder beside its place. Raises CommandError."""
    fresh = _fresh(home.meta)
    try:
        return source(fresh / DATABASE)
    except OSError as error:
        raise CommandError(f"the metadata was not brought back: {error}; nothing was changed") from error


def newest_sequence(pointers: Iterable[bytes], keyring: Keyring) -> int:
    return max((each.sequence for each in newest_first(pointers, keyring.master, keyring.cluster_id)), default=0)


def put_in_place(home: Home, copied: Copied, remains: Remains, now_ms: int, disk: Disk = DISK) -> Restored:
    """What was brought becomes the store. The caller holds the locks; no node is open. CommandError where it is not
    this keyring's store, or not whole."""
    incarnation = secrets.token_bytes(INCARNATION_BYTES)
    fresh_meta, fresh_keys = _fresh_name(home.meta), _fresh(home.keys, disk)
    database = Database(fresh_meta / DATABASE)
    try:
        objects = _bring_up(database, remains, incarnation, now_ms, lacks_nothing=copied.lacks_nothing)
        credentials = _root_credentials(database, remains.keyring)
    except (sqlite3.DatabaseError, MetaError, KeyringDamaged) as error:
        raise CommandError(f"what was brought back cannot be used: {error}; nothing was changed") from error
    finally:
        database.close()
    _save_keys(home, remains.keyring, fresh_keys, credentials, disk)
    size = database.path.stat().st_size
    set_aside = _swap(home, fresh_meta, fresh_keys, disk)
    return Restored(copied, objects, size, set_aside, _adopt(remains.nodes, incarnation, disk))


def _bring_snapshot(source: OpenNodes, pointer: Pointer, keyring: Keyring, path: Path, progress: Progress) -> None:
    manifest = read_manifest(source, pointer, keyring.master)
    restore_database(source, manifest, keyring.master, path, progress)


def _fresh_name(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.restored")


def _fresh(folder: Path, disk: Disk = DISK) -> Path:
    """Beside the folder, empty."""
    fresh = _fresh_name(folder)
    make_dirs(folder.parent, disk=disk)
    shutil.rmtree(fresh, ignore_errors=True)
    make_dirs(fresh, mode=0o700, disk=disk)
    return fresh


def _bring_up(database: Database, remains: Remains, incarnation: bytes, now_ms: int, *, lacks_nothing: bool) -> int:
    """Checked, of this release, of a new incarnation, with its nodes where they were found; gives its objects."""
    if problems := database.problems():
        raise CommandError(f"the database that was brought back is damaged: {problems[0]}; nothing was changed")
    database.upgrade()
    database.check_revision()
    known = cluster.read(database.reader())
    if known is None:
        raise CommandError("the database that was brought back holds no store; nothing was changed")
    check_keyring(remains.keyring, known, "the copies that were found")
    if lacks_nothing and cluster.snapshot_sequence(database.reader()) < remains.newest_sequence:
        raise CommandError(
            "the mirror fell behind before the store was lost: the nodes hold a newer snapshot. Leave --from-mirror "
            "out to restore that; nothing was changed"
        )
    places = {each.marker.node_id: each.path for each in remains.nodes}

    def renew(conn: Connection) -> None:
        cluster.set_restored(conn, incarnation, now_ms)
        known_sequence = max(remains.newest_sequence, cluster.snapshot_sequence(conn))
        cluster.raise_epoch(conn, Epoch.SNAPSHOT, known_sequence + SEQUENCE_GAP)
        for row in nodes.read_all(conn):
            if row.node_id in places:
                nodes.upsert(conn, replace(row, endpoint=places[row.node_id].as_uri()))
        cluster.bump(conn, Epoch.TOPOLOGY)

    change(database, renew)
    return heads.count(database.reader(), but=SNAPSHOT_BUCKET)


def _root_credentials(database: Database, keyring: Keyring) -> bytes | None:
    """The root user's key as the first start wrote it beside the keyring, if there still is one that works."""
    conn = database.reader()
    enabled = [key for key in accounts.keys(conn, access.root_user(conn).id) if key.enabled]
    if not enabled:
        return None
    oldest = min(enabled, key=lambda key: key.created_at_ms)
    return access.credentials_file(oldest.access_key, keyring.open_secret(oldest.access_key, oldest.secret))


def _save_keys(home: Home, keyring: Keyring, folder: Path, credentials: bytes | None, disk: Disk) -> None:
    keyring.save(folder, disk=disk)
    keyring.confirm(folder, disk=disk)  # who restores has the code
    if credentials is not None:
        write_file(folder / home.root_credentials.name, credentials, mode=0o600, disk=disk)


def _swap(home: Home, fresh_meta: Path, fresh_keys: Path, disk: Disk) -> tuple[Path, ...]:
    """Keys first: without a database nothing is served."""
    number = next(n for n in count(1) if not any(_aside(each, n).exists() for each in (home.meta, home.keys)))
    moved = []
    for folder in (home.meta, home.keys):
        if folder.exists():
            disk.rename(folder, _aside(folder, number))
            moved.append(_aside(folder, number))
    fsync_dir(home.path, disk=disk)
    for fresh, place in ((fresh_keys, home.keys), (fresh_meta, home.meta)):
        disk.rename(fresh, place)
        fsync_dir(home.path, disk=disk)
    return tuple(moved)


def _adopt(found: Sequence[FoundNode], incarnation: bytes, disk: Disk) -> dict[str, str]:
    failed = {}
    for each in found:
        try:
            node_folder.adopt(each.path, incarnation, disk)
        except (OSError, node_folder.FolderUnusable) as error:
            failed[each.marker.name] = str(error)
    return failed


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.before-restore-{number}")
