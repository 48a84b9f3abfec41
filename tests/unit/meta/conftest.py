"""A fresh database for each test, copied from one that the migrations made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.writer import Writer


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


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    started = database.writer()
    started.start()
    yield started
    started.close()


@pytest.fixture
def conn(database: Database, writer: Writer) -> Connection:
    return database.reader()
