"""Restoring a stopped store: cut off at every step and done again; and the backup file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.backup_file import Backup, BackupDamaged, read_backup, read_head, write_backup
from cli.bootstrap import open_store
from cli.home import Home
from cli.main import app
from cli.node_folders import find_nodes, keyring_copies
from cli.options import CommandError
from cli.restore import SEQUENCE_GAP, Copied, Remains, bring, put_in_place
from cli.store import database_of, open_existing
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.keycopies import newest
from cyxcloud.core.recovery_code import RecoveryCode
from cyxcloud.meta import cluster
from nodefs.folder import read_marker
from tests.unit.fleet.snapshot_faults import BreakingDisk, Broke, Faults

CODE = RecoveryCode(b"0123456789abcdef")
NOW_MS = 1_900_000_000_000
MOST_STEPS = 400


@dataclass(frozen=True, slots=True)
class Lost:
    """A store of five nodes, and a copy of its database."""

    home: Home
    copy: Path

    def source(self, path: Path) -> Copied:
        shutil.copyfile(self.copy, path)
        return Copied("the copy", 3, NOW_MS)

    def remains(self) -> Remains:
        found = find_nodes(self.home, [])
        keyring, _ = newest(CODE, keyring_copies(found))
        return Remains(keyring, found, 7)

    def restore(self, **more: Any) -> None:
        put_in_place(self.home, bring(self.home, self.source), self.remains(), NOW_MS, **more)


def start(home: Home, code: RecoveryCode = CODE) -> None:
    given = FirstStart(recovery_code=SecretStr(code.text()))
    open_store(home, config.load(home.path, {"nodes": 5, "profile": "2+1"}), given)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    start(Home.of([folder]))
    return folder


@pytest.fixture
def lost(made: Path, tmp_path: Path) -> Lost:
    return lost_at(made, tmp_path)


def lost_at(made: Path, folder: Path) -> Lost:
    shutil.copytree(made, folder / "data")
    shutil.copyfile(made / "meta" / "meta.db", folder / "copy.db")
    return Lost(Home.of([folder / "data"]), folder / "copy.db")


def incarnations(home: Home) -> set[bytes]:
    return {read_marker(folder).incarnation for folder in (home.path / "nodes").iterdir()}


def test_restore_gives_database_and_nodes_a_new_incarnation(lost: Lost) -> None:
    before = incarnations(lost.home)
    lost.restore()
    with open_existing(lost.home) as store:
        known = cluster.read(store.reader)
        assert known is not None
        assert not known.adopted
        assert known.restored_at_ms == NOW_MS
        assert cluster.snapshot_sequence(store.reader) == 7 + SEQUENCE_GAP
        assert store.keyring.is_confirmed(lost.home.keys)
    assert {known.incarnation} == incarnations(lost.home) != before
    aside = lost.home.path / "keys.before-restore-1" / "root-credentials"
    assert lost.home.root_credentials.read_bytes() == aside.read_bytes()
    assert oct(lost.home.root_credentials.stat().st_mode)[-3:] == "600"


def test_restore_of_a_mirror_that_the_nodes_are_ahead_of_is_refused(lost: Lost) -> None:
    """Its disk went before the home's, so that it could not even be marked."""
    copied = replace(bring(lost.home, lost.source), lacks_nothing=True)
    with pytest.raises(CommandError, match="the mirror fell behind"):
        put_in_place(lost.home, copied, lost.remains(), NOW_MS)
    assert not list(lost.home.path.glob("*.before-restore-*"))
    put_in_place(lost.home, copied, replace(lost.remains(), newest_sequence=0), NOW_MS)


def test_restore_of_a_damaged_database_changes_nothing(lost: Lost) -> None:
    with lost.copy.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"x" * 4096)
    with pytest.raises(CommandError, match="nothing was changed"):
        lost.restore()
    with open_existing(lost.home) as store:
        known = cluster.read(store.reader)
    assert known is not None
    assert {known.incarnation} == incarnations(lost.home)


