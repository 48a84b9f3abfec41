"""`cyxcloud node` on a stopped store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.bootstrap import open_store
from cli.home import Home
from cli.store import database_of
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.ids import BlobId
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import nodes, strays
from cyxcloud.meta.rows import DOWN, GONE, NodeRow, StrayRow
from nodefs.folder import open_folder
from tests.unit.cli.test_commands import run, run_json


@pytest.fixture
def data(tmp_path: Path) -> Path:
    home = Home.of([tmp_path / "data"])
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), FirstStart())
    return home.path


def rows(data: Path) -> list[NodeRow]:
    database = database_of(Home.of([data]))
    try:
        return nodes.read_all(database.reader())
    finally:
        database.close()


def test_nodes_are_listed(data: Path) -> None:
    listed = run_json("node", "list", "--data", data)
    assert [(node["name"], node["state"]) for node in listed] == [(f"node-0{n}", "stopped") for n in (1, 2, 3)]
    assert "node-02" in run("node", "list", "--data", data)


def test_replace_puts_a_new_node_in_the_lost_ones_place(data: Path) -> None:
    folder = data / "nodes" / "node-02"
    shutil.rmtree(folder)
    done = run_json("node", "replace", "node-02", "--data", data)
    assert (done["name"], done["moved_to"], done["opened"]) == ("node-02", "", False)
    old, new = next(row for row in rows(data) if row.state == GONE), rows(data)[-1]
    assert (old.name, old.number, new.name, new.number, new.state) == ("node-02~2", 2, "node-02", 4, DOWN)
    made = open_folder(folder)
    assert made.identity.node_id == new.node_id == bytes.fromhex(done["node_id"])
    assert made.marker.cluster_id == Keyring.open(data / "keys").cluster_id
    assert made.marker.coordinator_public_key == open_folder(data / "nodes" / "node-01").marker.coordinator_public_key
    assert {file.name for file in (folder / "keyring").iterdir()} == {
        file.name for file in (data / "nodes" / "node-01" / "keyring").iterdir()
    }
    assert [node["name"] for node in run_json("node", "list", "--data", data)] == ["node-01", "node-03", "node-02"]


def test_the_next_start_opens_the_new_node_and_not_the_old(data: Path) -> None:
    shutil.rmtree(data / "nodes" / "node-02")
    run("node", "replace", "node-02", "--data", data)
    opened = open_store(Home.of([data]), config.load(data, {"nodes": 3}), FirstStart())
    assert sorted(folder.name for folder in opened.node_folders) == ["node-01", "node-02", "node-03"]


def test_what_is_left_is_moved_aside_and_never_deleted(data: Path) -> None:
    folder = data / "nodes" / "node-02"
    for turn in (1, 2):
        (folder / "node.json").write_text("damaged")
        (folder / "left").write_text(str(turn))
        done = run_json("node", "replace", "node-02", "--data", data)
        assert Path(done["moved_to"]) == data / "nodes" / f"node-02.replaced-{turn}"
        assert (Path(done["moved_to"]) / "left").read_text() == str(turn)
    assert [row.name for row in rows(data)] == ["node-01", "node-02~2", "node-03", "node-02~4", "node-02"]


def test_a_whole_node_is_replaced_only_by_force(data: Path) -> None:
    before = open_folder(data / "nodes" / "node-02").identity.node_id
    assert "is whole" in run("node", "replace", "node-02", "--data", data, code=1)
    assert open_folder(data / "nodes" / "node-02").identity.node_id == before
    run("node", "replace", "node-02", "--data", data, "--force")
    assert open_folder(data / "nodes" / "node-02").identity.node_id != before


def test_a_foreign_folder_in_its_place_is_moved_aside(data: Path) -> None:
    shutil.rmtree(data / "nodes" / "node-02")
    shutil.copytree(data / "nodes" / "node-01", data / "nodes" / "node-02")
    done = run_json("node", "replace", "node-02", "--data", data)
    assert open_folder(Path(done["moved_to"])).marker.name == "node-01"


def test_a_disk_that_is_not_there_is_not_made(data: Path) -> None:
    """It may only not be mounted."""
    shutil.rmtree(data / "nodes" / "node-02")
    assert "--disk" in run("node", "replace", "node-02", "--data", data, "--disk", "/nowhere", code=1)
    assert not (data / "nodes" / "node-02").exists()


def test_an_unknown_node_is_refused(data: Path) -> None:
    assert "there is no node node-09" in run("node", "replace", "node-09", "--data", data, code=1)
    shutil.rmtree(data / "nodes" / "node-02")
    run("node", "replace", "node-02", "--data", data)
    assert "there is no node" in run("node", "replace", "node-02~2", "--data", data, code=1)


def test_strays_of_the_lost_node_are_forgotten(data: Path) -> None:
    database = database_of(Home.of([data]))
    writer = database.writer()
    writer.start()
    row = rows(data)[1]
    writer.call(lambda conn: strays.add(conn, [StrayRow(row.number, BlobId(1), 0, 0, 1)]))
    writer.close()
    shutil.rmtree(data / "nodes" / "node-02")
    run("node", "replace", "node-02", "--data", data)
    assert strays.count(database.reader()) == 0
    database.close()
