from __future__ import annotations

import pytest

from cyxcloud.objects.ownership import Ownership, OwnershipControls
from s3gw.configuration.ownership import parse, render
from s3gw.errors import Code, S3Error


@pytest.mark.parametrize("rule", list(Ownership))
def test_what_is_rendered_is_parsed(rule: Ownership) -> None:
    controls = OwnershipControls(rule)
    assert parse(render(controls).partition(b"\n")[2]) == controls


@pytest.mark.parametrize(
    "body",
    [
        b"<OwnershipControls/>",
        b"<OwnershipControls><Rule/></OwnershipControls>",
        b"<OwnershipControls><Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule></OwnershipControls>",
        b"<OwnershipControls>"
        + b"<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>" * 2
        + b"</OwnershipControls>",
    ],
)
def test_parse_refuses(body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse(body)
    assert caught.value.code is Code.MALFORMED_XML
