"""What a request's query parameters mean: numbers, page sizes, continuation tokens, response overrides (pure)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from s3gw.errors import Code, S3Error

# S3's page size, and the most that a client's number may be before it is no number to S3.
MAX_PAGE = 1000
MAX_BUCKET_PAGE = 10_000
MAX_NUMBER = 2_147_483_647
MAX_PART_NUMBER = 10_000

_TOKEN_FORMAT = b"\x01"
_DIGITS = re.compile(r"\d{1,19}", re.ASCII).fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-language": "content-language",
    "response-expires": "expires",
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
}


def page_size(query: Mapping[str, str], name: str) -> int:
    """max-keys and its like: more than a page is a page, none is S3's page."""
    text = query.get(name)
    return MAX_PAGE if text is None else min(MAX_PAGE, _number(name, text, 0, MAX_NUMBER))


def bucket_page_size(query: Mapping[str, str]) -> int:
    """max-buckets has a page, and a least value, of its own."""
    text = query.get("max-buckets")
    return MAX_BUCKET_PAGE if text is None else _number("max-buckets", text, 1, MAX_BUCKET_PAGE)


def part_number(query: Mapping[str, str]) -> int | None:
    text = query.get("partNumber")
    if text is None:
        return None
    if _DIGITS(text) is None or not 1 <= int(text) <= MAX_PART_NUMBER:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive",
            argument_name="partNumber",
            argument_value=text,
        )
    return int(text)


def part_number_marker(text: str | None) -> int:
    """Of ListParts (a parameter) and GetObjectAttributes (a header); none starts at the first part."""
    return 0 if not text else _number("part-number-marker", text, 0, MAX_NUMBER)


def wants_url_encoding(query: Mapping[str, str]) -> bool:
    value = query.get("encoding-type")
    if not value:
        return False
    if value.lower() != "url":
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "Invalid Encoding Method specified in Request",
            argument_name="encoding-type",
            argument_value=value,
        )
    return True


def response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """Header -> value, as a signed read may demand of its answer; a line break in one would end the header."""
    found = {header: query[name] for name, header in _OVERRIDES.items() if name in query}
    for value in found.values():
        if _CONTROL(value):
            raise S3Error(Code.INVALID_ARGUMENT, "A response header override holds a control character")
    return found


def is_header(name: str, value: str) -> bool:
    """Whether HTTP can carry this (RFC 9110 5.5, 5.6.2): what did not come as a header may become one."""
    return is_token(name) and not _CONTROL(value.replace("\t", " "))


def is_token(text: str) -> bool:
    return _TOKEN(text) is not None


def encode_token(key: bytes) -> str:
    """Where the next page goes on, as text that says to clients that it is not theirs to read."""
    return base64.urlsafe_b64encode(_TOKEN_FORMAT + key).decode()


def decode_token(text: str) -> bytes:
    try:
        token = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        token = b""
    if token[:1] != _TOKEN_FORMAT:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "The continuation token provided is incorrect",
            argument_name="continuation-token",
            argument_value=text,
        )
    return token[1:]


def _number(name: str, text: str, least: int, most: int) -> int:
    if _DIGITS(text) is None or not least <= int(text) <= most:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            f"Argument {name} must be an integer between {least} and {most}",
            argument_name=name,
            argument_value=text,
        )
    return int(text)
