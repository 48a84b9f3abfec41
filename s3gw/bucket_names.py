"""What a bucket may be called (pure): a lenient rule for names in requests, Amazon's whole rule for new buckets."""

from __future__ import annotations

import re

from s3gw.errors import Code, S3Error

_SYNTAX = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}").fullmatch
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket_name(name: str) -> None:
    """A name that no bucket can have is refused before anything is looked up."""
    if _SYNTAX(name) is None:
        raise S3Error(Code.INVALID_BUCKET_NAME, bucket_name=name)


def check_new_bucket_name(name: str) -> None:
    bad = (
        _SYNTAX(name) is None
        or any(pair in name for pair in ("..", ".-", "-."))
        or _ADDRESS(name) is not None
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    )
    if bad:
        raise S3Error(Code.INVALID_BUCKET_NAME, bucket_name=name)
