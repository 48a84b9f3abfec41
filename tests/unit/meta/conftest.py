"""A fresh database for each test: SQLite's copied from one that the migrations made, PostgreSQL's emptied.

What takes `writer` and `conn` runs on both, on PostgreSQL where a server is installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.postgres import PostgresDatabase, PostgresWriter
from cyxcloud.meta.schema import metadata
from cyxcloud.meta.writer import Writer
from tests.unit.meta.server import PostgresServer, find_programs


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = Database(tmp_path_factory.mktemp("template") / "meta.db")
    database.upgrade()
    database.close()
    return database.path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "meta" / "meta.db"
    path.parent.mkdir()
    shutil.copy(template, path)
    opened = Database(path)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    with PostgresServer(programs) as url:
        database = PostgresDatabase(url)
        database.upgrade()
        database.check_revision()
        database.close()
        yield url


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[PostgresDatabase]:
    opened = PostgresDatabase(postgres_url)
    writer = opened.writer()
    writer.start()
    # Faster than TRUNCATE, which makes new files.
    writer.call(lambda conn: conn.script("; ".join(f"DELETE FROM {name}" for name in metadata.tables)))
    writer.close()
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Database | PostgresDatabase:
    opened: Database | PostgresDatabase = request.getfixturevalue(
        "database" if request.param == "sqlite" else "postgres"
    )
    return opened


@pytest.fixture
def writer(either: Database | PostgresDatabase) -> Iterator[Writer | PostgresWriter]:
    started = either.writer()
    started.start()
    yield started
    started.close()


@pytest.fixture
def conn(either: Database | PostgresDatabase, writer: Writer | PostgresWriter) -> Connection:
    return either.reader()
