"""What an object carries beside its bytes, in one versioned column: headers, user metadata, checksums, part layout.

Format v1: the byte 0x01, then compact JSON with short names, so that a new field needs no migration and an unknown one
is kept from being misread by the leading byte. Text is what UTF-8 on the wire said and goes back so; what was no UTF-8
was refused at the edge.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cyxcloud.shards.cid import format_layout

FORMAT = b"\x01"
CONTENT_HEADERS = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)


@dataclass(frozen=True, slots=True)
class Checksum:
    """`algorithm` as S3 spells it (CRC32, SHA256, ...); `value` base64; `type` COMPOSITE or FULL_OBJECT."""

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part of a multipart object: its size, and its own checksum where it has one."""

    number: int
    size: int
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Attributes:
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None
    parts: tuple[PartInfo, ...] = ()
    storage_class: str = ""
    """What an upload was begun with, unless it is STANDARD; a version has a column of its own for it."""
    layout: str = ""
    """Sizes of the segments, run-length coded, where there are several and they are not the parts."""

    def encode(self) -> bytes:
        fields: dict[str, Any] = {}
        if self.headers:
            fields["h"] = self.headers
        if self.metadata:
            fields["m"] = self.metadata
        if self.checksum is not None:
            fields["c"] = [self.checksum.algorithm, self.checksum.value, self.checksum.type]
        if self.parts:
            fields["p"] = [[p.number, p.size, p.checksum] if p.checksum else [p.number, p.size] for p in self.parts]
        if self.storage_class:
            fields["s"] = self.storage_class
        if self.layout:
            fields["l"] = self.layout
        if not fields:
            return FORMAT
        return FORMAT + _ENCODE(fields).encode()


def layout_beside(parts: Sequence[PartInfo], segment_sizes: Sequence[int]) -> str:
    """What `Attributes.layout` is for an object of these parts and segments."""
    if len(segment_sizes) < 2 or [part.size for part in parts] == list(segment_sizes):
        return ""
    return format_layout(segment_sizes)


_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_DECODE = json.JSONDecoder().decode
EMPTY = Attributes()


def decode(data: bytes) -> Attributes:
    """Raises ValueError for a format that this version does not know: better no answer than a wrong one."""
    if data == FORMAT:
        return EMPTY
    if data[:1] != FORMAT:
        raise ValueError(f"object attributes of unknown format {data[:1].hex()!r}")
    fields = _DECODE(data[1:].decode())
    checksum = Checksum(*fields["c"]) if "c" in fields else None
    parts = tuple(PartInfo(*part) for part in fields.get("p", ()))
    storage_class, layout = fields.get("s", ""), fields.get("l", "")
    return Attributes(fields.get("h", {}), fields.get("m", {}), checksum, parts, storage_class, layout)
