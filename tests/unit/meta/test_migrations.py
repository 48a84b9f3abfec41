from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

import cyxcloud.meta.schema_fleet  # noqa: F401 - its tables are part of the same metadata
from cyxcloud.meta import cluster
from cyxcloud.meta.database import REVISION, Database, open_database
from cyxcloud.meta.errors import SchemaMismatch
from cyxcloud.meta.migrations import config
from cyxcloud.meta.postgres import PostgresDatabase
from cyxcloud.meta.schema import metadata
from cyxcloud.meta.writer import open_writable


def test_upgrade_from_empty_gives_the_schema(tmp_path: Path) -> None:
    database = Database(tmp_path / "new" / "meta.db")
    assert database.revision() is None
    database.upgrade()
    assert database.revision() == REVISION
    database.check_revision()
    engine = create_engine("sqlite://", creator=lambda: open_writable(database.path), poolclass=NullPool)
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    assert database.problems() == []
    database.close()


def test_upgrade_makes_the_same_tables_as_the_schema_to_the_letter(tmp_path: Path, database: Database) -> None:
    """What compare_metadata does not see: keys, WITHOUT ROWID, order of index columns, partial indexes."""
    driver = sqlite3.connect(tmp_path / "made.db")
    engine = create_engine("sqlite://", creator=lambda: driver)
    metadata.create_all(engine)
    assert shape(database.reader().driver) == shape(driver)
    driver.close()


def test_upgrade_is_safe_to_repeat(tmp_path: Path) -> None:
    database = Database(tmp_path / "meta.db")
    database.upgrade()
    before = shape(database.reader().driver)
    database.upgrade()
    assert shape(database.reader().driver) == before
    database.close()


def test_an_interrupted_upgrade_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(tmp_path / "meta.db")
    made: list[str] = []

    class Failing(sqlite3.Connection):
        def cursor(self, *args: object, **options: object) -> sqlite3.Cursor:  # type: ignore[override]
            made.append("cursor")
            if len(made) == 30:
                raise sqlite3.OperationalError("disk I/O error")
            return super().cursor(*args, **options)  # type: ignore[call-overload, no-any-return]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Failing, **options))
    with pytest.raises(Exception, match="disk I/O error"):
        database.upgrade()
    monkeypatch.undo()
    driver = sqlite3.connect(database.path)
    assert driver.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    driver.close()
    database.upgrade()
    database.check_revision()
    database.close()


def test_there_is_one_head_revision_and_the_program_names_it() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [REVISION]


def test_a_database_of_another_release_is_refused(database: Database) -> None:
    driver = sqlite3.connect(database.path)
    driver.execute("UPDATE alembic_version SET version_num = '9999'")
    driver.commit()
    driver.close()
    with pytest.raises(SchemaMismatch, match="9999"):
        database.check_revision()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "meta.db")
    with pytest.raises(SchemaMismatch, match="none"):
        database.check_revision()
    database.path.touch()
    with pytest.raises(SchemaMismatch, match="none"):
        database.check_revision()
    database.close()


def test_open_database_takes_a_path_or_a_url(tmp_path: Path) -> None:
    assert isinstance(open_database(tmp_path / "meta.db"), Database)
    assert isinstance(open_database("postgresql://localhost/cyx"), PostgresDatabase)


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.reader().driver.execute("DELETE FROM bucket")


def test_a_snapshot_sees_one_moment(database: Database) -> None:
    writer = database.writer()
    writer.start()
    conn = database.reader()
    with conn.snapshot():
        assert cluster.epochs(conn).topology == 0
        writer.call(lambda c: cluster.bump(c, cluster.Epoch.TOPOLOGY))
        assert cluster.epochs(conn).topology == 0
    assert cluster.epochs(conn).topology == 1
    writer.close()


def shape(driver: sqlite3.Connection) -> dict[str, object]:
    """Tables and indexes with everything that SQLite says of them."""
    found: dict[str, object] = {}
    for kind, name in driver.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'alembic%'").fetchall():
        pragma = "table_xinfo" if kind == "table" else "index_xinfo"
        if not name.startswith("sqlite_autoindex_alembic"):
            found[f"{kind} {name}"] = driver.execute(f"PRAGMA {pragma}('{name}')").fetchall()
    for row in driver.execute("PRAGMA table_list").fetchall():
        if not row[1].startswith(("alembic", "sqlite_")):
            found[f"list {row[1]}"] = row[2:5]
        for index in driver.execute(f"PRAGMA index_list('{row[1]}')").fetchall():
            found[f"index of {row[1]} {index[1]}"] = index[2:]
    return {name: each for name, each in found.items() if "alembic" not in name}
