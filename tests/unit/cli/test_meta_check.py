"""`cyxcloud meta check` on a stopped store; the checks themselves are in tests/unit/meta."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.bootstrap import open_store
from cli.home import Home
from cli.main import app
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart


@pytest.fixture
def data(tmp_path: Path) -> Path:
    home = Home.of([tmp_path / "data"])
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), FirstStart())
    return home.path


def run(data: Path, *options: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["meta", "check", "--data", str(data), "--json", *options])
    assert result.exit_code == code, result.output
    return json.loads(result.output)


def damage(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "meta" / "meta.db")) as database:
        database.execute(statement)
        database.commit()


def test_a_new_store_is_whole(data: Path) -> None:
    value = run(data, "--full")
    assert (value["problems"], value["findings"]) == (0, [])
    assert value["shards"] == {"depth": "none", "chunks": 0, "by_state": {}}


def test_what_can_be_derived_is_mended_only_when_asked(data: Path) -> None:
    damage(data, "INSERT INTO usage VALUES (4711, 3, 9)")
    for _ in range(2):
        value = run(data, code=1)
        assert (value["problems"], value["repaired"], value["by_kind"]) == (1, 0, {"usage": 1})
        assert value["findings"][0]["repairable"]
    value = run(data, "--repair")
    assert (value["problems"], value["repaired"], value["findings"][0]["repaired"]) == (1, 1, True)
    assert run(data)["problems"] == 0


def test_what_cannot_be_derived_stays_a_failure(data: Path) -> None:
    damage(data, "DELETE FROM node WHERE number = 2")
    value = run(data, "--repair", code=1)
    assert (value["repaired"], set(value["by_kind"])) == (0, {"placement"})
    assert not value["findings"][0]["repairable"]


def test_a_damaged_file_is_found_in_full(data: Path) -> None:
    damage(data, "PRAGMA writable_schema = 1")
    with closing(sqlite3.connect(data / "meta" / "meta.db")) as database:
        database.execute("PRAGMA writable_schema = 1")
        database.execute(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX access_key_account ON access_key "
            "(account, access_key) WHERE enabled = 0' WHERE name = 'access_key_account'"
        )
        database.commit()
    assert "file" in run(data, "--full", code=1)["by_kind"]


def test_for_people_it_says_what_is_wrong_and_what_to_do(data: Path) -> None:
    result = CliRunner().invoke(app, ["meta", "check", "--data", str(data)])
    assert "nothing wrong" in result.output
    assert "the store is stopped" in result.output
    damage(data, "INSERT INTO usage VALUES (4711, 3, 9)")
    result = CliRunner().invoke(app, ["meta", "check", "--data", str(data)])
    assert "usage: bucket 0x1267: its usage is off" in result.output
    assert "--repair" in result.output
