"""Object lock: when a version may not go, and how its lock may change (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html. All times are the store's clock. A retention
holds until its moment has come; COMPLIANCE can only be prolonged, GOVERNANCE also be lifted by who may bypass it. A
legal hold holds until it is taken off, by whomever may.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cyxcloud.objects.attributes import Lock
from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.errors import InvalidRetentionDate, ObjectLocked

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MODES = frozenset((GOVERNANCE, COMPLIANCE))
MAX_DEFAULT_DAYS = 36_500
MAX_DEFAULT_YEARS = 100
_DAY_MS = 86_400_000
_NONE = Lock()


@dataclass(frozen=True, slots=True)
class Retention:
    mode: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """Of new versions that bring none: so many days, or years, from when they were stored. One of them is 0."""

    mode: str
    days: int = 0
    years: int = 0


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """Of a bucket whose flag OBJECT_LOCK is set; without a configuration it has no default."""

    default: DefaultRetention | None = None


OBJECT_LOCK = ConfigKey("object_lock", ObjectLock)


def is_locked(lock: Lock | None, now_ms: int, *, bypasses_governance: bool = False) -> bool:
    """Whether the version may not be removed now."""
    if lock is None:
        return False
    if lock.legal_hold:
        return True
    return is_retained(lock, now_ms) and not (bypasses_governance and lock.mode == GOVERNANCE)


def is_retained(lock: Lock, now_ms: int) -> bool:
    return bool(lock.mode) and now_ms < lock.until_ms


def begun_with(lock: Lock | None, default: DefaultRetention | None, now_ms: int) -> Lock | None:
    """The lock of a new version: what it was stored with, else the bucket's default."""
    if default is None or (lock is not None and lock.mode):
        return lock
    return replace(lock or _NONE, mode=default.mode, until_ms=default_until_ms(default, now_ms))


def default_until_ms(default: DefaultRetention, now_ms: int) -> int:
    """To the next whole second: many clients write no parts of one, and what they read and send back shortens
    nothing."""
    now_ms = -(-now_ms // 1000) * 1000
    if default.days:
        return now_ms + default.days * _DAY_MS
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    leap_day = (now.month, now.day) == (2, 29)
    until = now.replace(year=now.year + default.years, day=28 if leap_day else now.day)
    return now_ms + int((until - now).total_seconds()) * 1000 + (_DAY_MS if leap_day else 0)


def retained(lock: Lock | None, wanted: Retention | None, now_ms: int, *, bypasses_governance: bool) -> Lock:
    """With another retention, or none. Raises ObjectLocked where the present one does not allow that."""
    present = lock or _NONE
    if wanted is not None and wanted.until_ms <= now_ms:
        raise InvalidRetentionDate
    if is_retained(present, now_ms):
        prolongs = wanted is not None and wanted.mode == present.mode and wanted.until_ms >= present.until_ms
        lifts = bypasses_governance and present.mode == GOVERNANCE
        if not (prolongs or lifts):
            raise ObjectLocked
    if wanted is None:
        return replace(present, mode="", until_ms=0)
    return replace(present, mode=wanted.mode, until_ms=wanted.until_ms)


def held(lock: Lock | None, *, on: bool) -> Lock:
    return replace(lock or _NONE, legal_hold=on)
