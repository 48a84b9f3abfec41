"""Signature Version 4's arithmetic: the signing key, a request's signature, the chain over chunks (pure)."""

from __future__ import annotations

import hashlib
import hmac

from s3gw.sigv4.authorization import ALGORITHM, MISMATCH
from s3gw.sigv4.errors import SignatureError, SignatureFault

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def derive_signing_key(secret: str, date: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for step in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def string_to_sign(timestamp: str, scope: str, canonical_request: str) -> str:
    hashed = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}"


def sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


class ChunkChain:
    """The signatures of a body's chunks, each over the one before it, from the request's own signature on."""

    def __init__(self, signing_key: bytes, timestamp: str, scope: str, seed_signature: str) -> None:
        self._key = signing_key
        self._context = f"{timestamp}\n{scope}"
        self._previous = seed_signature

    def check_chunk(self, signature: str, chunk_sha256: str) -> None:
        self._check("PAYLOAD", signature, f"{EMPTY_SHA256}\n{chunk_sha256}")

    def check_trailer(self, signature: str, canonical_trailer: bytes) -> None:
        self._check("TRAILER", signature, hashlib.sha256(canonical_trailer).hexdigest())

    def _check(self, kind: str, signature: str, hashed: str) -> None:
        expected = sign(self._key, f"{ALGORITHM}-{kind}\n{self._context}\n{self._previous}\n{hashed}")
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
            raise SignatureError(SignatureFault.SIGNATURE_DOES_NOT_MATCH, MISMATCH, SignatureProvided=signature)
        self._previous = expected
