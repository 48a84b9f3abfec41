"""The context of a named key, and whether a bucket key is used."""

from __future__ import annotations

from base64 import b64encode

import pytest

from s3gw.errors import Code, S3Error
from s3gw.named_keys import bucket_key, check_context


def test_check_context_takes_a_map_of_strings() -> None:
    check_context(b64encode('{"a": "ä", "b": ""}'.encode()).decode())
    check_context(b64encode(b"{}").decode())


@pytest.mark.parametrize("given", [b"", b"[]", b'"a"', b'{"a": 1}', b'{"a": {}}', b"{", b"\xff", b"[" * 20_000])
def test_check_context_of_anything_else(given: bytes) -> None:
    for text in (b64encode(given).decode(), given.decode("latin-1")):
        with pytest.raises(S3Error) as caught:
            check_context(text)
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_bucket_key_is_true_or_false() -> None:
    assert bucket_key("true")
    assert not bucket_key("False")
    with pytest.raises(S3Error):
        bucket_key("yes")
