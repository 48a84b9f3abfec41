"""The first start, every later one, and what is refused."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli import bootstrap, store
from cli.bootstrap import Opened, open_store
from cli.home import Home
from cli.layout import LayoutError
from cli.options import CommandError
from cli.store import database_of
from cyxcloud.core import config
from cyxcloud.core.config import ConfigError, FirstStart, Settings
from cyxcloud.core.identity import NodeIdentity, node_id_of
from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.recovery_code import RecoveryCode
from cyxcloud.meta import accounts, cluster, nodes, placements
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import NodeRow
from nodefs.folder import open_folder

SMALL = {"nodes": 5, "profile": "2+1"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.of([tmp_path / "data"])


def settings(home: Home, options: dict[str, object]) -> Settings:
    return config.load(home.path, {**SMALL, **options})


def start(home: Home, given: FirstStart | None = None, options: dict[str, object] | None = None) -> Opened:
    return open_store(home, settings(home, options or {}), given or FirstStart())


def root_secret(home: Home, access_key: str) -> str:
    database = database_of(home)
    try:
        found = accounts.credentials(database.reader(), access_key)
        assert found is not None
        key, owner = found
        assert owner.is_root
        assert key.enabled
        return Keyring.open(home.keys).open_secret(access_key, key.secret)
    finally:
        database.close()


def test_first_start_makes_a_whole_store(home: Home) -> None:
    opened = start(home)
    assert len(opened.node_folders) == 5
    assert (opened.profile.k, opened.profile.m) == (2, 1)
    assert (opened.survives.nodes, opened.survives.disks) == (1, 0)
    database = database_of(home)
    row = cluster.read(database.reader())
    assert row is not None
    keyring = Keyring.open(home.keys)
    assert row.cluster_id == keyring.cluster_id
    for known, folder in zip(nodes.read_all(database.reader()), opened.node_folders, strict=True):
        node = open_folder(folder)
        assert (node.marker.node_id, node.marker.name) == (known.node_id, known.name)
        assert (node.marker.cluster_id, node.marker.incarnation) == (row.cluster_id, row.incarnation)
        assert (folder / "keyring" / "bundle").is_file()
    assert len(placements.read_all(database.reader())) == 10  # all threes of five
    database.close()


def test_default_store_has_sixteen_nodes_and_all_placements(tmp_path: Path) -> None:
    home = Home.of([tmp_path])
    opened = open_store(home, config.load(tmp_path), FirstStart())
    assert (len(opened.node_folders), opened.survives.nodes) == (16, 4)
    database = database_of(home)
    assert len(placements.read_all(database.reader())) == 120
    database.close()


def test_secrets_are_told_until_they_were_shown(home: Home) -> None:
    first = start(home).secrets
    assert first is not None
    assert start(home).secrets == first, "a crash before they were shown must not swallow them"
    bootstrap.forget_secrets(home)
    assert start(home).secrets is None


def test_secrets_open_what_they_should(home: Home) -> None:
    told = start(home).secrets
    assert told is not None
    assert root_secret(home, told.access_key) == told.secret_key
    node = home.path / "nodes" / "node-03" / "keyring"
    parts = (node / "master.wrapped").read_bytes(), (node / "bundle").read_bytes()
    recovered = Keyring.recover(RecoveryCode.parse(told.recovery_code), *parts)
    assert recovered.master == Keyring.open(home.keys).master
    text = home.root_credentials.read_text()
    assert told.access_key in text
    assert told.secret_key in text


def test_secret_files_are_private(home: Home) -> None:
    start(home)
    assert home.keys.stat().st_mode & 0o777 == 0o700
    for path in home.keys.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_second_start_changes_nothing(home: Home) -> None:
    first = start(home)
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file() and path.parent != home.meta}
    assert start(home) == first
    after = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file() and path.parent != home.meta}
    assert before == after


def test_given_secrets_replace_generated_ones(home: Home) -> None:
    code = RecoveryCode.generate().text()
    given = FirstStart(
        root_access_key="ROOTKEY", root_secret_key=SecretStr("root-secret"), recovery_code=SecretStr(code)
    )
    told = start(home, given).secrets
    assert told is not None
    assert (told.access_key, told.secret_key, told.recovery_code) == ("ROOTKEY", "root-secret", code)
    assert root_secret(home, "ROOTKEY") == "root-secret"


def test_root_key_given_later_is_the_roots_too(home: Home) -> None:
    start(home)
    given = FirstStart(root_access_key="ROOTKEY", root_secret_key=SecretStr("root-secret"))
    start(home, given)
    assert root_secret(home, "ROOTKEY") == "root-secret"
    changed = FirstStart(root_access_key="ROOTKEY", root_secret_key=SecretStr("another-secret"))
    start(home, changed)
    assert root_secret(home, "ROOTKEY") == "another-secret"
    assert "another-secret" in home.root_credentials.read_text()


def test_wrong_recovery_code_is_refused_before_anything_is_made(home: Home) -> None:
    with pytest.raises(ConfigError, match=r"^CYXCLOUD_RECOVERY_CODE: .*correct or unset"):
        start(home, FirstStart(recovery_code=SecretStr("nonsense")))
    assert not home.path.exists()


def test_too_few_nodes_make_nothing(home: Home) -> None:
    with pytest.raises(LayoutError):
        start(home, options={"nodes": 2})
    assert not home.path.exists()


@pytest.mark.parametrize("option", [{"nodes": 6}, {"profile": "3+1"}])
def test_what_is_fixed_is_not_silently_ignored(home: Home, option: dict[str, object]) -> None:
    start(home)
    with pytest.raises(ConfigError, match=r"this store (was made with|has)"):
        start(home, options=option)


def test_empty_database_beside_nodes_is_refused(home: Home) -> None:
    start(home)
    shutil.rmtree(home.meta)
    with pytest.raises(CommandError, match=r"holds no store but .*nodes"):
        start(home)
    assert (home.path / "nodes" / "node-01" / "node.json").exists()


def test_database_of_another_release_is_refused(home: Home) -> None:
    start(home)
    with contextlib.closing(sqlite3.connect(home.meta / "meta.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(CommandError, match="has schema 9999, this program needs"):
        start(home)


def test_damaged_database_is_refused(home: Home) -> None:
    start(home)
    path = home.meta / "meta.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    with pytest.raises(CommandError, match=r"meta.db cannot be read|meta.db: "):
        start(home)


def test_missing_keyring_is_refused_with_the_remedy(home: Home) -> None:
    start(home)
    shutil.rmtree(home.keys)
    with pytest.raises(CommandError, match="recovery code"):
        start(home)
    assert not home.keys.exists()


def test_missing_node_folder_is_not_made_again(home: Home) -> None:
    start(home)
    shutil.rmtree(home.path / "nodes" / "node-02")
    opened = start(home)
    assert home.path / "nodes" / "node-02" in opened.node_folders
    assert not (home.path / "nodes" / "node-02").exists()


def test_nodes_are_found_when_a_disk_is_mounted_elsewhere(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c", "d")]
    opened = open_store(Home.of(folders), config.load(folders[0]), FirstStart())
    assert (opened.survives.nodes, opened.survives.disks) == (4, 1)
    assert len({folder.parent for folder in opened.node_folders}) == 4
    folders[1].rename(tmp_path / "moved")
    again = open_store(Home.of([folders[0], tmp_path / "moved", *folders[2:]]), config.load(folders[0]), FirstStart())
    assert all(folder.is_dir() for folder in again.node_folders)
    only_home = open_store(Home.of([folders[0]]), config.load(folders[0]), FirstStart())
    assert sum(folder.is_dir() for folder in only_home.node_folders) == 15


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("victim", ["upgrade", "Keyring.create", "new_node", "change", "_write_credentials"])
def test_killed_first_start_begins_anew(home: Home, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    """Killed in each step of the first start; the next one makes a whole store whose secrets it tells."""
    left = 1 if victim != "new_node" else 3
    owner, name = {
        "upgrade": (Database, "upgrade"),
        "Keyring.create": (Keyring, "create"),
    }.get(victim, (bootstrap, victim))
    real = getattr(owner, name)

    def dying(*args: object, **kwargs: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(Killed):
            start(home)
    test_first_start_makes_a_whole_store(home)
    test_secrets_open_what_they_should(home)
    assert sorted(path.name for path in home.path.iterdir()) == ["keys", "meta", "nodes"]


def test_killed_after_the_commit_keeps_the_store(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    real = store.change

    def commit_then_die(database: Database, request: Callable[[Connection], None]) -> None:
        real(database, request)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "change", commit_then_die)
        with pytest.raises(Killed):
            start(home)
    before = (home.keys / "master").read_bytes()
    told = start(home).secrets
    assert told is not None
    assert (home.keys / "master").read_bytes() == before
    assert root_secret(home, told.access_key) == told.secret_key


FLEET: dict[str, object] = {"nodes": 0, "profile": "2+1", "fleet": {"listen": "127.0.0.1:0"}}


def remote(number: int) -> NodeRow:
    key = NodeIdentity.generate().public_key
    return NodeRow(
        number=NodeNumber(number),
        node_id=node_id_of(key),
        name=f"far-{number}",
        endpoint="",
        host="192.0.2.1",
        disk=key.hex(),
        zone="",
        operator="",
        state="up",
        reason="",
        total_bytes=0,
        used_bytes=0,
        free_bytes=0,
        shard_count=0,
        seen_at_ms=0,
        joined_at_ms=0,
        address="192.0.2.1:4001",
        public_key=key,
    )


def test_a_store_without_nodes_has_no_placements_and_waits(home: Home) -> None:
    opened = start(home, options=FLEET)
    assert (opened.node_folders, opened.remote_nodes) == ((), 0)
    assert any("0 of the 3 nodes that 2+1 needs have joined" in note for note in opened.notes)
    database = database_of(home)
    assert placements.read_all(database.reader()) == []
    database.close()


def test_a_store_without_nodes_and_without_a_way_in_is_refused(home: Home) -> None:
    with pytest.raises(ConfigError, match="give --fleet-listen"):
        start(home, options={"nodes": 0})
    assert not home.meta.exists()


def test_the_next_start_counts_only_nodes_of_this_box(home: Home) -> None:
    start(home, options=FLEET)
    database = database_of(home)
    for number in (1, 2, 3):
        store.change(database, partial(nodes.upsert, row=remote(number)))
    database.close()
    opened = start(home, options=FLEET)
    assert (opened.node_folders, opened.remote_nodes) == ((), 3)
    assert not any("have joined" in note for note in opened.notes)


def test_nodes_elsewhere_leave_the_local_ones_as_they_were(home: Home) -> None:
    first = start(home)
    database = database_of(home)
    store.change(database, lambda conn: nodes.upsert(conn, remote(9)))
    database.close()
    again = start(home)
    assert again.node_folders == first.node_folders
    assert any("nowhere to report" in note for note in again.notes)
