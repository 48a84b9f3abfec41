"""The metadata's mirror around starts and commands."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cli import cleanstop, mirror
from cli.bootstrap import Opened, open_store
from cli.home import Home
from cli.options import CommandError
from cli.status import gather
from cli.store import database_of, open_existing
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.keycopies import read_copy
from cyxcloud.meta import cluster
from cyxcloud.meta.mirror_copies import restore_from_mirror
from cyxcloud.meta.mirror_state import GOOD_MARK, Step, read_state

SMALL = {"nodes": 8, "profile": "2+2"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.of([tmp_path / "one", tmp_path / "two"])


def start(home: Home, **options: object) -> Opened:
    return open_store(home, config.load(home.path, SMALL | options), FirstStart())


def mirrored(home: Home) -> Path:
    return home.more[0] / "meta-mirror"


def tick(home: Home, now_ms: int) -> None:
    with open_existing(home) as store:
        store.change(lambda conn: cluster.tick(conn, now_ms, now_ms))


def clock_in(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'meta.db'}?mode=ro", uri=True)) as driver:
        found = driver.execute("SELECT now_ms FROM store_clock").fetchone()
        return 0 if found is None else int(found[0])


def test_first_start_on_two_disks_mirrors_metadata_and_keys_on_the_second(home: Home) -> None:
    opened = start(home)
    folder = mirrored(home)
    assert (folder / "meta.db").read_bytes() == (home.meta / "meta.db").read_bytes()
    assert read_copy(folder / "keyring") is not None
    assert (folder / GOOD_MARK).exists()
    assert opened.survives.disks == 1
    assert any("mirrored in" in note for note in opened.notes)


def test_one_disk_has_no_mirror_and_survives_none(tmp_path: Path) -> None:
    home = Home.of([tmp_path / "one"])
    opened = start(home)
    assert read_state(home.meta) is None
    assert opened.survives.disks == 0
    with open_existing(home) as store:
        assert gather(home, store)["mirror"] is None


def test_the_setting_names_another_folder_and_none_ends_it(home: Home, tmp_path: Path) -> None:
    start(home, meta_mirror=tmp_path / "three" / "m")
    assert (tmp_path / "three" / "m" / GOOD_MARK).exists()
    start(home)
    assert not mirrored(home).exists(), "where it was before, when nothing is said"
    start(home, meta_mirror=mirrored(home))
    assert (mirrored(home) / GOOD_MARK).exists()
    assert not (tmp_path / "three" / "m" / GOOD_MARK).exists(), "left behind: it must not pass for a good one"
    opened = start(home, meta_mirror="none")
    assert read_state(home.meta) is None
    assert not (mirrored(home) / GOOD_MARK).exists()
    assert opened.survives.disks == 0


def test_status_says_where_the_mirror_is_and_since_when(home: Home) -> None:
    start(home)
    with open_existing(home) as store:
        value = gather(home, store)
    assert value["mirror"]["path"] == str(mirrored(home))
    assert value["mirror"]["state"] == "in step"
    assert value["mirror"]["since"] > 1_700_000_000_000
    assert value["survives"]["disks"] == 1


def test_a_command_on_a_stopped_store_leaves_the_mirror_equal(home: Home) -> None:
    start(home)
    for now_ms in (5_000, 6_000, 7_000):
        tick(home, now_ms)
        assert clock_in(mirrored(home)) == now_ms
        state = read_state(home.meta)
        assert state is not None
        assert state.step is Step.IN_STEP


def test_a_home_older_than_its_mirror_is_refused_and_the_mirror_left_alone(home: Home, tmp_path: Path) -> None:
    start(home)
    shutil.copytree(home.meta, tmp_path / "last night")
    tick(home, 9_000_000_000_000)
    shutil.rmtree(home.meta)
    shutil.copytree(tmp_path / "last night", home.meta)
    with pytest.raises(CommandError, match=r"older than its mirror.*meta restore --data .* --from-mirror"):
        start(home)
    assert clock_in(mirrored(home)) == 9_000_000_000_000
    shutil.rmtree(home.meta)
    restore_from_mirror(mirrored(home), home.meta / "meta.db")
    start(home)
    assert clock_in(home.meta) == 9_000_000_000_000


def test_another_stores_mirror_is_refused(home: Home, tmp_path: Path) -> None:
    other = Home.of([tmp_path / "other", tmp_path / "another"])
    start(home)
    start(other)
    with pytest.raises(CommandError, match="another store"):
        start(home, meta_mirror=mirrored(other))


def test_a_mirrors_folder_that_cannot_be_used_holds_up_no_start(home: Home) -> None:
    start(home)
    shutil.rmtree(mirrored(home))
    mirrored(home).symlink_to("/proc/nothing")
    opened = start(home)
    assert opened.survives.disks == 0
    assert any("stale" in note for note in opened.notes)
    mirrored(home).unlink()
    assert start(home).survives.disks == 1


def test_a_damaged_database_is_refused_with_the_way_back(home: Home) -> None:
    start(home)
    path = home.meta / "meta.db"
    data = bytearray(path.read_bytes())
    for page in range(5, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(CommandError, match=rf"--from-mirror {mirrored(home)}.*from the nodes.*--file FILE"):
        start(home)


def test_the_mark_of_a_served_store_stands_until_it_is_taken_away(home: Home) -> None:
    start(home)
    assert not cleanstop.is_running_marked(home)
    cleanstop.mark(home)
    assert cleanstop.is_running_marked(home)
    start(home)
    cleanstop.unmark(home)
    assert not cleanstop.is_running_marked(home)


def test_remedy_names_what_there_is(home: Home, tmp_path: Path) -> None:
    assert "--from-mirror" not in mirror.remedy(Home.of([tmp_path / "one"]))
    start(home)
    shutil.rmtree(home.meta)
    assert f"--from-mirror {mirrored(home)}" in mirror.remedy(home), "the state file is gone with the home's metadata"
    database_of(home).close()
