"""What a request's headers mean: conditions, ranges, copy sources, metadata (pure).

`headers` is always a mapping of lower-case names. Their text is UTF-8 with surrogate escapes, as it came off the wire.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cyxcloud.objects.attributes import CONTENT_HEADERS
from cyxcloud.objects.conditions import (
    NO_READ_CONDITIONS,
    NO_REMOVAL_CONDITIONS,
    NO_WRITE_CONDITIONS,
    ReadConditions,
    RemovalConditions,
    WriteConditions,
)
from cyxcloud.objects.storage_classes import RANK
from s3gw.body import stored_content_encoding
from s3gw.bucket_names import check_bucket_name
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.resolve import decode_path
from s3gw.times import parse_http_date, parse_iso_time

MAX_USER_METADATA_BYTES = 2048
_MAX_SIZE_DIGITS = 19
METADATA_PREFIX = "x-amz-meta-"
REDIRECT_LOCATION = "x-amz-website-redirect-location"
MAX_REDIRECT_BYTES = 2048

_COPY_SOURCE = "x-amz-copy-source"
# More digits than any size has are read as what they mean, "beyond the end", but not without end.
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,30})\s*-\s*(\d{0,30})\s*", re.ASCII | re.IGNORECASE).fullmatch
_COPY_RANGE = re.compile(r"bytes=(\d{1,30})-(\d{1,30})", re.ASCII).fullmatch
_ATTRIBUTES = frozenset(("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"))


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`bytes=first-last`, `bytes=first-` (last None) or the suffix `bytes=-last` (first None), as asked."""

    first: int | None
    last: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Start and end (exclusive) in an object of `size` bytes; InvalidRange where they have nothing in common."""
        if self.first is None:
            assert self.last is not None
            start, end = max(0, size - self.last), size
        else:
            start, end = self.first, size if self.last is None else min(self.last + 1, size)
        if start >= end:
            raise S3Error(Code.INVALID_RANGE, range_requested=str(self), actual_object_size=size)
        return start, end

    def whole_within(self, size: int) -> tuple[int, int]:
        """As `within`, for a copy, whose range may not reach beyond the source."""
        if self.last is not None and self.last >= size:
            raise S3Error(Code.INVALID_RANGE, range_requested=str(self), actual_object_size=size)
        return self.within(size)

    def __str__(self) -> str:
        first, last = ("" if end is None else str(end) for end in (self.first, self.last))
        return f"bytes={first}-{last}"


@dataclass(frozen=True, slots=True)
class CopySource:
    bucket: str
    key: bytes
    version_id: str | None = None


def parse_range(text: str | None) -> ByteRange | None:
    """None asks for everything: no header, one that is no range, or several ranges, which S3 does not serve either."""
    match = _RANGE(text) if text else None
    if match is None:
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if (first is None and last is None) or (first is not None and last is not None and first > last):
        return None
    return ByteRange(first, last)


def copy_source_range(headers: Mapping[str, str]) -> ByteRange | None:
    """Unlike a read's range this one must be exact, since a part made of other bytes would go unnoticed."""
    text = headers.get("x-amz-copy-source-range")
    if text is None:
        return None
    match = _COPY_RANGE(text.strip())
    if match is None or int(match[1]) > int(match[2]):
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            argument_name="x-amz-copy-source-range",
            argument_value=text,
        )
    return ByteRange(int(match[1]), int(match[2]))


def read_conditions(headers: Mapping[str, str]) -> ReadConditions:
    return _read_conditions(headers, "if-")


def copy_source_conditions(headers: Mapping[str, str]) -> ReadConditions:
    return _read_conditions(headers, "x-amz-copy-source-if-")


def _read_conditions(headers: Mapping[str, str], prefix: str) -> ReadConditions:
    match, none_match = headers.get(f"{prefix}match"), headers.get(f"{prefix}none-match")
    modified, unmodified = headers.get(f"{prefix}modified-since"), headers.get(f"{prefix}unmodified-since")
    if match is none_match is modified is unmodified is None:
        return NO_READ_CONDITIONS
    return ReadConditions(
        _etags(match),
        _etags(none_match, weak=True),
        None if modified is None else parse_http_date(modified),
        None if unmodified is None else parse_http_date(unmodified),
    )


def write_conditions(headers: Mapping[str, str]) -> WriteConditions:
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if match is none_match is None:
        return NO_WRITE_CONDITIONS
    return WriteConditions(_etags(match), _etags(none_match, weak=True))


def removal_conditions(headers: Mapping[str, str]) -> RemovalConditions:
    """A condition that S3 does not know of deletes is refused: to delete all the same would lose what it protects."""
    for name in _NOT_FOR_REMOVALS:
        if name in headers:
            raise not_implemented(Code.NOT_IMPLEMENTED.message, header=name)
    match, modified, size = (headers.get(name) for name in ("if-match", _IF_MODIFIED_AT, _IF_SIZE))
    if match is modified is size is None:
        return NO_REMOVAL_CONDITIONS
    return RemovalConditions(
        _etags(match),
        None if modified is None else _moment(_IF_MODIFIED_AT, modified),
        None if size is None else _size(_IF_SIZE, size),
    )


