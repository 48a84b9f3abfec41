from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gw import parameters
from s3gw.errors import Code, S3Error


def refused(call: object, *arguments: object) -> Code:
    assert callable(call)
    with pytest.raises(S3Error) as caught:
        call(*arguments)
    return caught.value.code


def test_page_size() -> None:
    assert parameters.page_size({}, "max-keys") == 1000
    assert parameters.page_size({"max-keys": "0"}, "max-keys") == 0
    assert parameters.page_size({"max-keys": "2147483647"}, "max-keys") == 1000
    for text in ("", "-1", "a", "1.5", "2147483648", "9" * 30, "\u0661", " 1"):
        assert refused(parameters.page_size, {"max-keys": text}, "max-keys") is Code.INVALID_ARGUMENT


def test_part_number() -> None:
    assert parameters.part_number({}) is None
    assert parameters.part_number({"partNumber": "10000"}) == 10_000
    for text in ("0", "10001", "-1", "", "x"):
        assert refused(parameters.part_number, {"partNumber": text}) is Code.INVALID_ARGUMENT


def test_part_number_marker() -> None:
    assert parameters.part_number_marker(None) == 0
    assert parameters.part_number_marker("7") == 7
    assert refused(parameters.part_number_marker, "x") is Code.INVALID_ARGUMENT


def test_wants_url_encoding() -> None:
    assert not parameters.wants_url_encoding({})
    assert not parameters.wants_url_encoding({"encoding-type": ""})
    assert parameters.wants_url_encoding({"encoding-type": "URL"})
    assert refused(parameters.wants_url_encoding, {"encoding-type": "base64"}) is Code.INVALID_ARGUMENT


def test_response_overrides() -> None:
    query = {"response-content-type": "a/b", "response-content-disposition": "x; filename=\u202f\u00e4", "prefix": "p"}
    assert parameters.response_overrides(query) == {
        "content-type": "a/b",
        "content-disposition": "x; filename=\u202f\u00e4",
    }
    for bad in ("a\r\nSet-Cookie: b", "a\x00", "a\x7f"):
        assert refused(parameters.response_overrides, {"response-expires": bad}) is Code.INVALID_ARGUMENT


@given(st.binary(max_size=1024))
def test_tokens_round_trip(key: bytes) -> None:
    token = parameters.encode_token(key)
    assert token.isascii()
    assert parameters.decode_token(token) == key


@pytest.mark.parametrize("text", ["", "AA==", "a", "****", "\u00e4", "Ag=="])
def test_tokens_of_others_are_refused(text: str) -> None:
    assert refused(parameters.decode_token, text) is Code.INVALID_ARGUMENT
