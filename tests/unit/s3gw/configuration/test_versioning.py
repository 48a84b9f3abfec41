from __future__ import annotations

import pytest

from cyxcloud.meta.rows import Versioning
from s3gw.configuration import versioning
from s3gw.errors import Code, S3Error


def document(inside: str) -> bytes:
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<VersioningConfiguration xmlns="{namespace}">{inside}</VersioningConfiguration>'.encode()


@pytest.mark.parametrize(
    ("inside", "state"),
    [
        ("<Status>Enabled</Status>", Versioning.ENABLED),
        ("<Status>Suspended</Status>", Versioning.SUSPENDED),
        ("<MfaDelete>Disabled</MfaDelete><Status>Enabled</Status>", Versioning.ENABLED),
    ],
)
def test_parse_reads_the_status(inside: str, state: Versioning) -> None:
    assert versioning.parse(document(inside)) is state


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("", Code.ILLEGAL_VERSIONING_CONFIGURATION),
        ("<Status>enabled</Status>", Code.MALFORMED_XML),
        ("<Status/>", Code.MALFORMED_XML),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", Code.ACCESS_DENIED),
        ("<Status>Enabled</Status><MfaDelete>Perhaps</MfaDelete>", Code.MALFORMED_XML),
        ("<Status>Enabled</Status><Other/>", Code.MALFORMED_XML),
    ],
)
def test_parse_refuses(inside: str, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        versioning.parse(document(inside))
    assert caught.value.code is code


def test_render_says_nothing_of_a_bucket_that_never_had_versions() -> None:
    prolog = b'<?xml version="1.0" encoding="UTF-8"?>\n'
    assert versioning.render(Versioning.OFF) == prolog + document("")
    assert versioning.render(Versioning.SUSPENDED) == prolog + document("<Status>Suspended</Status>")
