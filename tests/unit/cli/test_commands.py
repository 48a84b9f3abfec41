"""The commands on a stopped store, as scripts call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.bootstrap import open_store
from cli.home import Home, take_locks
from cli.main import app
from cli.store import database_of
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import accounts, cluster
from cyxcloud.shards.cid import CidBuilder, cid_text


@pytest.fixture
def data(tmp_path: Path) -> Path:
    home = Home.of([tmp_path / "data"])
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), FirstStart())
    return home.path


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def run_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_added_user_has_a_key_that_opens(data: Path) -> None:
    made = run_json(
        "user", "add", "--data", data, "--id", "testid", "--display-name", "M. Tester", "--email", "m@x.org"
    )
    assert (made["id"], made["display_name"], made["email"]) == ("testid", "M. Tester", "m@x.org")
    database = database_of(Home.of([data]))
    found = accounts.credentials(database.reader(), made["access_key"])
    assert found is not None
    assert found[1].canonical_id == "testid"
    assert not found[1].is_root
    assert Keyring.open(data / "keys").open_secret(made["access_key"], found[0].secret) == made["secret_key"]
    database.close()


def test_given_keys_are_taken(data: Path) -> None:
    pair = ("--access-key", "GIVEN-KEY", "--secret-key", "given secret".replace(" ", "-"))
    made = run_json("user", "add", "--data", data, "--id", "testx$9876", *pair)
    assert (made["access_key"], made["secret_key"]) == ("GIVEN-KEY", "given-secret")
    assert made["display_name"] == "testx$9876"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--id", "taken"], "there is a user taken"),
        (["--access-key", "ONLYHALF"], "go together"),
        (["--access-key", "x", "--secret-key", "long-enough"], "access key: 3 to 128"),
        (["--access-key", "fine", "--secret-key", "short"], "secret key: 8 to 128"),
        (["--access-key", "TAKENKEY", "--secret-key", "long-enough"], "TAKENKEY is taken"),
        (["--id", "two words"], "id: 1 to 128"),
        (["--display-name", "a\nb"], "display name"),
    ],
)
def test_impossible_user_is_refused_whole(data: Path, options: list[str], said: str) -> None:
    run("user", "add", "--data", data, "--id", "taken", "--access-key", "TAKENKEY", "--secret-key", "its-secret")
    before = run_json("user", "list", "--data", data)
    assert said in run("user", "add", "--data", data, *options, code=1)
    assert run_json("user", "list", "--data", data) == before


def test_users_are_listed_with_root(data: Path) -> None:
    run("user", "add", "--data", data, "--id", "testid")
    listed = run_json("user", "list", "--data", data)
    assert [(user["id"], user["is_root"], user["keys"]) for user in listed if user["id"] == "testid"] == [
        ("testid", False, 1)
    ]
    assert [user["display_name"] for user in listed if user["is_root"]] == ["root"]


def test_key_lives_through_its_states(data: Path) -> None:
    def epoch() -> int:
        database = database_of(Home.of([data]))
        try:
            return cluster.epochs(database.reader()).access
        finally:
            database.close()

    def enabled(access_key: str) -> list[bool]:
        return [key["enabled"] for key in run_json("key", "list", "--data", data) if key["access_key"] == access_key]

    epochs = [epoch()]
    made = run_json("key", "create", "--data", data, "--description", "laptop")
    epochs.append(epoch())
    assert enabled(made["access_key"]) == [True]
    for command, after in (("disable", [False]), ("enable", [True]), ("delete", [])):
        run_json("key", command, made["access_key"], "--data", data)
        epochs.append(epoch())
        assert enabled(made["access_key"]) == after
    assert epochs == sorted(set(epochs)), "gateways learn of each change by the epoch"


@pytest.mark.parametrize("command", ["disable", "enable", "delete"])
def test_unknown_key_is_refused(data: Path, command: str) -> None:
    assert "there is no access key NOBODY" in run("key", command, "NOBODY", "--data", data, code=1)


def test_key_of_an_unknown_user_is_refused(data: Path) -> None:
    assert "there is no user nobody" in run("key", "create", "--user", "nobody", "--data", data, code=1)


def test_keys_of_one_user(data: Path) -> None:
    run("user", "add", "--data", data, "--id", "testid", "--access-key", "ITSKEY", "--secret-key", "its-secret")
    assert [key["access_key"] for key in run_json("key", "list", "--user", "testid", "--data", data)] == ["ITSKEY"]
    assert len(run_json("key", "list", "--data", data)) == 2


def test_commands_refuse_a_folder_without_a_store(tmp_path: Path) -> None:
    assert "there is no store" in run("user", "list", "--data", tmp_path, code=1)
    assert list(tmp_path.iterdir()) == []


def test_status_of_a_stopped_store(data: Path) -> None:
    value = run_json("status", "--data", data)
    assert (value["version"], value["ready"], value["roles"]) == (1, False, [])
    assert value["survives"] == {"nodes": 1, "disks": 0}
    assert value["repair"] == {"queued": 0}
    assert value["health"] == {"chunks": 0, "by_shards": {}}
    assert {name: value["mover"][name] for name in ("queued", "running", "done")} == dict.fromkeys(
        ("queued", "running", "done"), 0
    )
    assert [(node["name"], node["state"]) for node in value["nodes"]] == [
        (f"node-0{number}", "stopped") for number in (1, 2, 3)
    ]
    assert run("status", "--data", data).startswith("stopped")


def test_roles_of_a_killed_supervisor_are_not_believed(data: Path) -> None:
    (data / "run").mkdir()
    (data / "run" / "roles.json").write_text('[{"role": "gateway", "pid": 1, "endpoint": "http://127.0.0.1:1"}]')
    assert run_json("status", "--data", data)["roles"] == []


def test_up_refuses_a_served_folder(data: Path) -> None:
    held = take_locks(Home.of([data]))
    assert "is served by another cyxcloud" in run("up", "--data", data, code=3)
    assert len(held) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "nowhere"], "listen: must be HOST:PORT"),
        (["--profile", "10"], "profile: must be DATA+PARITY"),
        (["--tls-cert", "cert.pem"], "tls: cert and key go together"),
        (["--tls-cert", "/nowhere/c.pem", "--tls-key", "/nowhere/k.pem"], "tls.cert: /nowhere/c.pem: No such file"),
    ],
)
def test_up_names_a_wrong_option(tmp_path: Path, options: list[str], said: str) -> None:
    assert said in run("up", "--data", tmp_path, *options, code=2)
    assert list(tmp_path.iterdir()) == []


def test_up_refuses_files_that_are_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    options = ["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "cert.pem"]
    assert "tls: " in run("up", "--data", tmp_path / "data", *options, code=2)
    assert not (tmp_path / "data").exists()


def test_cid_is_the_stores(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 5_000_000)
    builder = CidBuilder()
    builder.update(file.read_bytes())
    expected = cid_text(builder.finish())
    assert run("cid", file) == f"{expected}\n"
    assert run_json("cid", file) == {"cid": expected, "size": 5_000_000, "layout": "5000000"}


def test_cid_of_parts_differs_and_bad_layouts_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 300)
    assert run("cid", file, "--layout", "100*3") != run("cid", file)
    assert "--layout: the layout names fewer bytes" in run("cid", file, "--layout", "100*2", code=1)
    assert "--layout: not a size" in run("cid", file, "--layout", "many", code=1)


def test_version_is_the_packages() -> None:
    assert run_json("version") == {"version": run("version").strip()}
