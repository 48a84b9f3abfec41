from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gw.times import http_date, iso_time, parse_http_date, parse_iso_time

SECONDS = st.integers(0, 253_402_300_799)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(SECONDS, st.integers(0, 999))
def test_times_round_trip(second: int, ms: int) -> None:
    moment = second * 1000 + ms
    assert iso_time(moment) == (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.000Z").rjust(24, "0")
    assert parse_iso_time(iso_time(moment)) == second * 1000


@given(st.integers(0, 4_102_444_800))
def test_http_dates_round_trip(second: int) -> None:
    assert http_date(second * 1000 + 999) == formatdate(second, usegmt=True)
    assert parse_http_date(http_date(second * 1000)) == second * 1000


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 09:49:37 +0100"],
)  # fmt: skip
def test_parse_http_date_takes_all_forms(text: str) -> None:
    assert parse_http_date(text) == 784_111_777_000


@pytest.mark.parametrize(
    "text", ["", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "2020", "Sun, 06 Nov 99999 08:49:37 GMT"]
)
def test_parse_http_date_of_no_date(text: str) -> None:
    assert parse_http_date(text) is None


@given(st.text(max_size=40))
def test_parsers_raise_nothing(text: str) -> None:
    for parse in (parse_http_date, parse_iso_time):
        assert parse(text) is None or isinstance(parse(text), int)


@pytest.mark.parametrize("text", ["", "2020-01-01", "2020-13-01T00:00:00Z", "2020-01-01T00:00:00+01:00"])
def test_parse_iso_time_of_no_time(text: str) -> None:
    assert parse_iso_time(text) is None
