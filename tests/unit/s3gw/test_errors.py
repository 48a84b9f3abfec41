from __future__ import annotations

import pytest

from s3gw.body_errors import BodyFault
from s3gw.errors import Code, S3Error, code_named, not_implemented
from s3gw.sigv4.errors import SignatureFault


def test_codes_are_unique_and_complete() -> None:
    assert len({code.text for code in Code}) == len(Code)
    for code in Code:
        assert code.text.removeprefix("KMS.").isalnum()
        assert code.message
        assert 300 <= code.status < 600
        assert code_named(code.text) is code


def test_every_signature_fault_has_a_code() -> None:
    for fault in SignatureFault:
        assert code_named(fault.value).status in (400, 403, 501)


def test_every_body_fault_has_a_code() -> None:
    for fault in BodyFault:
        assert code_named(fault.value).status in (400, 411, 501)


@pytest.mark.parametrize("message", [None, "own text"])
def test_s3_error_takes_the_tables_text_unless_given_one(message: str | None) -> None:
    failure = S3Error(Code.NO_SUCH_KEY, message, key="k")
    assert (failure.status, failure.message, str(failure)) == (
        404,
        message or Code.NO_SUCH_KEY.message,
        failure.message,
    )
    assert "NoSuchKey" in repr(failure)
    assert failure.fields == {"key": "k"}


def test_not_implemented() -> None:
    assert not_implemented("x", header="h").status == 501
