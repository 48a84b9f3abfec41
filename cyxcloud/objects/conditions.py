"""Preconditions of reads and writes, RFC 9110 section 13 as Amazon S3 applies it (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.objects.errors import NoSuchKey, NotModified, PreconditionFailed


@dataclass(frozen=True, slots=True)
class ReadConditions:
    """ETags as sent, unquoted and split at commas; dates in ms since 1970, whole seconds."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since_ms: int | None = None
    if_unmodified_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WriteConditions:
    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovalConditions:
    """What is removed must be this; a date counts in whole seconds."""

    if_match: tuple[str, ...] = ()
    modified_ms: int | None = None
    size: int | None = None


NO_READ_CONDITIONS = ReadConditions()
NO_WRITE_CONDITIONS = WriteConditions()
NO_REMOVAL_CONDITIONS = RemovalConditions()


def check_read(conditions: ReadConditions, etag: str, modified_ms: int) -> None:
    """Raises PreconditionFailed or NotModified. If-Match beats If-Unmodified-Since, If-None-Match the other date."""
    if conditions is NO_READ_CONDITIONS:
        return
    second_ms = modified_ms // 1000 * 1000
    if conditions.if_match:
        if not _matches(conditions.if_match, etag):
            raise PreconditionFailed("If-Match")
    elif conditions.if_unmodified_since_ms is not None and second_ms > conditions.if_unmodified_since_ms:
        raise PreconditionFailed("If-Unmodified-Since")
    if conditions.if_none_match:
        if _matches(conditions.if_none_match, etag):
            raise NotModified(etag, modified_ms)
    elif conditions.if_modified_since_ms is not None and second_ms <= conditions.if_modified_since_ms:
        raise NotModified(etag, modified_ms)


def check_copy_source(conditions: ReadConditions, etag: str, modified_ms: int) -> None:
    """As a read, but a copy has no 304: what would be Not Modified is a failed precondition."""
    try:
        check_read(conditions, etag, modified_ms)
    except NotModified:
        unmet = "x-amz-copy-source-If-None-Match" if conditions.if_none_match else "x-amz-copy-source-If-Modified-Since"
        raise PreconditionFailed(unmet) from None


def check_write(conditions: WriteConditions, etag: str | None) -> None:
    """Against the current object's ETag, None where there is none. If-Match on a missing key is NoSuchKey, as on S3."""
    if conditions is NO_WRITE_CONDITIONS:
        return
    if conditions.if_match:
        if etag is None:
            raise NoSuchKey
        if not _matches(conditions.if_match, etag):
            raise PreconditionFailed("If-Match")
    if conditions.if_none_match and etag is not None and _matches(conditions.if_none_match, etag):
        raise PreconditionFailed("If-None-Match")


def check_removal(conditions: RemovalConditions, etag: str, modified_ms: int, size: int) -> None:
    """Of an object that is there. Removing what is not there is a success whatever was asked of it."""
    if conditions.if_match and not _matches(conditions.if_match, etag):
        raise PreconditionFailed("If-Match")
    if conditions.modified_ms is not None and conditions.modified_ms // 1000 != modified_ms // 1000:
        raise PreconditionFailed("x-amz-if-match-last-modified-time")
    if conditions.size is not None and conditions.size != size:
        raise PreconditionFailed("x-amz-if-match-size")


def _matches(wanted: tuple[str, ...], etag: str) -> bool:
    return "*" in wanted or etag in wanted
