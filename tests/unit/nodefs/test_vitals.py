"""What the kernel tells, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyxcloud.core.clock import ManualClock
from cyxcloud.wire.status import Status
from nodefs.fleetclock import Reading
from nodefs.meter import Load, Meter
from nodefs.vitals import CpuTimes, Vitals, cpu_percent, memory_percent, parse_cpu

STAT = "cpu  100 0 50 800 50 0 0 0 7 0\ncpu0 1 2 3 4\n"
MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"


def test_cpu_and_memory_of_known_files() -> None:
    assert parse_cpu(STAT) == CpuTimes(idle=850, total=1000)
    assert cpu_percent(CpuTimes(850, 1000), CpuTimes(925, 1100)) == 25.0
    assert cpu_percent(CpuTimes(850, 1000), CpuTimes(850, 1000)) == 0.0
    assert memory_percent(MEMINFO) == 60.0


def test_vitals_of_this_box_are_percentages() -> None:
    vitals = Vitals()
    assert 0 <= vitals.cpu_percent() <= 100
    assert 0 < vitals.memory_percent() < 100


def test_cpu_is_of_the_time_since_the_last_question(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 0 0 0 0 0 0 0 0\n")
    vitals = Vitals(tmp_path)
    (tmp_path / "stat").write_text("cpu 10 0 0 30 0 0 0 0\n")
    assert vitals.cpu_percent() == 25.0
    (tmp_path / "stat").write_text("cpu 20 0 0 30 0 0 0 0\n")
    assert vitals.cpu_percent() == 100.0


def test_meter_counts_since_the_last_question_and_failures_for_ever() -> None:
    clock = ManualClock()
    meter = Meter(clock)
    meter.answered(0.010, bytes([Status.OK, Status.NOT_FOUND, Status.FULL]))
    meter.answered(0.030, bytes([Status.OK, Status.CORRUPT]))
    clock.advance(30.0)
    assert meter.take() == Load(requests_per_minute=4, avg_latency_ms=20.0, failed=1)
    clock.advance(30.0)
    assert meter.take() == Load(requests_per_minute=0, avg_latency_ms=0.0, failed=1)


@pytest.mark.parametrize(
    ("server", "sent", "answered", "wrong"),
    [
        (100_000, 100_000, 100_100, False),
        (100_000, 129_000, 129_100, False),
        (100_000, 131_000, 131_100, True),
        (100_000, 69_000, 69_000, True),
        (100_000, 128_000, 138_000, False),  # the way took ten seconds: nobody knows
        (100_000, 1_000_000, 1_000_100, True),
    ],
)
def test_clock_is_wrong_when_it_is_off_by_more_than_the_way_explains(
    server: int, sent: int, answered: int, *, wrong: bool
) -> None:
    assert Reading.of(server, sent, answered).is_wrong is wrong


def test_clock_says_which_way_it_is_off() -> None:
    assert "900 s ahead of" in Reading.of(0, 900_000, 900_000).said()
    assert "900 s behind" in Reading.of(900_000, 0, 0).said()
