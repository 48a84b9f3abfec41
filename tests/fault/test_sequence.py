"""A node's heartbeat numbers on a disk that fails or loses power at every operation: none is ever given out twice."""

from __future__ import annotations

from pathlib import Path

from nodefs.sequence import STRETCH, Sequence
from tests.fault.faultdisk import FaultDisk
from tests.fault.sweep import Case, crash_everywhere, fail_everywhere


def _before(root: Path) -> None:
    Sequence(root / "sequence").take()


def _run(disk: FaultDisk, given: list[int]) -> None:
    numbers = Sequence(disk.root / "sequence", disk)
    given.append(numbers.take())
    numbers.raise_to(5 * STRETCH)
    given.append(numbers.take())


def _check(root: Path, given: list[int]) -> None:
    assert Sequence(root / "sequence").take() > max(given, default=1)


CASE = Case(_before, list, _run, _check)


def test_sequence_is_given_out_once_wherever_the_power_goes(tmp_path: Path) -> None:
    assert crash_everywhere(CASE, tmp_path, seeds=4) > 10


def test_sequence_is_given_out_once_whichever_operation_fails(tmp_path: Path) -> None:
    assert fail_everywhere(CASE, tmp_path) > 8
