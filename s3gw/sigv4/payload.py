"""What the x-amz-content-sha256 header says of a body: hashed, unsigned, or in signed or unsigned chunks (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from s3gw.sigv4.errors import SignatureError, SignatureFault

CONTENT_SHA256 = "x-amz-content-sha256"
_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class PayloadKind(Enum):
    UNSIGNED = "UNSIGNED-PAYLOAD"
    HASHED = "sha256"
    SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def chunked(self) -> bool:
        return self in _CHUNKED

    @property
    def signed_chunks(self) -> bool:
        return self is PayloadKind.SIGNED_CHUNKS or self is PayloadKind.SIGNED_CHUNKS_TRAILER


_CHUNKED = frozenset(
    {PayloadKind.SIGNED_CHUNKS, PayloadKind.SIGNED_CHUNKS_TRAILER, PayloadKind.UNSIGNED_CHUNKS_TRAILER},
)


@dataclass(frozen=True, slots=True)
class Payload:
    """`declared` is the header as it came: it is the last line of the canonical request."""

    kind: PayloadKind
    declared: str

    @property
    def sha256(self) -> bytes | None:
        return bytes.fromhex(self.declared) if self.kind is PayloadKind.HASHED else None


_NAMED = {kind.value: Payload(kind, kind.value) for kind in PayloadKind if kind is not PayloadKind.HASHED}
UNSIGNED = _NAMED[PayloadKind.UNSIGNED.value]


def parse_payload(declared: str) -> Payload:
    named = _NAMED.get(declared)
    if named is not None:
        return named
    if _HEX_DIGEST.fullmatch(declared):
        return Payload(PayloadKind.HASHED, declared)
    if declared.startswith("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        raise SignatureError(
            SignatureFault.NOT_IMPLEMENTED,
            "A header you provided implies functionality that is not implemented",
            Header=CONTENT_SHA256,
        )
    raise SignatureError(
        SignatureFault.INVALID_ARGUMENT,
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        ArgumentName=CONTENT_SHA256,
        ArgumentValue=declared,
    )
