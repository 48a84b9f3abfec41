"""Tags of objects and buckets: what a set may hold, how a header writes one, what a policy sees of it (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html. A set is kept sorted by its keys, so that
it reads the same however it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.errors import ObjectsError

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
MAX_KEY_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 256
EXISTING = "s3:ExistingObjectTag/"
REQUESTED = "s3:RequestObjectTag/"

_PLAIN = re.compile(r"[A-Za-z0-9 _.:/=+\-@]*").fullmatch
_MARKS = frozenset("_.:/=+-@")
_RESERVED = "aws:"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search


class InvalidTag(ObjectsError):
    """A tag that no set may hold; the text says why."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class TooManyTags(ObjectsError):
    """More than an object, or a bucket, may have; the text says how many."""


class MalformedTags(ObjectsError):
    """A header that is not a set of tags in the form of a query string."""


@dataclass(frozen=True, slots=True)
class BucketTags:
    tags: dict[str, str] = field(default_factory=dict)


BUCKET_TAGS = ConfigKey("tagging", BucketTags)


def object_tags(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Raises InvalidTag, TooManyTags."""
    return _checked(pairs, MAX_OBJECT_TAGS, f"Object tags cannot be greater than {MAX_OBJECT_TAGS}")


def bucket_tags(pairs: Iterable[tuple[str, str]]) -> BucketTags:
    """Raises InvalidTag, TooManyTags."""
    too_many = f"Bucket tag count cannot be greater than {MAX_BUCKET_TAGS}"
    return BucketTags(_checked(pairs, MAX_BUCKET_TAGS, too_many))


def parse_header(text: str) -> dict[str, str]:
    """`key=value&key=value`, percent-encoded UTF-8. Raises InvalidTag, TooManyTags, MalformedTags."""
    pairs = [_pair(item) for item in text.split("&") if item]
    if len({key for key, _ in pairs}) < len(pairs):
        raise MalformedTags
    return object_tags(pairs)


def conditions(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The condition keys that a policy sees of these; `prefix` is EXISTING or REQUESTED."""
    return {prefix + key: value for key, value in tags.items()}


def _pair(item: str) -> tuple[str, str]:
    key, _, value = item.partition("=")
    if not key or "=" in value:
        raise MalformedTags
    return _decoded(key), _decoded(value)


def _decoded(text: str) -> str:
    if _BAD_ESCAPE(text):
        raise MalformedTags
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeError:
        raise MalformedTags from None


def _checked(pairs: Iterable[tuple[str, str]], limit: int, too_many: str) -> dict[str, str]:
    """Each tag is looked at before they are counted, as S3 does."""
    found: dict[str, str] = {}
    for key, value in pairs:
        if not key or _length(key) > MAX_KEY_CHARACTERS or not _is_allowed(key):
            raise InvalidTag("The TagKey you have provided is invalid", key)
        if _length(value) > MAX_VALUE_CHARACTERS or not _is_allowed(value):
            raise InvalidTag("The TagValue you have provided is invalid", key)
        if key.lower().startswith(_RESERVED):
            raise InvalidTag("System tags cannot be added/updated by requester", key)
        if key in found:
            raise InvalidTag("Cannot provide multiple Tags with the same key", key)
        found[key] = value
    if len(found) > limit:
        raise TooManyTags(too_many)
    return dict(sorted(found.items()))


def _length(text: str) -> int:
    """S3 counts in UTF-16: a character beyond the basic plane takes two positions."""
    return len(text) + sum(character > "\uffff" for character in text)


def _is_allowed(text: str) -> bool:
    """Letters, digits and spaces of any script, and a few marks."""
    if _PLAIN(text):
        return True
    return all(character in _MARKS or unicodedata.category(character)[0] in "LNZ" for character in text)
