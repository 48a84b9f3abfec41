from __future__ import annotations

import pytest

from s3gw.errors import Code, S3Error
from s3gw.operations import OPERATIONS
from s3gw.unbuilt import refuse_unbuilt

ROWS = {row.name: row for row in OPERATIONS}


@pytest.mark.parametrize(
    ("operation", "header", "value"),
    [
        ("CreateBucket", "x-amz-bucket-namespace", "account-regional"),
    ],
)
def test_refuse_unbuilt_names_the_header(operation: str, header: str, value: str) -> None:
    with pytest.raises(S3Error) as caught:
        refuse_unbuilt(ROWS[operation], {"host": "h", header: value})
    assert caught.value.code is Code.NOT_IMPLEMENTED
    assert caught.value.fields == {"header": header}


@pytest.mark.parametrize(
    ("operation", "header", "value"),
    [
        ("PutObject", "x-amz-meta-acl", "public-read"),
        ("PutObject", "content-type", "a/b"),
        ("GetObject", "x-amz-acl", "public-read"),
    ],
)
def test_refuse_unbuilt_lets_pass_what_asks_for_nothing(operation: str, header: str, value: str) -> None:
    refuse_unbuilt(ROWS[operation], {header: value})
