"""The check of the database at a start."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from cyxcloud.meta import integrity
from cyxcloud.meta.database import Database
from cyxcloud.meta.errors import MetadataDamaged


def spoil_an_index(database: Database) -> None:
    """One that orders by another column than it says: every page is sound."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as driver:
        driver.executemany("INSERT INTO usage (bucket, objects, bytes) VALUES (?, ?, 1)", [(n, -n) for n in range(50)])
        driver.execute("CREATE INDEX spoilt ON usage (bucket)")
        driver.execute("PRAGMA writable_schema=1")
        driver.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX spoilt ON usage (objects)' WHERE name = 'spoilt'")


def test_a_sound_database_is_checked_in_full_after_an_unclean_stop(database: Database) -> None:
    assert integrity.check(database, unclean=True).kind == "full"
    assert integrity.check(database, unclean=False).kind == "quick"


def test_an_index_that_disagrees_with_its_table_is_found_after_an_unclean_stop_only(database: Database) -> None:
    spoil_an_index(database)
    assert integrity.check(database, unclean=False).kind == "quick"
    with pytest.raises(MetadataDamaged, match="index spoilt"):
        integrity.check(database, unclean=True)


def test_a_check_that_takes_too_long_gives_way_to_the_quick_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_STEPS", 10)
    checked = integrity.check(database, unclean=True, full_seconds=0)
    assert checked.kind == "quick"
    assert integrity.check(database, unclean=True).kind == "full", "the watch is off again"


def test_damage_is_found(database: Database) -> None:
    integrity.check(database, unclean=False)
    database.close()
    data = bytearray(database.path.read_bytes())
    for at in range(8192, len(data), 4096):
        data[at : at + 100] = b"\x5a" * 100
    database.path.write_bytes(data)
    with pytest.raises((MetadataDamaged, sqlite3.DatabaseError)):
        integrity.check(database, unclean=False)
