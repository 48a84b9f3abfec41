from __future__ import annotations

import pytest

from cyxcloud.objects.access_block import PublicAccessBlock
from s3gw.configuration import public_access
from s3gw.errors import Code, S3Error

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def document(inner: str) -> bytes:
    return f"<PublicAccessBlockConfiguration {NAMESPACE}>{inner}</PublicAccessBlockConfiguration>".encode()


def test_parse_what_is_not_named_is_off() -> None:
    block = public_access.parse(document("<BlockPublicPolicy>TRUE</BlockPublicPolicy>"))
    assert block == PublicAccessBlock(block_public_policy=True)
    assert public_access.parse(public_access.render(block)) == block


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("", Code.INVALID_REQUEST),
        ("<BlockPublicPolicy>perhaps</BlockPublicPolicy>", Code.MALFORMED_XML),
        ("<BlockAll>true</BlockAll>", Code.MALFORMED_XML),
        ("<IgnorePublicAcls>true</IgnorePublicAcls>" * 2, Code.MALFORMED_XML),
    ],
)
def test_parse_refuses(inner: str, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        public_access.parse(document(inner))
    assert caught.value.code is code
