from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects.conditions import (
    NO_READ_CONDITIONS,
    NO_REMOVAL_CONDITIONS,
    NO_WRITE_CONDITIONS,
    ReadConditions,
    RemovalConditions,
    WriteConditions,
    check_copy_source,
    check_read,
    check_removal,
    check_write,
)
from cyxcloud.objects.errors import NoSuchKey, NotModified, PreconditionFailed

# The object of all tests: ETag "a", modified at 10.4 s.
MODIFIED_MS = 10_400


def outcome(conditions: ReadConditions) -> str:
    try:
        check_read(conditions, "a", MODIFIED_MS)
    except PreconditionFailed as failed:
        return failed.condition
    except NotModified as same:
        return "304" if (same.etag, same.modified_ms) == ("a", MODIFIED_MS) else "304 of another"
    return ""


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (NO_READ_CONDITIONS, ""),
        (ReadConditions(if_match=("a",)), ""),
        (ReadConditions(if_match=("b", "a")), ""),
        (ReadConditions(if_match=("*",)), ""),
        (ReadConditions(if_match=("b",)), "If-Match"),
        (ReadConditions(if_none_match=("a",)), "304"),
        (ReadConditions(if_none_match=("*",)), "304"),
        (ReadConditions(if_none_match=("b",)), ""),
        # HTTP dates have seconds: an object of 10.4 s was not modified since second 10, and was since second 9.
        (ReadConditions(if_modified_since_ms=10_000), "304"),
        (ReadConditions(if_modified_since_ms=9_000), ""),
        (ReadConditions(if_unmodified_since_ms=10_000), ""),
        (ReadConditions(if_unmodified_since_ms=9_000), "If-Unmodified-Since"),
        # RFC 9110 13.2.2: an ETag condition beats the date of its kind.
        (ReadConditions(if_match=("a",), if_unmodified_since_ms=9_000), ""),
        (ReadConditions(if_none_match=("b",), if_modified_since_ms=10_000), ""),
        (ReadConditions(if_none_match=("a",), if_modified_since_ms=9_000), "304"),
        (ReadConditions(if_match=("b",), if_none_match=("a",)), "If-Match"),
        (ReadConditions(if_match=("a",), if_none_match=("a",)), "304"),
    ],
)
def test_check_read(conditions: ReadConditions, expected: str) -> None:
    assert outcome(conditions) == expected


@pytest.mark.parametrize(
    ("conditions", "unmet"),
    [
        (ReadConditions(if_none_match=("a",)), "x-amz-copy-source-If-None-Match"),
        (ReadConditions(if_modified_since_ms=10_000), "x-amz-copy-source-If-Modified-Since"),
        (ReadConditions(if_match=("b",)), "If-Match"),
    ],
)
def test_check_copy_source_has_no_304(conditions: ReadConditions, unmet: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        check_copy_source(conditions, "a", MODIFIED_MS)
    assert caught.value.condition == unmet


@given(
    st.builds(
        ReadConditions,
        st.sampled_from([(), ("a",), ("b",)]),
        st.sampled_from([(), ("a",), ("b",)]),
        st.sampled_from([None, 9_000, 10_000]),
        st.sampled_from([None, 9_000, 10_000]),
    )
)
def test_a_copy_goes_where_a_read_does(conditions: ReadConditions) -> None:
    if outcome(conditions):
        with pytest.raises(PreconditionFailed):
            check_copy_source(conditions, "a", MODIFIED_MS)
    else:
        check_copy_source(conditions, "a", MODIFIED_MS)


@pytest.mark.parametrize("etag", [None, "a"])
def test_check_write_without_conditions(etag: str | None) -> None:
    check_write(NO_WRITE_CONDITIONS, etag)
    check_write(WriteConditions(), etag)


@pytest.mark.parametrize(
    ("conditions", "etag", "refusal"),
    [
        (WriteConditions(if_match=("a",)), "a", None),
        (WriteConditions(if_match=("*",)), "a", None),
        (WriteConditions(if_match=("b",)), "a", PreconditionFailed),
        (WriteConditions(if_match=("*",)), None, NoSuchKey),
        (WriteConditions(if_none_match=("*",)), None, None),
        (WriteConditions(if_none_match=("*",)), "a", PreconditionFailed),
        (WriteConditions(if_none_match=("b",)), "a", None),
        (WriteConditions(if_none_match=("a",)), "a", PreconditionFailed),
        (WriteConditions(if_match=("a",), if_none_match=("a",)), "a", PreconditionFailed),
    ],
)
def test_check_write(conditions: WriteConditions, etag: str | None, refusal: type[Exception] | None) -> None:
    if refusal is None:
        check_write(conditions, etag)
        return
    with pytest.raises(refusal):
        check_write(conditions, etag)


@pytest.mark.parametrize(
    ("conditions", "unmet"),
    [
        (NO_REMOVAL_CONDITIONS, None),
        (RemovalConditions(("a",), 10_999, 5), None),
        (RemovalConditions(("*",)), None),
        (RemovalConditions(("b",)), "If-Match"),
        (RemovalConditions((), 11_000), "x-amz-if-match-last-modified-time"),
        (RemovalConditions((), None, 4), "x-amz-if-match-size"),
        (RemovalConditions((), None, 0), "x-amz-if-match-size"),
    ],
)
def test_check_removal(conditions: RemovalConditions, unmet: str | None) -> None:
    if unmet is None:
        check_removal(conditions, "a", MODIFIED_MS, 5)
        return
    with pytest.raises(PreconditionFailed) as caught:
        check_removal(conditions, "a", MODIFIED_MS, 5)
    assert caught.value.condition == unmet
