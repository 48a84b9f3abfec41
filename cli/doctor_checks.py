"""The machine as a store finds it: one small function a question, each with its remedy. Nothing here needs a store.

What is written to find out is a file of a few KiB with a name of its own, which goes again at once.
"""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from secrets import token_hex

MIB = 1 << 20
LITTLE_SPACE, NO_SPACE = 0.10, 1 / 64  # nodes stop taking writes at the latter
LITTLE_INODES, NO_INODES = 0.01, 0.0001
SLOW_SYNC_SECONDS, STUCK_SYNC_SECONDS = 0.05, 0.5  # a PUT waits for a few of them
SYNCS = 5
WANTED_FILES, LEAST_FILES = 4096, 1024  # packs lent to gateways, sockets, the database
WANTED_MEMORY, LEAST_MEMORY = 1024 * MIB, 384 * MIB  # a gateway stays below 256 MiB
MAX_DRIFT_SECONDS = 300
_PUNCH_HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_TIMEX_BYTES, _TIMEX_STATUS_AT, _STA_UNSYNC = 256, 40, 0x0040

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Grade(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """`remedy` says what to do; empty where nothing is to be done."""

    name: str
    grade: Grade
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, Grade.OK, found)


def graded(name: str, value: float, warn: float, fail: float, *, found: str, remedy: str) -> Check:
    """Less is worse (pure)."""
    grade = Grade.FAIL if value < fail else Grade.WARN if value < warn else Grade.OK
    return Check(name, grade, found, "" if grade is Grade.OK else remedy)


# Clock


def clock(*, synchronised: bool | None, store_ms: int | None, wall_ms: int) -> Check:
    """The wall clock beside the store's own, which never goes back (pure)."""
    name = "clock"
    drift = 0 if store_ms is None else (store_ms - wall_ms) / 1000
    if drift > MAX_DRIFT_SECONDS:
        remedy = "set the clock right; the store goes on with its own time until the wall clock has caught up"
        return Check(name, Grade.WARN, f"the wall clock is {drift:.0f} s behind the store's", remedy)
    if synchronised is False:
        remedy = "run chrony or systemd-timesyncd: requests signed more than 15 minutes away are refused"
        return Check(name, Grade.WARN, "the kernel says that nothing keeps the clock right", remedy)
    return ok(name, "kept right by NTP" if synchronised else "cannot be told whether NTP keeps it right")


def clock_synchronised() -> bool | None:
    """As the kernel was told by chrony, ntpd or timesyncd; None where it cannot be asked."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if _libc.adjtimex(timex) < 0:
        return None
    status = int.from_bytes(timex.raw[_TIMEX_STATUS_AT : _TIMEX_STATUS_AT + 4], "little")
    return not status & _STA_UNSYNC


# Disks


def space(folder: Path, status: os.statvfs_result) -> Iterator[Check]:
    """Bytes and inodes (pure)."""
    total, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    share = free / total if total else 0.0
    found = f"{folder}: {free // MIB} MiB of {total // MIB} free"
    remedy = "free space, or add a disk: nodes take no writes when less than 1/64 is left"
    yield graded("space", share, LITTLE_SPACE, NO_SPACE, found=found, remedy=remedy)
    if status.f_files:
        left = status.f_favail / status.f_files
        remedy = "remove files from that filesystem, or make it anew with more inodes"
        yield graded("inodes", left, LITTLE_INODES, NO_INODES, found=f"{folder}: {status.f_favail} free", remedy=remedy)


def disk(folder: Path) -> Iterator[Check]:
    """What the filesystem under a folder can do, and how long it takes to make a write durable."""
    try:
        with _scratch(folder) as fd:
            yield _sync_check(folder, [_timed_sync(fd) for _ in range(SYNCS)])
            yield _feature("hole punching", folder, _punches(fd), "deleted shards give their space back late")
            yield _feature("fallocate", folder, _allocates(fd), "files cannot be given their space beforehand")
            yield _feature("RWF_NOWAIT", folder, _reads_without_waiting(fd), "small reads take a thread more")
    except OSError as error:
        remedy = f"make {folder} writable for this user, or mount it read-write"
        yield Check("disk", Grade.FAIL, f"{folder}: {error.strerror}", remedy)


def _sync_check(folder: Path, seconds: Sequence[float]) -> Check:
    typical = statistics.median(seconds)
    remedy = "every write waits for this: a faster disk, or one that others use less"
    grade = Grade.FAIL if typical > STUCK_SYNC_SECONDS else Grade.WARN if typical > SLOW_SYNC_SECONDS else Grade.OK
    found = f"{folder}: {typical * 1000:.1f} ms to make 4 KiB durable"
    return Check("fdatasync", grade, found, "" if grade is Grade.OK else remedy)


def _feature(name: str, folder: Path, there: bool, without: str) -> Check:
    if there:
        return ok(name, f"{folder}: works")
    return Check(name, Grade.WARN, f"{folder}: not there, {without}", "ext4, XFS and Btrfs have it")


@contextmanager
def _scratch(folder: Path) -> Iterator[int]:
    path = folder / f".doctor-{token_hex(8)}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
        with suppress(OSError):
            path.unlink()


def _timed_sync(fd: int) -> float:
    started = time.perf_counter()
    os.pwrite(fd, os.urandom(4096), 0)
    os.fdatasync(fd)
    return time.perf_counter() - started


def _punches(fd: int) -> bool:
    os.pwrite(fd, bytes(8192), 0)
    return bool(_libc.fallocate(fd, _PUNCH_HOLE, 4096, 4096) == 0)


def _allocates(fd: int) -> bool:
    return bool(_libc.fallocate(fd, 0, 0, 16384) == 0)


def _reads_without_waiting(fd: int) -> bool:
    flag = getattr(os, "RWF_NOWAIT", 0)
    try:
        return bool(flag) and os.preadv(fd, [bytearray(4096)], 0, flag) >= 0
    except BlockingIOError:
        return True
    except OSError:
        return False


# Permissions


def permissions(keys: Path) -> Check:
    """The keyring's folder is its owner's alone, and so is every file in it."""
    name, wrong = "permissions", []
    for path, wanted in [(keys, 0o700), *((each, 0o600) for each in sorted(keys.glob("*")))]:
        status = path.stat()
        if status.st_mode & 0o777 & ~wanted:
            wrong.append(f"chmod {wanted:o} {path}")
        if status.st_uid != os.geteuid():
            wrong.append(f"chown {os.geteuid()} {path}")
    if wrong:
        return Check(name, Grade.FAIL, f"{keys}: others may read or change the keys", "; ".join(wrong))
    return ok(name, f"{keys}: its owner's alone")


# Limits


def open_files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = float("inf") if soft == resource.RLIM_INFINITY else soft
    remedy = f"ulimit -n {WANTED_FILES}, or LimitNOFILE={WANTED_FILES} in the unit (the hard limit is {hard})"
    return graded("open files", allowed, WANTED_FILES, LEAST_FILES, found=f"{soft} allowed", remedy=remedy)


def memory(meminfo: str) -> Check:
    """From the text of /proc/meminfo (pure)."""
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in meminfo.splitlines())}
    available = int(fields["MemAvailable"][0]) * 1024
    remedy = "fewer --workers, or more memory: each gateway may take 256 MiB"
    return graded(
        "memory", available, WANTED_MEMORY, LEAST_MEMORY, found=f"{available // MIB} MiB available", remedy=remedy
    )
