"""A store's database and keyring in a command's hands, whether the store runs or not.

Commands write as every process does, through meta/writer.py, whose turns are taken by a lock: so a change on a running
store is one more transaction in the queue, and gateways see it by its epoch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from cli import mirror
from cli.access import AccessError
from cli.home import Home
from cli.options import CommandError
from cyxcloud.core.keyring import RECOVER_REMEDY, Keyring, KeyringDamaged, KeyringMissing
from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import MetadataDamaged, MetaError
from cyxcloud.meta.rows import ClusterRow

T = TypeVar("T")

REFUSALS = (AccessError, MetaError, KeyringMissing, KeyringDamaged, sqlite3.DatabaseError)


def refusal(home: Home, error: Exception) -> CommandError:
    """One of REFUSALS as a sentence for who called."""
    if isinstance(error, sqlite3.DatabaseError):
        return CommandError(f"{home.meta / 'meta.db'} cannot be read: {error}; {mirror.remedy(home)}")
    if isinstance(error, MetadataDamaged):
        return CommandError(f"{error}; {mirror.remedy(home)}")
    return CommandError(str(error))


@dataclass(frozen=True, slots=True)
class Store:
    home: Home
    database: Database
    keyring: Keyring

    @property
    def reader(self) -> Connection:
        return self.database.reader()

    def change(self, request: Callable[[Connection], T]) -> T:
        result = change(self.database, request)
        mirror.after_command(self.home)
        return result


def database_of(home: Home) -> Database:
    return Database(home.meta / "meta.db")


@contextmanager
def open_existing(home: Home) -> Iterator[Store]:
    """The store at this home, for reading and changing."""
    database = database_of(home)
    try:
        if database.revision() is None or cluster.read(database.reader()) is None:
            raise CommandError(f"there is no store in {home.path}; `cyxcloud up --data {home.path}` makes one")
        database.check_revision()
        yield Store(home, database, open_keyring(home, database))
    except REFUSALS as error:
        raise refusal(home, error) from error
    finally:
        database.close()


def open_keyring(home: Home, database: Database) -> Keyring:
    """The keyring that this database's rows are wrapped under; raises what `refusal` explains."""
    keyring, known = Keyring.open(home.keys), cluster.read(database.reader())
    assert known is not None
    check_keyring(keyring, known, home.keys)
    return keyring


def check_keyring(keyring: Keyring, known: ClusterRow, where: object) -> None:
    """KeyringDamaged where it is another store's, or one from before a rotation that rows know of."""
    if keyring.cluster_id != known.cluster_id:
        raise KeyringDamaged(f"the keyring in {where} belongs to another store: {RECOVER_REMEDY}")
    if known.newest_key not in keyring.wrapping.keys:
        raise KeyringDamaged(
            f"the keyring in {where} is older than the data: it lacks wrapping key {known.newest_key}: {RECOVER_REMEDY}"
        )


def change(database: Database, request: Callable[[Connection], T]) -> T:
    """One transaction."""
    writer = database.writer()
    writer.start()
    try:
        return writer.call(request)
    finally:
        writer.close()
