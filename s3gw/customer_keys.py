"""The headers of SSE-C: a key that the client sends with each request and S3 forgets after it (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-s3-c-encryption.html; texts and their order are those
that S3 itself answers with.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping

from cyxcloud.core.keywrap import KEY_BYTES
from cyxcloud.objects.encryption import AES256, CustomerKey
from s3gw.errors import Code, S3Error

SSE = "x-amz-server-side-encryption"
ALGORITHM, KEY, KEY_MD5 = (f"{SSE}-customer-{each}" for each in ("algorithm", "key", "key-md5"))
OWN = (ALGORITHM, KEY, KEY_MD5)
SOURCE = (
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
)
_MUST = "Requests specifying Server Side Encryption with Customer provided keys must provide"


def is_named(headers: Mapping[str, str], names: tuple[str, str, str] = OWN) -> bool:
    algorithm, key, md5 = names
    return algorithm in headers or key in headers or md5 in headers


def customer_key(headers: Mapping[str, str], names: tuple[str, str, str] = OWN) -> CustomerKey | None:
    """None where none of the three headers is there; two of them are a mistake, never a wish."""
    algorithm, text, md5 = (headers.get(name) for name in names)
    if algorithm is text is md5 is None:
        return None
    if algorithm is None:
        raise invalid(f"{_MUST} a valid encryption algorithm.")
    if algorithm != AES256:
        raise S3Error(Code.INVALID_ENCRYPTION_ALGORITHM, argument_name=SSE, argument_value=algorithm)
    if text is None:
        raise invalid(f"{_MUST} an appropriate secret key.")
    if md5 is None:
        raise invalid(f"{_MUST} the client calculated MD5 of the secret key.")
    secret = _decoded(text)
    if secret is None or key_md5(secret) != md5:
        raise invalid("The calculated MD5 hash of the key did not match the hash that was provided.")
    if len(secret) != KEY_BYTES:
        raise invalid("The secret key was invalid for the specified algorithm.")
    return CustomerKey(secret)


def answered(headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer says of the key that its request gave."""
    return {ALGORITHM: AES256, f"{SSE}-customer-key-MD5": headers[KEY_MD5]} if KEY_MD5 in headers else {}


def key_md5(secret: bytes) -> str:
    return b64encode(hashlib.md5(secret, usedforsecurity=False).digest()).decode()


def invalid(message: str, value: str = "null") -> S3Error:
    return S3Error(Code.INVALID_ARGUMENT, message, argument_name=SSE, argument_value=value)


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
