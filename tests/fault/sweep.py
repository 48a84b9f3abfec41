"""Every N in turn: run a workload on a disk that fails or loses power at its Nth operation, until a run meets no fault.

A workload works on `disk.root`, which it finds as `prepare` left it, and says what it was promised; `check` looks at a
folder after the power is back and judges what it finds by that.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tests.fault.faultdisk import Fault, FaultDisk, PowerLost, Survives

P = TypeVar("P")
MOST_OPERATIONS = 5000
ERRORS = (errno.EIO, errno.ENOSPC)


@dataclass(frozen=True, slots=True)
class Case(Generic[P]):
    """`work` fills the promise as it is given one, and closes what it opened even where it is interrupted."""

    prepare: Callable[[Path], None]
    promise: Callable[[], P]
    work: Callable[[FaultDisk, P], None]
    check: Callable[[Path, P], None]
    around: Sequence[str] = ()


def crash_everywhere(case: Case[P], scratch: Path, *, every: int = 1, seeds: int = 1) -> int:
    """The power goes at operation 1, 1 + every, ...; gives how many states of the disk were judged."""
    images: list[tuple[Survives, int]] = [(each, 0) for each in Survives if each is not Survives.SOME]
    images += [(Survives.SOME, seed) for seed in range(seeds)]
    judged = 0
    for disk, promise in _runs(case, scratch, [0], every):
        for survives, seed in images:
            image = scratch / "image"
            disk.power_returns(image, survives, seed=seed, around=case.around)
            _judge(case, image, promise, f"{disk.fault}, {survives}, seed {seed}")
            judged += 1
    return judged


def fail_everywhere(case: Case[P], scratch: Path, *, every: int = 1) -> int:
    """Each operation fails with each error; judged as the files stand and as they are when the power goes later."""
    judged = 0
    for disk, promise in _runs(case, scratch, ERRORS, every):
        for survives in (Survives.EVERYTHING, Survives.NOTHING):
            image = scratch / "image"
            disk.power_returns(image, survives, around=case.around)
            _judge(case, image, promise, f"{disk.fault}, {survives}")
            judged += 1
    return judged


def _runs(case: Case[P], scratch: Path, errors: Sequence[int], every: int) -> Iterator[tuple[FaultDisk, P]]:
    """One run a fault; the last, which met none, too."""
    scratch.mkdir(parents=True, exist_ok=True)
    case.prepare(_fresh(scratch / "prepared"))
    for error in errors:
        for at in range(1, MOST_OPERATIONS, every):
            root = scratch / "root"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(scratch / "prepared", root)
            disk, promise = FaultDisk(root, Fault(at, error)), case.promise()
            try:
                case.work(disk, promise)
            except (PowerLost, OSError):
                assert disk.fired
            yield disk, promise
            if not disk.fired:
                break
        else:
            raise AssertionError("never got through without a fault")


def _judge(case: Case[P], image: Path, promise: P, what: str) -> None:
    try:
        case.check(image, promise)
    except BaseException as error:
        error.add_note(what)
        raise
    finally:
        shutil.rmtree(image)


def _fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path
