"""The canonical request of Signature Version 4 as S3 means it (pure).

Each part is decoded once and encoded again in the one canonical way, so that a client may escape more or less than AWS
does and both still sign the same text. S3 neither collapses `//` nor resolves `..`, and encodes a path only once.
What is canonical already, which is nearly everything, passes through after one regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_to_bytes

# An escape is canonical when its digits are upper-case and it stands for a byte that may not stand for itself.
_ESCAPE = r"%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[BCDF])"
_CANONICAL_PATH = re.compile(rf"(?:[A-Za-z0-9\-._~/]+|{_ESCAPE.replace('2[0-9A-CF]', '2[0-9A-C]')})*+")
_CANONICAL_WORD = re.compile(rf"(?:[A-Za-z0-9\-._~]+|{_ESCAPE})*+")
# A whole query of canonical words, each with at most one "=" and none empty.
_CANONICAL_QUERY = re.compile(
    rf"(?:[A-Za-z0-9\-._~]++|{_ESCAPE})++(?:=(?:[A-Za-z0-9\-._~]++|{_ESCAPE})*+)?+"
    rf"(?:&(?:[A-Za-z0-9\-._~]++|{_ESCAPE})++(?:=(?:[A-Za-z0-9\-._~]++|{_ESCAPE})*+)?+)*+"
)
_SPACES = re.compile(r"[ \t]+")

QueryPairs = list[tuple[str, str]]


def canonical_path(raw_path: str) -> str:
    if _CANONICAL_PATH.fullmatch(raw_path):
        return raw_path or "/"
    return quote(unquote_to_bytes(_to_bytes(raw_path)), safe="/~")


def canonical_pairs(raw_query: str) -> QueryPairs:
    """The query's parameters, canonically encoded and sorted; a name alone has an empty value."""
    if not raw_query:
        return []
    if _CANONICAL_QUERY.fullmatch(raw_query):
        plain = [piece.partition("=") for piece in raw_query.split("&")]
        return sorted([(name, value) for name, _, value in plain])
    pairs = []
    for piece in raw_query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_canonical_word(name), _canonical_word(value)))
    pairs.sort()
    return pairs


def join_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{name}={value}" for name, value in pairs])


def canonical_headers(headers: Mapping[str, str | list[str]], names: Iterable[str]) -> str:
    """The signed headers, each on its line; one that was signed but not sent is empty and so never matches."""
    lines = []
    for name in names:
        value = headers.get(name, "")
        text = value if isinstance(value, str) else ",".join([_trim(one) for one in value])
        lines.append(f"{name}:{_trim(text)}\n")
    return "".join(lines)


def _trim(value: str) -> str:
    if "  " in value or "\t" in value:
        value = _SPACES.sub(" ", value)
    return value.strip(" ")


def _canonical_word(text: str) -> str:
    if _CANONICAL_WORD.fullmatch(text):
        return text
    # In a query S3 reads a plus as a space, as forms do.
    return quote(unquote_to_bytes(_to_bytes(text.replace("+", " "))), safe="~")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
