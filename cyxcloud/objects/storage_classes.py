"""Storage classes: which there are, which of them are colder, which have to be restored before they are read (pure).

All of them are stored alike here; the class is what the version says of itself, and what S3 allows with it.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
"""

from __future__ import annotations

STANDARD = "STANDARD"
# A lifecycle moves an object down this list and never up.
_WATERFALL = (
    STANDARD,
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
RANK = {name: rank for rank, name in enumerate(_WATERFALL)}
ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# What a lifecycle may move objects to.
COLDER = frozenset(_WATERFALL[2:])


def is_readable(storage_class: str, restored_until_ms: int, now_ms: int) -> bool:
    """An archived object is read only while a restored copy of it is kept."""
    return storage_class not in ARCHIVED or now_ms < restored_until_ms
