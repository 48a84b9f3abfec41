"""One file that holds a store's metadata and its sealed keyring.

    magic and version (8) | head | wrapped master | bundle | database file | BLAKE3 of all before (32)

It is made beside its name (0600) and renamed, so it is whole or absent. Reading checks the whole file before anything
of it is used. The keyring is sealed under the recovery code; names of buckets and objects in the database are not.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from cyxcloud.core.durable import TEMP_PREFIX, fsync_dir

_MAGIC = b"CYXBKUP\x01"
_HEAD = struct.Struct(">16sQIIQ")  # cluster id, made at, lengths of wrapped master, bundle, database
_DIGEST_BYTES = 32
_COPY_BYTES = 1 << 20


class BackupDamaged(Exception):
    """Not a backup, or not whole."""


@dataclass(frozen=True, slots=True)
class Backup:
    """All but the database, which is copied where it is wanted."""

    cluster_id: bytes
    made_at_ms: int
    wrapped: bytes
    bundle: bytes
    database_bytes: int


def write_backup(path: Path, driver: sqlite3.Connection, backup: Backup) -> Backup:
    """A consistent copy of the database that this connection reads, whatever is written meanwhile."""
    with _temporary(path) as copy, _temporary(path) as temp:
        with closing(sqlite3.connect(copy)) as target:
            driver.backup(target)
        made = Backup(backup.cluster_id, backup.made_at_ms, backup.wrapped, backup.bundle, copy.stat().st_size)
        with temp.open("r+b") as file, copy.open("rb") as database:
            hasher = blake3()
            for piece in _pieces(made, database):
                hasher.update(piece)
                file.write(piece)
            file.write(hasher.digest())
            file.flush()
            os.fsync(file.fileno())
        temp.rename(path)
    fsync_dir(path.absolute().parent)
    return made


def read_backup(path: Path, database: Path) -> Backup:
    """Checks the file and copies its database; raises BackupDamaged, OSError."""
    with path.open("rb") as file:
        _check(file)
        file.seek(0)
        found = _read_head(file)
        with database.open("xb") as target:
            database.chmod(0o600)
            body = _Limited(file, found.database_bytes)
            while piece := body.read(_COPY_BYTES):
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    if database.stat().st_size != found.database_bytes:
        raise BackupDamaged("the backup's database is cut short")
    return found


def read_head(path: Path) -> Backup:
    """Whose it is, unproven. Raises BackupDamaged, OSError."""
    with path.open("rb") as file:
        return _read_head(file)


def _pieces(made: Backup, database: BinaryIO) -> Iterator[bytes]:
    lengths = len(made.wrapped), len(made.bundle), made.database_bytes
    yield _MAGIC + _HEAD.pack(made.cluster_id, made.made_at_ms, *lengths) + made.wrapped + made.bundle
    while piece := database.read(_COPY_BYTES):
        yield piece


def _read_head(file: BinaryIO) -> Backup:
    head = file.read(len(_MAGIC) + _HEAD.size)
    if not head.startswith(_MAGIC) or len(head) < len(_MAGIC) + _HEAD.size:
        raise BackupDamaged("not a backup of a format known here")
    cluster_id, made_at_ms, wrapped, bundle, database = _HEAD.unpack_from(head, len(_MAGIC))
    return Backup(cluster_id, made_at_ms, file.read(wrapped), file.read(bundle), database)


def _check(file: BinaryIO) -> None:
    left = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
    hasher = blake3()
    body = _Limited(file, left)
    while piece := body.read(_COPY_BYTES):
        hasher.update(piece)
    if left < 0 or file.read() != hasher.digest():
        raise BackupDamaged("the backup is damaged or cut short")


class _Limited:
    """The next so many bytes of a file."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int) -> bytes:
        piece = self._file.read(max(0, min(size, self._left)))
        self._left -= len(piece)
        return piece


@contextmanager
def _temporary(beside: Path) -> Iterator[Path]:
    """A file for the owner alone, gone at the end unless it was renamed."""
    path = beside.absolute().parent / f"{TEMP_PREFIX}{secrets.token_hex(8)}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
