"""The metadata's second copy: as new as every answer, whoever writes; stale when it cannot be, and caught up again."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.merkle import Buffer
from cyxcloud.meta import buckets, cluster
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.mirror import Mirror
from cyxcloud.meta.mirror_catchup import MirrorRefused, catch_up, prepare, rest, settle
from cyxcloud.meta.mirror_copies import MirrorUnusable, Standing, Verdict, judge, restore_from_mirror, standing_of
from cyxcloud.meta.mirror_state import GOOD_MARK, MirrorState, Step, read_state
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import bucket_row

CLUSTER = b"c" * 16


class SickDisk(SystemDisk):
    """Writes and syncs raise `error` while it is set; counts syncs."""

    def __init__(self) -> None:
        self.error = 0
        self.syncs = 0

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return super().pwritev(fd, buffers, offset)

    def fdatasync(self, fd: int) -> None:
        self.syncs += 1
        super().fdatasync(fd)


class Pair:
    """A database and its mirror, in step."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.disk = SickDisk()
        self._writers: list[Writer] = []
        self._copies = 0
        self.equal()

    def equal(self) -> None:
        """As a start does it, before anybody writes."""
        self.database.close()
        prepare(self.database.path, self.folder, CLUSTER)
        settle(self.folder)
        assert catch_up(self.database.path) is not None

    def writer(self) -> Writer:
        """Another process's, as far as the mirror is concerned."""
        made = Writer(self.database.path, Mirror(self.database.path, self.disk))
        made.start()
        self._writers.append(made)
        return made

    @property
    def state(self) -> MirrorState:
        found = read_state(self.database.path.parent)
        assert found is not None
        return found

    def mirrored(self) -> set[str]:
        """What a restore from the mirror would find now."""
        self._copies += 1
        copy = self.folder.with_name(f"copy-{self._copies}")
        shutil.copytree(self.folder, copy)
        with closing(sqlite3.connect(copy / "meta.db")) as driver:
            assert driver.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return {row[0] for row in driver.execute("SELECT name FROM bucket")}

    def close(self) -> None:
        for each in self._writers:
            each.close()


@pytest.fixture
def pair(database: Database, tmp_path: Path) -> Iterator[Pair]:
    starter = database.writer()
    starter.start()
    starter.call(lambda conn: cluster.create(conn, ClusterRow(CLUSTER, b"i" * 16, 1, 5)))
    starter.close()
    made = Pair(database, tmp_path / "disk2" / "meta-mirror")
    yield made
    made.close()


def add(writer: Writer, *numbers: int) -> None:
    for number in numbers:
        assert writer.call(lambda conn, n=number: buckets.create(conn, bucket_row(n, f"b{n}")))  # type: ignore[misc]


def names(*numbers: int) -> set[str]:
    return {f"b{number}" for number in numbers}


def test_an_answer_is_given_only_when_the_mirror_has_synced_it(pair: Pair) -> None:
    writer = pair.writer()
    for number in range(1, 4):
        before = pair.disk.syncs
        add(writer, number)
        assert pair.disk.syncs == before + 1
        assert pair.mirrored() == names(*range(1, number + 1))


def test_a_batch_that_changes_nothing_costs_no_sync(pair: Pair) -> None:
    writer = pair.writer()
    add(writer, 1)
    before = pair.disk.syncs
    writer.call(lambda conn: None)
    assert pair.disk.syncs == before


def test_processes_continue_each_others_copy(pair: Pair) -> None:
    first, second = pair.writer(), pair.writer()
    for number in range(1, 21, 2):
        add(first, number)
        add(second, number + 1)
    assert pair.mirrored() == names(*range(1, 21))
    assert pair.state.step is Step.IN_STEP


