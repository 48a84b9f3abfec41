"""`cyxcloud disk` on a stopped store."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.bootstrap import open_store
from cli.home import Home
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.meta.rows import DOWN
from nodefs.folder import open_folder
from tests.unit.cli.test_commands import run, run_json
from tests.unit.cli.test_nodes import rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    home = Home.of([tmp_path / "one", tmp_path / "two", tmp_path / "three"])
    open_store(home, config.load(home.path, {"nodes": 6, "profile": "3+2"}), FirstStart())
    return home.path


def test_a_disk_gets_as_many_nodes_as_the_others_have(data: Path, tmp_path: Path) -> None:
    new = tmp_path / "four"
    new.mkdir()
    done = run_json("disk", "add", new, "--data", data)
    assert done == {"disk": str(new), "nodes": ["node-07", "node-08"], "opened": False}
    added = rows(data)[6:]
    assert [(row.number, row.name, row.disk, row.state) for row in added] == [
        (number, f"node-0{number}", str(new), DOWN) for number in (7, 8)
    ]
    assert [open_folder(new / "nodes" / row.name).identity.node_id for row in added] == [row.node_id for row in added]
    assert (new / "nodes" / "node-07" / "keyring" / "bundle").is_file()
    listed = run_json("disk", "list", "--data", data)
    assert {row["disk"]: row["nodes"] for row in listed} == {
        **{str(data.with_name(name)): 2 for name in ("one", "two", "three")},
        str(new): 2,
    }


def test_the_next_start_opens_the_new_disks_nodes(data: Path, tmp_path: Path) -> None:
    new = tmp_path / "four"
    new.mkdir()
    run_json("disk", "add", new, "--nodes", "1", "--data", data)
    opened = open_store(Home.of([data]), config.load(data), FirstStart())
    assert new / "nodes" / "node-07" in opened.node_folders


def test_what_is_no_empty_disk_is_refused(data: Path, tmp_path: Path) -> None:
    assert "mount the disk" in run("disk", "add", tmp_path / "absent", "--data", data, code=1)
    assert not (tmp_path / "absent").exists()
    assert "holds nodes already" in run("disk", "add", data.with_name("two"), "--data", data, code=1)
    assert len(rows(data)) == 6


def test_a_disk_that_cannot_be_spared_is_refused(data: Path, tmp_path: Path) -> None:
    assert "home" in run("disk", "remove", data, "--data", data, code=1)
    assert "its disks are" in run("disk", "remove", tmp_path, "--data", data, code=1)
    assert "--meta-mirror" in run("disk", "remove", data.with_name("two"), "--data", data, code=1)
    assert "cannot hold" in run("disk", "remove", data.with_name("three"), "--data", data, code=1)
    assert not any(row.leaving for row in rows(data))


def test_a_stopped_store_moves_nothing_and_says_so(data: Path, tmp_path: Path) -> None:
    new = tmp_path / "four"
    new.mkdir()
    run_json("disk", "add", new, "--data", data)
    assert "start the store" in run("disk", "remove", new, "--data", data, code=1)
    assert [row.leaving for row in rows(data)] == [False] * 6 + [True] * 2
    assert run_json("disk", "remove", new, "--cancel", "--data", data) == {"cancelled": True}
    assert not any(row.leaving for row in rows(data))
