"""RestoreRequest: https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html (pure)."""

from __future__ import annotations

from typing import cast

from s3gw.errors import Code, S3Error, not_implemented
from s3gw.xml_reader import TEXT, Struct, Value, malformed, number_of, read, text_of

MAX_BYTES = 64 << 10
_TIERS = frozenset({"Standard", "Bulk", "Expedited"})
_DOCUMENT = Struct(
    {
        "Days": TEXT,
        "GlacierJobParameters": Struct({"Tier": TEXT}),
        "Type": TEXT,
        "Tier": TEXT,
        "Description": TEXT,
    }
)


def parse(body: bytes) -> int:
    """For how many days. A tier is how fast it is to be, and here all are at once."""
    document = read(body, "RestoreRequest", _DOCUMENT, MAX_BYTES)
    if text_of(document, "Type") is not None:
        raise not_implemented("Select on archived objects is not implemented")
    job = cast("dict[str, Value]", document.get("GlacierJobParameters", {}))
    for tier in (text_of(document, "Tier"), text_of(job, "Tier")):
        if tier is not None and tier not in _TIERS:
            raise malformed()
    days = text_of(document, "Days")
    if days is None:
        raise malformed()
    if number_of(days) < 1:
        raise S3Error(Code.INVALID_ARGUMENT, "'Days' must be a positive integer", argument_name="Days")
    return number_of(days)