def test_the_next_holder_copies_what_a_killed_one_left(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair.writer(), pair.writer()
    add(first, 1)
    monkeypatch.setattr(first._mirror, "copy", lambda: None)  # killed between COMMIT and copy
    add(first, 2)
    assert pair.mirrored() == names(1)
    second.call(lambda conn: None)  # its answer may rest on what it read
    assert pair.mirrored() == names(1, 2)


def test_what_a_killed_holder_wrote_without_syncing_is_synced_by_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair.writer(), pair.writer()
    add(first, 1)
    with monkeypatch.context() as patch:
        patch.setattr(pair.disk, "fdatasync", lambda _fd: None)
        add(first, 2)
    before = pair.disk.syncs
    second.call(lambda conn: None)
    assert pair.disk.syncs == before + 1


def test_a_rolled_back_spill_is_not_taken_for_committed(pair: Pair) -> None:
    writer = pair.writer()
    add(writer, 1)

    def spills(conn: Connection) -> None:
        conn.script("PRAGMA cache_size=5")
        for number in range(100):
            conn.driver.execute("INSERT INTO inline (blob, refs, body) VALUES (?, 1, ?)", (number, bytes(3000)))
        raise LookupError

    wal = Path(f"{pair.database.path}-wal")
    before = wal.stat().st_size
    with pytest.raises(LookupError):
        writer.call(spills)
    assert wal.stat().st_size > before + 100_000, "frames of what was rolled back lie in the log"
    add(writer, 2)
    assert pair.mirrored() == names(1, 2)
    assert (pair.folder / "meta.db-wal").stat().st_size < wal.stat().st_size


@pytest.mark.parametrize("truncate", [True, False])
def test_a_checkpoint_is_carried_out_on_both(pair: Pair, *, truncate: bool) -> None:
    coordinator, gateway = pair.writer(), pair.writer()
    for turn in range(4):
        add(gateway, 10 * turn + 1)
        add(coordinator, 10 * turn + 2)
        assert coordinator.checkpoint(truncate=truncate).complete
        assert pair.database.path.read_bytes() == (pair.folder / "meta.db").read_bytes()
        assert (pair.folder / "meta.db-wal").stat().st_size == 0
    add(gateway, 99)
    assert pair.mirrored() == names(99, *(10 * turn + n for turn in range(4) for n in (1, 2)))
    assert pair.state.step is Step.IN_STEP


def test_a_checkpoint_that_readers_hold_up_leaves_the_mirror_in_step(pair: Pair) -> None:
    coordinator, gateway = pair.writer(), pair.writer()
    add(gateway, 1)
    reader = pair.database.reader()
    with reader.snapshot():
        reader.driver.execute("SELECT * FROM bucket").fetchall()
        add(gateway, 2)
        coordinator.checkpoint(truncate=True)
        add(gateway, 3)
    assert pair.mirrored() == names(1, 2, 3)
    assert coordinator.checkpoint(truncate=True).complete
    add(gateway, 4)
    assert pair.mirrored() == names(1, 2, 3, 4)
    assert pair.state.step is Step.IN_STEP


def test_a_coordinator_killed_between_the_checkpoints_leaves_a_stale_mirror(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator, gateway = pair.writer(), pair.writer()
    add(gateway, 1)
    monkeypatch.setattr(coordinator._mirror, "checkpointed", lambda *, complete: None)
    coordinator.checkpoint(truncate=True)
    add(gateway, 2)
    assert pair.state.step is Step.STALE, "the mirror's log is of another filling than the home's"
    assert not (pair.folder / GOOD_MARK).exists()
    assert catch_up(pair.database.path) is not None
    assert pair.mirrored() == names(1, 2)


def test_a_log_begun_anew_by_somebody_else_is_not_continued(pair: Pair) -> None:
    """A shell that was the last to close has moved the log, with a commit that nobody copied."""
    first = pair.writer()
    add(first, 1)
    first.close()
    pair.database.close()
    with closing(sqlite3.connect(pair.database.path)) as shell:
        shell.execute("DELETE FROM bucket WHERE name = 'b1'")
        shell.commit()
    second = pair.writer()
    add(second, 2)
    assert pair.state.step is Step.STALE
    assert catch_up(pair.database.path) is not None
    assert pair.mirrored() == names(2)


def test_a_main_file_written_to_by_somebody_else_is_not_continued(pair: Pair) -> None:
    """The same right after a checkpoint, when the mirror's log is empty."""
    first = pair.writer()
    add(first, 1)
    assert first.checkpoint(truncate=True).complete
    first.close()
    pair.database.close()
    with closing(sqlite3.connect(pair.database.path)) as shell:
        shell.execute("DELETE FROM bucket WHERE name = 'b1'")
        shell.commit()
    second = pair.writer()
    add(second, 2)
    assert pair.state.step is Step.STALE
    assert catch_up(pair.database.path) is not None
    assert pair.mirrored() == names(2)


def test_a_checkpoint_first_copies_what_a_killed_holder_left(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first, coordinator = pair.writer(), pair.writer()
    add(first, 1)
    monkeypatch.setattr(first._mirror, "copy", lambda: None)
    add(first, 2)
    assert coordinator.checkpoint(truncate=True).complete
    assert pair.mirrored() == names(1, 2)
    assert pair.state.step is Step.IN_STEP


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_failing_disk_stops_no_write_and_is_said(pair: Pair, number: int) -> None:
    first, second = pair.writer(), pair.writer()
    add(first, 1)
    pair.disk.error = number
    add(first, 2)
    assert pair.state.step is Step.STALE
    assert os.strerror(number) in pair.state.reason
    pair.disk.error = 0
    add(second, 3)
    assert not (pair.folder / GOOD_MARK).exists(), "nobody goes on where bytes are missing"
    assert catch_up(pair.database.path) is not None
    add(second, 4)
    assert pair.mirrored() == names(1, 2, 3, 4)
    assert (pair.folder / GOOD_MARK).exists()


def test_a_mirror_that_is_gone_stops_no_write_and_is_not_made_again(pair: Pair) -> None:
    writer = pair.writer()
    add(writer, 1)
    shutil.rmtree(pair.folder)
    add(writer, 2)
    assert pair.state.step is Step.STALE
    with pytest.raises(OSError, match="gone"):
        catch_up(pair.database.path)
    assert not pair.folder.exists()


def test_a_mirror_moved_away_is_noticed(pair: Pair) -> None:
    """The descriptor would still take bytes."""
    writer = pair.writer()
    add(writer, 1)
    pair.folder.rename(pair.folder.with_name("moved"))
    add(writer, 2)
    assert pair.state.step is Step.STALE


def test_catching_up_while_others_write_misses_nothing(pair: Pair) -> None:
    writer = pair.writer()
    pair.disk.error = errno.EIO
    add(writer, *range(1, 50))
    pair.disk.error = 0
    caught = catch_up(pair.database.path)
    assert caught is not None
    add(writer, 50)
    assert pair.mirrored() == names(*range(1, 51))


def test_catching_up_copies_only_what_differs(pair: Pair) -> None:
    writer = pair.writer()
    writer.call(
        lambda conn: conn.driver.executemany(
            "INSERT INTO inline (blob, refs, body) VALUES (?, 1, ?)", [(n, os.urandom(8000)) for n in range(1000)]
        )
    )
    writer.checkpoint(truncate=True)
    with (pair.folder / "meta.db").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"decayed")
    rest(pair.database.path.parent)
    caught = catch_up(pair.database.path)
    assert caught is not None
    assert caught.copied_bytes == 1 << 20
    assert caught.compared_bytes > 8_000_000
    assert pair.database.path.read_bytes() == (pair.folder / "meta.db").read_bytes()


def test_a_start_makes_them_equal_and_copies_nothing_after_a_clean_stop(pair: Pair) -> None:
    writer = pair.writer()
    add(writer, 1)
    writer.close()
    pair._writers.clear()
    pair.database.close()
    settle(pair.folder)
    caught = catch_up(pair.database.path)
    assert caught is not None
    assert caught.copied_bytes == 0
    add(pair.writer(), 2)
    assert pair.mirrored() == names(1, 2)
    assert pair.state.step is Step.IN_STEP


def test_a_folder_of_another_store_or_with_other_things_is_refused(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(MirrorRefused, match="another store"):
        prepare(pair.database.path, pair.folder, b"x" * 16)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_bytes(b"")
    with pytest.raises(MirrorRefused, match="not empty"):
        prepare(pair.database.path, tmp_path / "holiday", CLUSTER)


# Which is newer, and the way back


HOME = Standing(CLUSTER, b"i" * 16, 0, 1000)


@pytest.mark.parametrize(
    ("mirror", "verdict"),
    [
        (None, Verdict.FOLLOWS),
        (HOME, Verdict.FOLLOWS),
        (Standing(CLUSTER, b"i" * 16, 0, 999), Verdict.FOLLOWS),
        (Standing(CLUSTER, b"i" * 16, 0, 1001), Verdict.AHEAD),
        (Standing(CLUSTER, b"j" * 16, 500, 900), Verdict.AHEAD),
        (Standing(b"x" * 16, b"i" * 16, 0, 1), Verdict.FOREIGN),
    ],
)
def test_judge_tells_which_is_newer(mirror: Standing | None, verdict: Verdict) -> None:
    assert judge(HOME, mirror) is verdict


def test_judge_takes_a_restored_home_for_newer_than_its_former_mirror() -> None:
    assert judge(Standing(CLUSTER, b"n" * 16, 800, 700), HOME) is Verdict.FOLLOWS


def test_restore_from_the_mirror_gives_all_that_was_answered(pair: Pair, tmp_path: Path) -> None:
    writer = pair.writer()
    add(writer, 1)
    writer.call(lambda conn: cluster.tick(conn, 7000, 7000))
    before = {path.name: path.read_bytes() for path in pair.folder.iterdir()}
    path = tmp_path / "new" / "meta.db"
    assert restore_from_mirror(pair.folder, path) == Standing(CLUSTER, b"i" * 16, 0, 7000)
    restored = Database(path)
    assert {row[0] for row in restored.reader().driver.execute("SELECT name FROM bucket")} == {"b1"}
    restored.close()
    assert {each.name: each.read_bytes() for each in pair.folder.iterdir()} == before


def test_restore_refuses_a_stale_mirror_a_damaged_one_and_none(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(MirrorUnusable, match="no mirror"):
        restore_from_mirror(tmp_path, tmp_path / "new.db")
    damaged = tmp_path / "damaged"
    shutil.copytree(pair.folder, damaged)
    (damaged / "meta.db").write_bytes((damaged / "meta.db").read_bytes()[:4096] + b"\xff" * 90_000)
    with pytest.raises(MirrorUnusable, match="damaged"):
        restore_from_mirror(damaged, tmp_path / "new.db")
    writer = pair.writer()
    pair.disk.error = errno.EIO
    add(writer, 1)
    with pytest.raises(MirrorUnusable, match="fallen behind"):
        restore_from_mirror(pair.folder, tmp_path / "new.db")


def test_standing_of_what_is_no_database_is_none(tmp_path: Path) -> None:
    assert standing_of(tmp_path / "meta.db") is None
    (tmp_path / "meta.db").write_bytes(b"nonsense" * 1000)
    assert standing_of(tmp_path / "meta.db") is None
