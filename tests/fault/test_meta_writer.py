"""Several processes write one database; some of them are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cyxcloud.meta.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "meta" / "meta.db")
    made.upgrade()
    return made


def start(role: str, database: Database) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fault.meta_child", role, str(database.path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])


def lines(process: subprocess.Popen[bytes]) -> list[bytes]:
    """What it still says until it ends."""
    assert process.stdout is not None
    assert process.stdin is not None
    said = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    return said


def stored(database: Database) -> set[int]:
    """Rows that are there, after proving that no pair is torn and the file is sound."""
    conn = database.reader()
    with conn.snapshot():
        bodies = {row[0] for row in conn.driver.execute("SELECT blob FROM inline")}
        pairs = {row[0] for row in conn.driver.execute("SELECT bucket FROM usage")}
    assert bodies == pairs
    assert database.problems() == []
    database.close()
    return bodies


def test_a_process_killed_in_a_batch_leaves_what_was_committed(database: Database) -> None:
    said = lines(start("dies", database))
    assert said == [b"1", b"dying"]
    assert stored(database) == {1}
    writer = database.writer()
    writer.start()
    writer.call(lambda conn: conn.script("INSERT INTO usage (bucket, objects, bytes) VALUES (9, 1, 1)"))
    writer.close()
    database.close()


@pytest.mark.parametrize("after_rows", [1, 7, 60])
def test_a_process_killed_at_any_time_loses_nothing_that_it_answered(database: Database, after_rows: int) -> None:
    process = start("numbered", database)
    assert process.stdout is not None
    answered = {int(process.stdout.readline()) for _ in range(after_rows)}
    process.send_signal(signal.SIGKILL)
    answered |= {int(each) for each in lines(process) if each}
    assert answered <= stored(database)


def test_a_killed_process_gives_its_turn_to_the_next(database: Database) -> None:
    first = start("numbered", database)
    second = start("busy", database)
    assert first.stdout is not None
    assert second.stdout is not None
    assert second.stdin is not None
    first.stdout.readline()
    assert second.stdout.readline() == b"ready\n"
    second.stdin.write(b"go\n")
    second.stdin.flush()
    first.stdout.readline()
    first.kill()
    lines(first)
    count, longest_us = map(int, lines(second))
    assert count > 10
    assert longest_us < 1_000_000
    assert len(stored(database)) > count


def test_processes_take_fair_turns(database: Database) -> None:
    processes = [start("busy", database) for _ in range(3)]
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline() == b"ready\n"
    for each in processes:
        assert each.stdin is not None
        each.stdin.write(b"go\n")
        each.stdin.flush()
    results = [tuple(map(int, lines(each))) for each in processes]
    counts = [count for count, _longest in results]
    assert len(stored(database)) == sum(counts)
    assert min(counts) * 4 > max(counts), counts
    assert max(longest for _count, longest in results) < 1_000_000, results
