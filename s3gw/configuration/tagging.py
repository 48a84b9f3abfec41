"""Sets of tags: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tagging.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from s3gw import xml
from s3gw.xml_reader import MAX_LISTED_TAGS, TEXT, Many, Struct, Value, items, malformed, read, tag_of

MAX_BYTES = 64 << 10

_TAGGING = Struct({"TagSet": Struct({"Tag": Many(Struct({"Key": TEXT, "Value": TEXT}), MAX_LISTED_TAGS)})})


def parse(document: bytes) -> list[tuple[str, str]]:
    """The pairs as they stand. Raises MalformedXML."""
    tag_set = read(document, "Tagging", _TAGGING, MAX_BYTES).get("TagSet")
    if tag_set is None:
        raise malformed()
    return [tag_of(tag) for tag in items(cast("dict[str, Value]", tag_set), "Tag")]


def render(tags: Mapping[str, str]) -> bytes:
    listed = "".join(
        [f"<Tag><Key>{xml.escape(key)}</Key><Value>{xml.escape(value)}</Value></Tag>" for key, value in tags.items()]
    )
    return xml.document("Tagging", f"<TagSet>{listed}</TagSet>")
