from __future__ import annotations

import pytest

from s3gw.errors import Code, S3Error
from s3gw.operations import OPERATIONS
from s3gw.unbuilt import refuse_unbuilt

ROWS = {row.name: row for row in OPERATIONS}
SSE_C = "x-amz-server-side-encryption-customer-algorithm"


@pytest.mark.parametrize(
    ("operation", "header", "value"),
    [
        ("CreateBucket", "x-amz-bucket-namespace", "account-regional"),
        ("PutObject", "x-amz-server-side-encryption", "aws:kms"),
        ("PutObject", "x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("PutObject", SSE_C, "AES256"),
        ("GetObject", SSE_C, "AES256"),
        ("HeadObject", SSE_C, "AES256"),
        ("UploadPart", SSE_C, "AES256"),
        ("CreateMultipartUpload", SSE_C, "AES256"),
        ("CopyObject", SSE_C.replace("x-amz-", "x-amz-copy-source-"), "AES256"),
        ("UploadPartCopy", SSE_C.replace("x-amz-", "x-amz-copy-source-"), "AES256"),
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
        ("PutObject", "x-amz-server-side-encryption", "AES256"),
        ("PutObject", "x-amz-server-side-encryption-bucket-key-enabled", "false"),
        ("PutObject", "x-amz-meta-acl", "public-read"),
        ("PutObject", "content-type", "a/b"),
        ("GetObject", "x-amz-acl", "public-read"),
        ("HeadBucket", "x-amz-server-side-encryption", "AES256"),
    ],
)
def test_refuse_unbuilt_lets_pass_what_asks_for_nothing(operation: str, header: str, value: str) -> None:
    refuse_unbuilt(ROWS[operation], {header: value})


@pytest.mark.parametrize("operation", ["GetObject", "HeadObject"])
def test_refuse_unbuilt_reads_with_an_encryption_header(operation: str) -> None:
    with pytest.raises(S3Error) as caught:
        refuse_unbuilt(ROWS[operation], {"x-amz-server-side-encryption": "AES256"})
    assert caught.value.code is Code.INVALID_ARGUMENT
