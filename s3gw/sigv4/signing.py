"""Signature Version 4's arithmetic: the signing key, a request's signature, the chain over chunks (pure)."""

from __future__ import annotations

import hashlib
import hmac

from s3gw.sigv4.authorization import ALGORITHM, MISMATCH
from s3gw.sigv4.errors import SignatureError, SignatureFault

_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def derive_signing_key(secret: str, date: str, region: str) -> SigningKey:
    key = b"AWS4" + secret.encode()
    for step in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return SigningKey(key)


def string_to_sign(timestamp: str, scope: str, canonical_request: str) -> str:
    hashed = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}"


class SigningKey:
    """HMAC-SHA256 (RFC 2104) with the key's two blocks hashed once.

    `hmac.digest` hashes them again for each text and gives up the interpreter's lock, which costs a small request more
    than the hashing does.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        assert len(key) <= _BLOCK_BYTES
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def sign(self, text: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.hexdigest()


class ChunkChain:
    """The signatures of a body's chunks, each over the one before it, from the request's own signature on."""

    def __init__(self, signing_key: SigningKey, timestamp: str, scope: str, seed_signature: str) -> None:
        self._key = signing_key
        self._context = f"{timestamp}\n{scope}"
        self._previous = seed_signature

    def check_chunk(self, signature: str, chunk_sha256: str) -> None:
        self._check("PAYLOAD", signature, f"{EMPTY_SHA256}\n{chunk_sha256}")

    def check_trailer(self, signature: str, canonical_trailer: bytes) -> None:
        self._check("TRAILER", signature, hashlib.sha256(canonical_trailer).hexdigest())

    def _check(self, kind: str, signature: str, hashed: str) -> None:
        expected = self._key.sign(f"{ALGORITHM}-{kind}\n{self._context}\n{self._previous}\n{hashed}")
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
            raise SignatureError(SignatureFault.SIGNATURE_DOES_NOT_MATCH, MISMATCH, SignatureProvided=signature)
        self._previous = expected
