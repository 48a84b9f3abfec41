"""R33: a start on the wrong database, keys or nodes is refused, says what to do, and changes nothing on any node."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import consistency
from cli.bootstrap import open_store
from cli.consistency import DatabaseSays, NodeSays, mismatch
from cli.home import Home
from cli.options import CommandError
from cli.store import change, database_of
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.ids import BlobId
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.snapshot_pointer import Pointer, wrap_dek, write_pointer
from nodefs import folder
from nodefs.folder import POINTER

Breaks = Callable[[Home, Home], None]


def start(home: Home) -> None:
    open_store(home, config.load(home.path, {"nodes": 5, "profile": "2+1"}), FirstStart())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.of([tmp_path / "data"])
    start(made)
    return made


@pytest.fixture
def other(tmp_path: Path) -> Home:
    made = Home.of([tmp_path / "other"])
    start(made)
    return made


def on_nodes(home: Home) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (home.path / "nodes").rglob("*") if path.is_file()}


def point(home: Home, sequence: int, nodes: int = 1, keyring: Keyring | None = None) -> None:
    """A snapshot was taken: the database says so, and some nodes."""
    keys = keyring or Keyring.open(home.keys)
    pointer = Pointer(
        keys.cluster_id, b"i" * 16, sequence, 1, BlobId(1), 1, 2, 1, 1, wrap_dek(keys.master, BlobId(1), b"k" * 32), ()
    )
    for number in range(1, nodes + 1):
        (home.path / "nodes" / f"node-0{number}" / POINTER).write_bytes(write_pointer(pointer, keys.master))


def know(home: Home, sequence: int) -> None:
    database = database_of(home)
    change(database, lambda conn: cluster.raise_epoch(conn, Epoch.SNAPSHOT, sequence))
    database.close()


def deleted(home: Home, _: Home) -> None:
    shutil.rmtree(home.meta)


def file_deleted(home: Home, _: Home) -> None:
    (home.meta / "meta.db").unlink()


def emptied(home: Home, _: Home) -> None:
    (home.meta / "meta.db").write_bytes(b"")


def truncated(home: Home, _: Home) -> None:
    path = home.meta / "meta.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_in_the_header(home: Home, _: Home) -> None:
    path = home.meta / "meta.db"
    path.write_bytes(path.read_bytes()[:90])


def not_a_database(home: Home, _: Home) -> None:
    (home.meta / "meta.db").write_bytes(b"something else altogether" * 1000)


def swapped(home: Home, other: Home) -> None:
    shutil.rmtree(home.meta)
    shutil.copytree(other.meta, home.meta)


def swapped_with_its_keys(home: Home, other: Home) -> None:
    swapped(home, other)
    shutil.rmtree(home.keys)
    shutil.copytree(other.keys, home.keys)


def keys_deleted(home: Home, _: Home) -> None:
    shutil.rmtree(home.keys)


def keys_of_another_store(home: Home, other: Home) -> None:
    shutil.rmtree(home.keys)
    shutil.copytree(other.keys, home.keys)


def master_deleted(home: Home, _: Home) -> None:
    (home.keys / "master").unlink()


def older_than_the_nodes_know(home: Home, _: Home) -> None:
    know(home, 5)
    point(home, 6)


def of_before_a_restore(home: Home, _: Home) -> None:
    for path in (home.path / "nodes").iterdir():
        folder.adopt(path, b"r" * 16)


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (deleted, "holds no store but"),
        (file_deleted, "holds no store but"),
        (emptied, "holds no store but"),
        (truncated, "meta.db"),
        (cut_in_the_header, "meta.db cannot be read"),
        (not_a_database, "meta.db cannot be read"),
        (swapped, "belongs to another store"),
        (swapped_with_its_keys, "belongs to another store than the nodes"),
        (keys_deleted, "recovery code"),
        (keys_of_another_store, "belongs to another store"),
        (master_deleted, "recovery code"),
        (older_than_the_nodes_know, r"is an old copy: it knows of snapshot 5, the nodes of 6.*meta restore"),
        (of_before_a_restore, r"of another incarnation than the nodes.*meta restore"),
    ],
)
def test_up_refuses_with_what_to_do_and_leaves_the_nodes_alone(
    home: Home, other: Home, breaks: Breaks, says: str
) -> None:
    breaks(home, other)
    before = on_nodes(home)
    keys = sorted(path.name for path in home.keys.glob("*"))
    with pytest.raises(CommandError, match=says):
        start(home)
    assert on_nodes(home) == before
    assert sorted(path.name for path in home.keys.glob("*")) == keys, "never a new keyring over old data"


def test_up_takes_a_database_as_new_as_the_nodes_say(home: Home) -> None:
    know(home, 6)
    point(home, 6, nodes=5)
    start(home)


def test_up_believes_no_pointer_that_the_master_key_has_not_made(home: Home, other: Home) -> None:
    point(home, 9, keyring=Keyring.open(other.keys))
    (home.path / "nodes" / "node-02" / POINTER).write_bytes(b"CYXSNPT\x01 torn")
    start(home)


def test_up_serves_beside_a_single_foreign_folder(home: Home, other: Home) -> None:
    shutil.rmtree(home.path / "nodes" / "node-01")
    shutil.copytree(other.path / "nodes" / "node-01", home.path / "nodes" / "node-01")
    start(home)


def test_up_takes_a_store_of_the_first_release(home: Home) -> None:
    """Whose database is not brought up to date yet is looked at all the same."""
    with contextlib.closing(sqlite3.connect(home.meta / "meta.db")) as database:
        assert database.execute("SELECT one FROM cluster").fetchall() == [(1,)]
        database.execute("ALTER TABLE cluster DROP COLUMN adopted")
        database.commit()
    found = database_of(home)
    assert cluster.exists(found.reader())
    found.close()


def says(*incarnations: bytes, cluster_id: bytes = b"c", snapshot: int = 0) -> list[NodeSays]:
    return [NodeSays(Path("n"), cluster_id, incarnation, snapshot) for incarnation in incarnations]


@pytest.mark.parametrize(
    ("found", "is_adopted", "reason"),
    [
        ([], True, ""),
        (says(b"i", b"i", b"j"), True, ""),
        (says(b"i", b"j", b"j"), True, "another incarnation"),
        (says(b"j", b"j", b"j"), False, ""),
        (says(b"i", b"i") + says(b"i", cluster_id=b"x"), True, ""),
        (says(b"i") + says(b"i", b"i", cluster_id=b"x"), True, "another store than the nodes"),
        (says(b"i", b"i", b"i") + says(b"i", snapshot=4), True, "old copy"),
        (says(b"i", b"i") + says(b"i", cluster_id=b"x", snapshot=4), True, ""),
    ],
)
def test_mismatch_follows_most_nodes_but_the_newest_snapshot(
    found: list[NodeSays], *, is_adopted: bool, reason: str
) -> None:
    said = mismatch(DatabaseSays(b"c", b"i", 3, is_adopted), b"c", found)
    assert reason in said
    assert bool(said) == bool(reason)
    assert consistency.mismatch(DatabaseSays(b"c", b"i", 3, is_adopted), b"k", found)
