"""What an object carries beside its bytes, in one versioned column: headers, metadata, checksums, parts, tags, locks.

Format v1: the byte 0x01, then compact JSON with short names, so that a new field needs no migration and an unknown one
is kept from being misread by the leading byte. Text is what UTF-8 on the wire said and goes back so; what was no UTF-8
was refused at the edge.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cyxcloud.objects.acl import Grant
from cyxcloud.shards.cid import format_layout

FORMAT = b"\x01"
# What a listing shows of an object's checksum: algorithm and type in one small number. Never renumber.
CHECKSUM_CODES = {"": 0, "CRC32": 1, "CRC32C": 2, "CRC64NVME": 3, "SHA1": 4, "SHA256": 5}
COMPOSITE_CODE = 16
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


def checksum_code(checksum: Checksum | None) -> int:
    if checksum is None:
        return 0
    return CHECKSUM_CODES[checksum.algorithm] + (COMPOSITE_CODE if checksum.type == "COMPOSITE" else 0)


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part of a multipart object: its size, and its own checksum where it has one."""

    number: int
    size: int
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """Object lock of a version: `mode` GOVERNANCE or COMPLIANCE until `until_ms` of the store clock, "" for none;
    `legal_hold` is None where it was never said."""

    mode: str = ""
    until_ms: int = 0
    legal_hold: bool | None = None


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a version is encrypted where it is not by SSE-S3: `algorithm` is "aws:kms" (`key`: its name or ARN as given)
    or "AES256" under the customer's key (`key`: base64 MD5 of it)."""

    algorithm: str
    key: str
    is_customer: bool = False
    context: str = ""
    bucket_key: bool = False


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
    tags: dict[str, str] = field(default_factory=dict)
    acl: tuple[Grant, ...] | None = None
    """None: all to the owner alone."""
    lock: Lock | None = None
    encryption: Encryption | None = None
    redirect: str = ""
    """x-amz-website-redirect-location."""
    restored_until_ms: int = 0
    """Of an archived object: until when it can be read."""
    initiator: int = 0
    """The account that began an upload, where the object is to be another's."""

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
        self._encode_rights(fields)
        if not fields:
            return FORMAT
        return FORMAT + _ENCODE(fields).encode()

    def _encode_rights(self, fields: dict[str, Any]) -> None:
        if self.tags:
            fields["t"] = self.tags
        if self.acl is not None:
            fields["a"] = self.acl
        if self.lock is not None:
            fields["k"] = [self.lock.mode, self.lock.until_ms, self.lock.legal_hold]
        if self.encryption is not None:
            kept = self.encryption
            fields["e"] = [kept.algorithm, kept.key, kept.is_customer, kept.context, kept.bucket_key]
        if self.redirect:
            fields["r"] = self.redirect
        if self.restored_until_ms:
            fields["u"] = self.restored_until_ms
        if self.initiator:
            fields["i"] = self.initiator


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
    if checksum is not None and len(fields) == 1:
        return Attributes(checksum=checksum)  # what most objects have
    parts = tuple(PartInfo(*part) for part in fields.get("p", ()))
    return Attributes(
        headers=fields.get("h", {}),
        metadata=fields.get("m", {}),
        checksum=checksum,
        parts=parts,
        storage_class=fields.get("s", ""),
        layout=fields.get("l", ""),
        tags=fields.get("t", {}),
        acl=tuple(Grant(*grant) for grant in fields["a"]) if "a" in fields else None,
        lock=Lock(*fields["k"]) if "k" in fields else None,
        encryption=Encryption(*fields["e"]) if "e" in fields else None,
        redirect=fields.get("r", ""),
        restored_until_ms=fields.get("u", 0),
        initiator=fields.get("i", 0),
    )
