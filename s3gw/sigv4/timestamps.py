"""The two date forms that a signature may carry, as milliseconds since 1970 (pure)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_amz_date(text: str) -> int | None:
    """`20130524T000000Z`, nothing looser."""
    if len(text) != 16 or text[8] != "T" or text[15] != "Z" or not text.isascii():
        return None
    if not (text[:8].isdigit() and text[9:15].isdigit()):
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp()) * 1000
    except ValueError:
        return None


def parse_http_date(text: str) -> int | None:
    """`Fri, 24 May 2013 00:00:00 GMT`; without a zone it is UTC, as RFC 9110 has no other."""
    try:
        moment = parsedate_to_datetime(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def amz_date(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def iso_date(moment_ms: int) -> str:
    """As S3 writes times in its error documents."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
