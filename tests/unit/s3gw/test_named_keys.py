"""How a request names a named key, and its context."""

from __future__ import annotations

from base64 import b64encode

import pytest

from s3gw.errors import Code, S3Error
from s3gw.named_keys import bucket_key, check_context, default_arn, key_name

REGION = "eu-1"
ARN = f"arn:aws:kms:{REGION}:111122223333:"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("payroll", "payroll"),
        ("alias/payroll", "payroll"),
        (f"{ARN}key/payroll", "payroll"),
        (f"{ARN}alias/dept/payroll", "dept/payroll"),
        ("alias/aws/s3", "aws/s3"),
        (default_arn(REGION), "aws/s3"),
    ],
)
def test_key_name_of_each_form(text: str, name: str) -> None:
    assert key_name(text, REGION) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aws/s3", "Invalid keyId 'aws/s3'"),
        ("arn:aws:kms:us-west-2:111122223333:key/payroll", "Invalid arn us-west-2"),
        ("arn:aws:s3:::payroll", "Invalid arn arn:aws:s3:::payroll"),
        (f"{ARN}grant/payroll", f"Invalid arn {ARN}grant/payroll"),
        ("arn:", "Invalid arn arn:"),
    ],
)
def test_key_name_of_what_names_no_key(text: str, message: str) -> None:
    with pytest.raises(S3Error) as caught:
        key_name(text, REGION)
    assert (caught.value.code, caught.value.message) == (Code.KMS_NOT_FOUND, message)


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
