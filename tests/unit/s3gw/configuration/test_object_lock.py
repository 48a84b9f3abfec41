from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cyxcloud.objects.attributes import Lock
from cyxcloud.objects.lock import COMPLIANCE, GOVERNANCE, DefaultRetention, ObjectLock, Retention
from s3gw.configuration import object_lock as documents
from s3gw.errors import Code, S3Error

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
LATEST_MS = 253_402_300_799_999  # the end of the year 9999


@given(st.sampled_from([GOVERNANCE, COMPLIANCE]), st.integers(0, LATEST_MS))
@example(GOVERNANCE, 1001)
def test_retention_is_read_to_the_millisecond_that_was_written(mode: str, until_ms: int) -> None:
    assert documents.parse_retention(documents.render_retention(Lock(mode, until_ms))) == Retention(mode, until_ms)


@given(
    st.none()
    | st.builds(DefaultRetention, st.just(GOVERNANCE), days=st.integers(1, 36_500))
    | st.builds(DefaultRetention, st.just(COMPLIANCE), years=st.integers(1, 100))
)
def test_configuration_is_read_as_it_was_written(default: DefaultRetention | None) -> None:
    config = ObjectLock(default)
    assert documents.parse_configuration(documents.render_configuration(config)) == config


def test_documents_as_s3_writes_them() -> None:
    assert documents.render_retention(Lock(COMPLIANCE, 1_800_000_000_007)).decode() == (
        f"{DECLARATION}<Retention {NAMESPACE}><Mode>COMPLIANCE</Mode>"
        "<RetainUntilDate>2027-01-15T08:00:00.007Z</RetainUntilDate></Retention>"
    )
    assert documents.render_legal_hold(on=True).decode() == (
        f"{DECLARATION}<LegalHold {NAMESPACE}><Status>ON</Status></LegalHold>"
    )
    assert documents.render_configuration(ObjectLock(DefaultRetention(GOVERNANCE, days=1))).decode() == (
        f"{DECLARATION}<ObjectLockConfiguration {NAMESPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
        "<DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
    )


@pytest.mark.parametrize(
    "inside",
    [
        "<Mode>GOVERNANCE</Mode>",
        "<RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>",
        "<Mode>abc</Mode><RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>",
        "<Mode>GOVERNANCE</Mode><RetainUntilDate>2140-13-01T00:00:00Z</RetainUntilDate>",
        "<Mode>GOVERNANCE</Mode><Mode>GOVERNANCE</Mode>",
        "<Days>1</Days>",
    ],
)
def test_parse_retention_refuses(inside: str) -> None:
    with pytest.raises(S3Error) as caught:
        documents.parse_retention(f"<Retention>{inside}</Retention>".encode())
    assert caught.value.code is Code.MALFORMED_XML


def test_parse_retention_of_nothing_asks_for_none() -> None:
    assert documents.parse_retention(b"<Retention/>") is None


@pytest.mark.parametrize("status", ["on", "", "ONOFF"])
def test_parse_legal_hold_refuses(status: str) -> None:
    with pytest.raises(S3Error) as caught:
        documents.parse_legal_hold(f"<LegalHold><Status>{status}</Status></LegalHold>".encode())
    assert caught.value.code is Code.MALFORMED_XML
