"""Times as HTTP and S3 write them, from and to milliseconds since 1970 (pure).

A listing formats a thousand, mostly different ones, so that is done from tables, a day at a time; dates of single
answers and of clients' conditions repeat, and are remembered.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from functools import lru_cache

# Enough for the days of a page, and for the dates that the clients of one worker repeat.
MAX_REMEMBERED = 2048
MINUTES_A_DAY = 1440

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO_MINUTES = tuple(f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(MINUTES_A_DAY))
_ISO_SECONDS = tuple(f"{second:02}.000Z" for second in range(60))
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z").fullmatch


def iso_time(ms: int) -> str:
    """As listings write it: whole seconds, since HTTP's Last-Modified of the same object has no more."""
    minutes, second = divmod(ms // 1000, 60)
    day, minute = divmod(minutes, MINUTES_A_DAY)
    return _iso_day(day) + _ISO_MINUTES[minute] + _ISO_SECONDS[second]


def http_date(ms: int) -> str:
    return _http_date(ms // 1000)


@lru_cache(MAX_REMEMBERED)
def _iso_day(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * MINUTES_A_DAY * 60))


@lru_cache(MAX_REMEMBERED)
def _http_date(second: int) -> str:
    # strftime would write the names of the process's locale.
    t = time.gmtime(second)
    return (
        f"{_WEEKDAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


@lru_cache(MAX_REMEMBERED)
def parse_http_date(text: str) -> int | None:
    """Milliseconds, from any of HTTP's three forms; None for what is no date, which a condition then ignores."""
    parts = parsedate_tz(text)
    if parts is None:
        return None
    try:
        moment = datetime(*parts[:6], tzinfo=UTC) - timedelta(seconds=parts[9] or 0)
    except (ValueError, OverflowError):
        return None
    return int(moment.timestamp()) * 1000


def parse_iso_time(text: str) -> int | None:
    if _ISO_TIME(text) is None:
        return None
    try:
        # In whole numbers: as a float 1.001 s is less than 1,001 ms.
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None
