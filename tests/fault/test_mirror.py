"""The metadata's mirror under a disk that fails or loses power at every operation, and copies of the home at each COMMIT.

Both say the same: what was answered can be restored, or the mirror does not bear the mark of a good one.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.mirror import Mirror
from cyxcloud.meta.mirror_catchup import catch_up, prepare, rest
from cyxcloud.meta.mirror_copies import restore_from_mirror
from cyxcloud.meta.mirror_state import GOOD_MARK, Step, read_state
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.meta.writer import Writer
from tests.fault.faultdisk import FaultDisk
from tests.fault.meta_child import write_pair
from tests.fault.sweep import Case, crash_everywhere, fail_everywhere

CLUSTER = b"c" * 16


def made(root: Path) -> None:
    database = Database(root / "home" / "meta.db")
    database.upgrade()
    writer = database.writer()
    writer.start()
    writer.call(lambda conn: cluster.create(conn, ClusterRow(CLUSTER, b"i" * 16, 1, 5)))
    writer.close()
    database.close()


def work(disk: FaultDisk, answered: set[int]) -> None:
    """A mirror is made, follows, rests, and is caught up again."""
    path, folder = disk.root / "home" / "meta.db", disk.root / "two" / "mirror"
    prepare(path, folder, CLUSTER, disk)
    catch_up(path, disk=disk)
    writer = Writer(path, Mirror(path, disk))
    writer.start()
    try:
        write(writer, disk, answered, range(1, 5))
        rest(path.parent)
        write(writer, disk, answered, range(5, 8), mirrored=False)
        catch_up(path, disk=disk)
        answered |= set(range(5, 8))
        write(writer, disk, answered, range(8, 11))
    finally:
        writer.close()


def write(writer: Writer, disk: FaultDisk, answered: set[int], numbers: range, *, mirrored: bool = True) -> None:
    for number in numbers:
        writer.call(partial(write_pair, number=number))
        if mirrored and not disk.lost:
            answered.add(number)


def check(root: Path, answered: set[int]) -> None:
    folder = root / "two" / "mirror"
    if not (folder / GOOD_MARK).exists():
        return
    restore_from_mirror(folder, root / "restored" / "meta.db")
    assert answered <= numbers_in(root / "restored" / "meta.db")


def numbers_in(path: Path) -> set[int]:
    with closing(sqlite3.connect(path)) as driver:
        bodies = {row[0] for row in driver.execute("SELECT blob FROM inline")}
        assert bodies == {row[0] for row in driver.execute("SELECT bucket FROM usage")}, "a torn pair"
        assert driver.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return bodies


def must_be_good(root: Path, answered: set[int]) -> None:
    """At a crash alone: while it was in step it says so, whatever was cut off."""
    check(root, answered)
    if 1 in answered and 5 not in answered:
        state = read_state(root / "home")
        assert state is not None
        assert state.step is not Step.IN_STEP or (root / "two" / "mirror" / GOOD_MARK).exists()


CASE: Case[set[int]] = Case(made, set, work, check, around=["home/*"])
CRASH: Case[set[int]] = Case(made, set, work, must_be_good, around=["home/*"])


@pytest.mark.parametrize(
    ("every", "seeds", "least"),
    [(1, 1, 100), pytest.param(1, 16, 200, marks=[pytest.mark.long])],
    ids=["sample", "all"],
)
def test_a_good_mirror_has_every_answer_wherever_the_power_goes(
    tmp_path: Path, every: int, seeds: int, least: int
) -> None:
    assert crash_everywhere(CRASH, tmp_path, every=every, seeds=seeds) > least


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=[pytest.mark.long])], ids=["sample", "all"])
def test_a_good_mirror_has_every_answer_whichever_operation_fails(tmp_path: Path, every: int) -> None:
    assert fail_everywhere(CASE, tmp_path, every=every) > 30


class CopyingMirror(Mirror):
    """Copies home and mirror as they are on disk before and after each of its steps."""

    def __init__(self, database: Path, copies: Callable[[], None]) -> None:
        super().__init__(database)
        self._copies = copies

    def copy(self) -> None:
        self._copies()
        super().copy()
        self._copies()

    def checkpointed(self, *, complete: bool) -> None:
        self._copies()
        super().checkpointed(complete=complete)
        self._copies()


@pytest.mark.parametrize(
    "commits", [20, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(600)])], ids=["few", "many"]
)
def test_every_copy_at_a_sync_point_holds_what_was_answered_before(tmp_path: Path, commits: int) -> None:
    made(tmp_path)
    path, folder = tmp_path / "home" / "meta.db", tmp_path / "two" / "mirror"
    prepare(path, folder, CLUSTER)
    catch_up(path)
    answered: set[int] = set()
    taken: list[tuple[Path, set[int]]] = []

    def take() -> None:
        copy = tmp_path / "copies" / str(len(taken))
        copy.mkdir(parents=True)
        for name, source in (("home", path.parent), ("mirror", folder)):
            for each in source.glob("meta.db*"):
                if not each.name.endswith("-shm"):  # memory, gone with the power
                    shutil.copy(each, copy / f"{name}-{each.name}")
        taken.append((copy, set(answered)))

    writer = Writer(path, CopyingMirror(path, take))
    writer.start()

    def spills(conn: Connection) -> None:
        conn.script("PRAGMA cache_size=5")
        for number in range(10_000, 10_060):
            write_pair(conn, number)
        raise LookupError

    for number in range(1, commits + 1):
        writer.call(partial(write_pair, number=number))
        answered.add(number)
        if number % 7 == 0:
            writer.checkpoint(truncate=number % 2 == 0)
        if number % 5 == 0:
            with pytest.raises(LookupError):
                writer.call(spills)
    writer.close()
    assert len(taken) > 2 * commits
    for copy, before in taken:
        for name in ("home", "mirror"):
            found = numbers_in(copy / f"{name}-meta.db")
            assert before <= found, (copy, name)
            assert max(found, default=0) <= commits, "nothing that was rolled back"
