"""What of a request its signature covers, taken off the HTTP library (pure).

Path and query are the raw request target, undecoded: what was signed are the bytes that were sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class RequestView(NamedTuple):
    """Header names are lower-case; a header sent several times has a list. Bytes beyond ASCII are surrogate escapes."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str | list[str]]


def fold_headers(items: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """(name, value) pairs as they came to a `RequestView`'s headers."""
    folded: dict[str, str | list[str]] = {}
    for raw_name, value in items:
        name = raw_name.lower()
        before = folded.get(name)
        if before is None:
            folded[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            folded[name] = [before, value]
    return folded


def header(headers: Mapping[str, str | list[str]], name: str) -> str | None:
    """One header's value; several of a name are one list by RFC 9110 5.3."""
    value = headers.get(name)
    return ",".join(value) if isinstance(value, list) else value
