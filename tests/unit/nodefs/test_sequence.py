"""Heartbeats' numbers: none twice, whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodefs import sequence
from nodefs.sequence import LARGEST, STRETCH, Sequence


def test_sequence_goes_up_by_one(tmp_path: Path) -> None:
    numbers = Sequence(tmp_path / "sequence")
    assert [numbers.take() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("used", [1, STRETCH - 1, STRETCH, STRETCH + 1])
def test_sequence_after_a_crash_is_greater_than_any_before(tmp_path: Path, used: int) -> None:
    numbers = Sequence(tmp_path / "sequence")
    last = max(numbers.take() for _ in range(used))
    assert Sequence(tmp_path / "sequence").take() > last


def test_sequence_is_written_once_a_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(sequence, "write_file", lambda _, data, **__: written.append(data))
    numbers = Sequence(tmp_path / "sequence")
    for _ in range(2 * STRETCH):
        numbers.take()
    assert written == [b"1000\n", b"2000\n"]


def test_sequence_that_was_set_back_goes_on_after_what_the_fleet_has(tmp_path: Path) -> None:
    numbers = Sequence(tmp_path / "sequence")
    numbers.take()
    numbers.raise_to(50_000)
    assert numbers.take() == 50_001
    assert Sequence(tmp_path / "sequence").take() > 50_001
    numbers.raise_to(7)
    numbers.raise_to(LARGEST)
    assert numbers.take() == 50_002


@pytest.mark.parametrize("text", ["", "x", "-5", "9" * 30])
def test_sequence_of_a_damaged_file_starts_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "sequence").write_text(text)
    assert Sequence(tmp_path / "sequence").take() == 1
