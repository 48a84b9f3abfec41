"""Wraps a blob's data key for its metadata row (pure).

Each blob and mode has a key-encryption key of its own, derived by HKDF-SHA256 from the wrapping key: a wrapped key
moved to another blob's row, or to another mode, does not open. AES-KW (RFC 3394) carries its own check and needs no
nonce.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from cyxcloud.core.ids import BlobId

KEY_BYTES = 32
WRAPPED_BYTES = 40

_INFO = b"cyxcloud dek v1"
_SCOPE = struct.Struct(">QB")


class Mode(IntEnum):
    """Whose key wraps the data key. The numbers stand in rows and in derivations: never renumber them."""

    SSE_S3 = 1
    SSE_KMS = 2
    SSE_C = 3
    CLIENT = 4


class WrongKey(Exception):
    """The wrapped key does not open under this wrapping key, blob and mode."""


def wrap(wrapping_key: bytes, blob: BlobId, mode: Mode, dek: bytes) -> bytes:
    assert len(dek) == KEY_BYTES
    return aes_key_wrap(_key_of(wrapping_key, blob, mode), dek)


def unwrap(wrapping_key: bytes, blob: BlobId, mode: Mode, wrapped: bytes) -> bytes:
    if len(wrapped) != WRAPPED_BYTES:
        raise WrongKey(f"a wrapped key has {WRAPPED_BYTES} bytes, not {len(wrapped)}")
    try:
        return aes_key_unwrap(_key_of(wrapping_key, blob, mode), wrapped)
    except InvalidUnwrap:
        raise WrongKey(f"the data key of blob {blob:#x} does not open") from None


def derive(secret: bytes, info: bytes, salt: bytes | None = None) -> bytes:
    """A key for one purpose from a secret that is itself uniformly random."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)


def _key_of(wrapping_key: bytes, blob: BlobId, mode: Mode) -> bytes:
    assert len(wrapping_key) == KEY_BYTES
    return derive(wrapping_key, _INFO + _SCOPE.pack(blob, mode))
