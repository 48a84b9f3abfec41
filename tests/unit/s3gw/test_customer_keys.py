"""The three headers of SSE-C: all or none, and each mistake is named as S3 names it."""

from __future__ import annotations

from base64 import b64encode

import pytest

from s3gw.customer_keys import ALGORITHM, KEY, KEY_MD5, OWN, SOURCE, answered, customer_key, key_md5
from s3gw.errors import Code, S3Error

SECRET = bytes(range(32))
MUST = "Requests specifying Server Side Encryption with Customer provided keys must provide"


def _headers(secret: bytes = SECRET, names: tuple[str, str, str] = OWN) -> dict[str, str]:
    return dict(zip(names, ("AES256", b64encode(secret).decode(), key_md5(secret)), strict=True))


def test_customer_key_of_all_three_headers() -> None:
    found = customer_key({"host": "h"} | _headers())
    assert found is not None
    assert found.secret == SECRET
    assert customer_key({"host": "h"}) is None
    source = customer_key(_headers(names=SOURCE), SOURCE)
    assert source is not None
    assert source.secret == SECRET
    assert customer_key(_headers(names=SOURCE)) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({ALGORITHM: None}, f"{MUST} a valid encryption algorithm."),
        ({KEY: None}, f"{MUST} an appropriate secret key."),
        ({KEY_MD5: None}, f"{MUST} the client calculated MD5 of the secret key."),
        ({KEY_MD5: key_md5(b"other")}, "The calculated MD5 hash of the key did not match the hash that was provided."),
        ({KEY: "!"}, "The calculated MD5 hash of the key did not match the hash that was provided."),
        (_headers(bytes(16)), "The secret key was invalid for the specified algorithm."),
        (_headers(b""), "The secret key was invalid for the specified algorithm."),
    ],
)
def test_customer_key_of_wrong_headers(changed: dict[str, str | None], message: str) -> None:
    given = {name: value for name, value in (_headers() | changed).items() if value is not None}
    with pytest.raises(S3Error) as caught:
        customer_key(given)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)
    assert caught.value.fields["argument_name"] == "x-amz-server-side-encryption"
    assert b64encode(SECRET).decode() not in repr(caught.value)


def test_customer_key_of_another_algorithm() -> None:
    with pytest.raises(S3Error) as caught:
        customer_key(_headers() | {ALGORITHM: "AES192"})
    assert caught.value.code is Code.INVALID_ENCRYPTION_ALGORITHM
    assert caught.value.fields["argument_value"] == "AES192"


def test_answered_says_the_algorithm_and_the_keys_md5_alone() -> None:
    shown = answered(_headers())
    assert {name.lower(): value for name, value in shown.items()} == {ALGORITHM: "AES256", KEY_MD5: key_md5(SECRET)}
    assert answered({}) == {}
