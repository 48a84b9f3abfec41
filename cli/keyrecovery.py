"""A keyring that is missing or damaged comes back from its copies and the recovery code.

Nothing is overwritten: what stands in DIR/keys and differs is set aside under another name first. A crash in between
leaves a keyring without a piece, which is refused and recovered again. A copy that is older than the data is refused,
since a keyring that lacks a key would pass for whole until somebody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

from cli import mirror
from cli.home import Home
from cli.options import CommandError
from cli.store import check_keyring, database_of
from cyxcloud.core import config, keycopies
from cyxcloud.core.durable import DISK, Disk, fsync_dir
from cyxcloud.core.keycopies import Copy
from cyxcloud.core.keyring import (
    BUNDLE,
    MASTER,
    NODE_FOLDER,
    WRAPPED,
    Keyring,
    KeyringDamaged,
    KeyringMissing,
)
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode
from cyxcloud.meta import cluster, nodes
from cyxcloud.meta.rows import ClusterRow
from fleet.keycopies import copy_folders


def recover(home: Home, code: RecoveryCode, copies: Iterable[Copy], disk: Disk = DISK) -> Copy:
    """Puts the keyring back; gives the copy that it came from. On a stopped store only."""
    known = cluster_of(home)
    _refuse_if_good(home, known)
    try:
        keyring, source = keycopies.newest(code, copies)
        if known is not None:
            check_keyring(keyring, known, source.source)
    except (KeyringMissing, KeyringDamaged, BadRecoveryCode) as error:
        raise CommandError(f"nothing was changed: {error}") from None
    _set_aside(home.keys, keyring, disk)
    keyring.save(home.keys, disk=disk)
    keyring.confirm(home.keys, disk=disk)  # who recovers has the code
    return source


def find_copies(home: Home, folders: Sequence[Path]) -> Iterator[Copy]:
    """In node folders, or in folders that hold some; by default in all that the store knows of."""
    named = [folder.expanduser().resolve() for folder in folders]
    places = [each for folder in named for each in (folder, *sorted(folder.glob("*")), *sorted(folder.glob("nodes/*")))]
    candidates = [each / NODE_FOLDER for each in places] if named else _known_folders(home)
    for folder in dict.fromkeys(candidates):
        found = keycopies.read_copy(folder)
        if found is not None:
            yield found


def cluster_of(home: Home) -> ClusterRow | None:
    """None where there is no database, or one that tells nothing."""
    database = database_of(home)
    try:
        return None if database.revision() is None else cluster.read(database.reader())
    finally:
        database.close()


def _known_folders(home: Home) -> list[Path]:
    found = [each / NODE_FOLDER for folder in home.data_dirs for each in sorted((folder / "nodes").glob("*"))]
    if cluster_of(home) is not None:
        database = database_of(home)
        try:
            found += copy_folders(nodes.read_all(database.reader()), home.data_dirs)
        finally:
            database.close()
    mirrored = mirror.folder_of(home, config.load(home.path))
    return found if mirrored is None else [*found, mirrored / NODE_FOLDER]


def _refuse_if_good(home: Home, known: ClusterRow | None) -> None:
    try:
        present = Keyring.open(home.keys)
        if known is not None:
            check_keyring(present, known, home.keys)
    except (KeyringMissing, KeyringDamaged):
        return
    raise CommandError(f"the keyring in {home.keys} is whole: there is nothing to recover")


def _set_aside(keys: Path, keyring: Keyring, disk: Disk) -> None:
    """Pieces that differ are kept beside the new ones: they may be somebody's only copy of another keyring."""
    wanted = {
        MASTER: keyring.master,
        WRAPPED: keyring.wrapped,
        BUNDLE: keyring.bundle.encode(keyring.master),
    }
    for name, content in wanted.items():
        piece = keys / name
        if piece.exists() and piece.read_bytes() != content:
            free = next(each for n in count(1) if not (each := keys / f"{name}.set-aside-{n}").exists())
            disk.rename(piece, free)
            fsync_dir(keys, disk=disk)