def test_restore_of_another_stores_database_is_refused(lost: Lost, tmp_path: Path) -> None:
    other = Home.of([tmp_path / "other"])
    start(other)
    shutil.copyfile(other.meta / "meta.db", lost.copy)
    with pytest.raises(CommandError, match="another store"):
        lost.restore()
    assert not list(lost.home.path.glob("*.before-restore-*"))


def test_restore_beside_nodes_of_another_store_is_refused(lost: Lost, tmp_path: Path) -> None:
    """R33. Also where the other store's nodes are the many, and where its code is given."""
    other = Home.of([tmp_path / "other"])
    start(other, RecoveryCode(b"fedcba9876543210"))
    for home, named in ((lost.home, other.path), (other, lost.home.path / "nodes")):
        given = ["meta", "restore", "--data", str(home.path), "--recovery-code", CODE.text(), "--nodes", str(named)]
        said = CliRunner().invoke(app, given)
        assert said.exit_code == 1
        assert "node of another store" in said.stderr
        assert not list(home.path.glob("*.before-restore-*"))


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize(
    "only",
    [
        pytest.param(frozenset({"rename"}), id="renames"),
        pytest.param(frozenset(), id="all", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_restore_cut_off_at_every_step_can_be_done_again(
    made: Path, tmp_path: Path, mode: str, only: frozenset[str]
) -> None:
    """And until then the home is the old one, or refuses to open. Fails where meta is put in place before keys."""
    for at in range(1, MOST_STEPS):
        lost = lost_at(made, tmp_path / f"{at}")
        faults = Faults(at, mode)
        disk: Any = BreakingDisk(faults, only)
        try:
            lost.restore(disk=disk)
        except (Broke, CommandError):
            assert faults.met
        if lost.home.meta.exists():
            with open_existing(lost.home) as store:
                assert cluster.read(store.reader) is not None
        lost.restore()
        with open_existing(lost.home) as store:
            known = cluster.read(store.reader)
        assert known is not None
        assert {known.incarnation} == incarnations(lost.home)
        kept = [path / "meta.db" for path in lost.home.path.glob("meta.before-restore-*")]
        assert kept
        assert all(path.exists() for path in kept)
        shutil.rmtree(tmp_path / f"{at}")
        if not faults.met:
            assert at > 12, "a restore has more steps than that"
            return
    raise AssertionError("a restore does not end")


# The backup file


def backup(path: Path, source: Path) -> Backup:
    with closing(sqlite3.connect(source)) as driver:
        return write_backup(path, driver, Backup(b"c" * 16, NOW_MS, b"wrapped", b"bundle", 0))


def test_read_backup_gives_back_what_was_written(lost: Lost, tmp_path: Path) -> None:
    path = tmp_path / "file"
    written = backup(path, lost.copy)
    assert read_backup(path, tmp_path / "again.db") == read_head(path) == written
    with closing(sqlite3.connect(tmp_path / "again.db")) as driver:
        assert driver.execute("SELECT count(*) FROM node").fetchone() == (5,)
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert not list(tmp_path.glob(".tmp-*"))


def test_read_backup_damaged_anywhere_is_refused(lost: Lost, tmp_path: Path) -> None:
    path = tmp_path / "file"
    backup(path, lost.copy)
    whole = path.read_bytes()
    for at in (0, 9, 40, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BackupDamaged):
            read_backup(path, tmp_path / "again.db")
    for size in (0, 20, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(BackupDamaged):
            read_backup(path, tmp_path / "again.db")
    assert not (tmp_path / "again.db").exists()


def test_write_backup_over_an_older_one_replaces_it_whole(lost: Lost, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older")
    with closing(sqlite3.connect(tmp_path / "absent.db")) as closed:
        closed.close()
        with pytest.raises(sqlite3.ProgrammingError):
            write_backup(path, closed, Backup(b"c" * 16, NOW_MS, b"", b"", 0))
    assert path.read_bytes() == b"older"
    backup(path, lost.copy)
    assert read_head(path).wrapped == b"wrapped"
    assert database_of(lost.home).path.exists()