_IF_MODIFIED_AT = "x-amz-if-match-last-modified-time"
_IF_SIZE = "x-amz-if-match-size"
_NOT_FOR_REMOVALS = ("if-none-match", "if-unmodified-since", "if-modified-since")


def _moment(name: str, text: str) -> int:
    moment = parse_http_date(text)
    if moment is None:
        moment = parse_iso_time(text)
    if moment is None:
        raise S3Error(Code.INVALID_ARGUMENT, argument_name=name, argument_value=text)
    return moment


def _size(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < _MAX_SIZE_DIGITS):
        raise S3Error(Code.INVALID_ARGUMENT, argument_name=name, argument_value=text)
    return int(text)


def _etags(text: str | None, *, weak: bool = False) -> tuple[str, ...]:
    """Unquoted. A weak tag compares as its strong twin for If-None-Match and never for If-Match (RFC 9110 8.8.3.2)."""
    if text is None:
        return ()
    tags = (tag.strip() for tag in text.split(","))
    return tuple([(tag.removeprefix("W/") if weak else tag).strip('"') for tag in tags if tag])


def parse_copy_source(headers: Mapping[str, str]) -> CopySource:
    """`[/]bucket/key[?versionId=...]`, percent-decoded once, after it was taken apart."""
    text = headers.get(_COPY_SOURCE, "")
    path, _, version_id = text.partition("?versionId=")
    bucket, _, raw_key = path.removeprefix("/").partition("/")
    if "%" in bucket and not raw_key:
        # Some clients encode the slash between bucket and key as well.
        bucket, _, raw_key = re.sub("%2F", "/", path.removeprefix("/"), count=1, flags=re.IGNORECASE).partition("/")
    try:
        key = decode_path(raw_key)
    except S3Error:
        key = b""
    if not bucket or not key or "?" in raw_key:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            argument_name=_COPY_SOURCE,
            argument_value=text.encode(errors="replace"),
        )
    check_bucket_name(bucket)
    return CopySource(bucket, key, version_id or None)


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Names without the prefix. What S3 counts against its limit is names and values in UTF-8."""
    found = {name[11:]: headers[name] for name in headers if name.startswith(METADATA_PREFIX)}
    if found:
        size = sum(
            len(_as_utf8(METADATA_PREFIX + name, text)) for name, value in found.items() for text in (name, value)
        )
        if size > MAX_USER_METADATA_BYTES:
            raise S3Error(Code.METADATA_TOO_LARGE, size=size, max_size_allowed=MAX_USER_METADATA_BYTES)
    return found


def _as_utf8(name: str, text: str) -> bytes:
    """Bytes that are no UTF-8 cannot be given back as they came, so they are refused instead of stored."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise S3Error(Code.INVALID_ARGUMENT, "A header that is kept must be UTF-8", argument_name=name) from None


def content_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that are kept with the object and given back with it; aws-chunked belongs to the transfer alone."""
    found = {name: headers[name] for name in CONTENT_HEADERS if name in headers}
    for name, value in found.items():
        if not value.isascii():
            _as_utf8(name, value)
    if "content-encoding" in found:
        kept = stored_content_encoding(found.pop("content-encoding"))
        if kept is not None:
            found["content-encoding"] = kept
    return found


def storage_class(headers: Mapping[str, str]) -> str:
    name = headers.get("x-amz-storage-class") or "STANDARD"
    if name in RANK:
        return name
    raise S3Error(Code.INVALID_STORAGE_CLASS, storage_class_requested=name)


def redirect_location(headers: Mapping[str, str]) -> str:
    """Where a website sends the visitors of this object instead."""
    location = headers.get(REDIRECT_LOCATION)
    if location is None:
        return ""
    if not location.startswith(("/", "http://", "https://")):
        raise S3Error(
            Code.INVALID_REDIRECT_LOCATION,
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        )
    if len(_as_utf8(REDIRECT_LOCATION, location)) > MAX_REDIRECT_BYTES:
        raise S3Error(
            Code.INVALID_REDIRECT_LOCATION, "The length of website redirect location cannot exceed 2,048 characters."
        )
    return location


def replaces_metadata(headers: Mapping[str, str]) -> bool:
    """Of a copy: whether the new object's metadata come from this request and not from the source."""
    directive = headers.get("x-amz-metadata-directive", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "Unknown metadata directive.",
            argument_name="x-amz-metadata-directive",
            argument_value=directive,
        )
    return directive == "REPLACE"


def wanted_attributes(headers: Mapping[str, str]) -> frozenset[str]:
    """Of GetObjectAttributes: at least one of ETag, Checksum, ObjectParts, StorageClass, ObjectSize."""
    wanted = frozenset(name.strip() for name in headers.get("x-amz-object-attributes", "").split(",") if name.strip())
    if not wanted:
        raise S3Error(
            Code.INVALID_REQUEST,
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        )
    if not wanted <= _ATTRIBUTES:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "Invalid attribute name specified.",
            argument_name="x-amz-object-attributes",
            argument_value=headers["x-amz-object-attributes"],
        )
    return wanted
