"""Confirming a restored store: what it says without --confirm, and what it does with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.bootstrap import open_store
from cli.home import Home, stopped
from cli.main import app
from cli.status_reconcile import reconcile_status
from cli.store import change, database_of
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import cluster, reconcile
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import ReconcileRow, ReconcileState
from nodefs.folder import adopt, read_marker
from tests.unit.cli.test_consistency import know, point

INCARNATION = b"r" * 16


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.of([tmp_path / "data"])
    open_store(made, config.load(made.path, {"nodes": 5, "profile": "2+1"}), FirstStart())
    return made


def write(home: Home, request: Any) -> None:
    database = database_of(home)
    change(database, request)
    database.close()


def restored(conn: Connection) -> None:
    cluster.set_restored(conn, INCARNATION, 1000)


def held(conn: Connection) -> None:
    reconcile.put(conn, [ReconcileRow(NodeNumber(2), ReconcileState.HELD, 12345, 6, 1)])


def call(home: Home, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["meta", "adopt", "--data", str(home.path), "--json", *options])
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def status(home: Home) -> dict[str, Any]:
    database = database_of(home)
    try:
        return reconcile_status(database.reader())
    finally:
        database.close()


def incarnations(home: Home) -> set[bytes]:
    return {read_marker(path).incarnation for path in (home.path / "nodes").iterdir()}


def test_adopt_without_confirm_tells_and_changes_nothing(home: Home) -> None:
    write(home, restored)
    write(home, held)
    before = incarnations(home)
    told = call(home)
    assert (told["restored_at_ms"], told["was_adopted"], told["confirmed"]) == (1000, False, False)
    assert [node["older_incarnation"] for node in told["nodes"]] == [True] * 5
    assert [(node["unreferenced_bytes"], node["held"]) for node in told["nodes"]][:2] == [(None, False), (12345, True)]
    assert (incarnations(home), status(home)["state"]) == (before, "restored")


def test_adopt_confirmed_takes_over_folders_and_lets_everything_go_on(home: Home) -> None:
    write(home, restored)
    write(home, held)
    assert call(home, "--confirm")["confirmed"]
    assert incarnations(home) == {INCARNATION}
    assert status(home) == {"state": "done", "unreferenced_bytes": 12345, "node": None}
    database = database_of(home)
    row = cluster.read(database.reader())
    assert row is not None
    assert row.adopted
    assert [each.allowed for each in reconcile.read_all(database.reader())] == [True]
    database.close()
    assert not any(node["older_incarnation"] for node in call(home, "--confirm")["nodes"]), "safe to repeat"


def test_adopt_lets_a_held_pass_go_on(home: Home) -> None:
    write(home, held)
    assert status(home) == {"state": "held", "unreferenced_bytes": 12345, "node": "node-02"}
    call(home, "--confirm")
    assert status(home)["state"] == "done"


def test_adopt_leaves_a_foreign_folder_alone(home: Home, tmp_path: Path) -> None:
    other = Home.of([tmp_path / "other"])
    open_store(other, config.load(other.path, {"nodes": 5, "profile": "2+1"}), FirstStart())
    mine, foreign = home.path / "nodes" / "node-01", other.path / "nodes" / "node-01"
    mine.rename(tmp_path / "away")
    foreign.rename(mine)
    before = read_marker(mine)
    write(home, restored)
    call(home, "--confirm")
    assert read_marker(mine) == before


def test_adopt_refuses_an_old_copy(home: Home) -> None:
    """Whatever the operator says: the nodes know of a newer snapshot than this database."""
    know(home, 3)
    point(home, 4)
    for path in (home.path / "nodes").iterdir():
        adopt(path, INCARNATION)
    result = CliRunner().invoke(app, ["meta", "adopt", "--data", str(home.path), "--confirm"])
    assert result.exit_code == 1
    assert "old copy" in result.stderr
    assert incarnations(home) == {INCARNATION}
    write(home, lambda conn: cluster.raise_epoch(conn, Epoch.SNAPSHOT, 4))
    call(home, "--confirm")
    assert INCARNATION not in incarnations(home)


def test_adopt_speaks_to_people_too(home: Home) -> None:
    write(home, restored)
    result = CliRunner().invoke(app, ["meta", "adopt", "--data", str(home.path)])
    assert "not adopted yet" in result.stdout
    assert "Nothing was changed" in result.stdout


def test_adopt_on_a_running_store_names_folders_that_are_opened_later(home: Home) -> None:
    """Its coordinator is asked to open them; here nobody answers, so the next start does."""
    write(home, restored)
    with stopped(home):
        assert len(call(home, "--confirm")["missed"]) == 5
