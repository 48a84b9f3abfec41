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
)
from s3gw import request
from s3gw.errors import Code, S3Error
from s3gw.request import ByteRange, CopySource

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
DATE_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=2-5", 10, (2, 6)),
        ("bytes=2-", 10, (2, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        ("bytes=5-99999999999999999999999999", 10, (5, 10)),
        ("Bytes = 1 - 2", 10, (1, 3)),
        ("bytes=10-", 10, None),
        ("bytes=10-20", 10, None),
        ("bytes=-0", 10, None),
        ("bytes=0-0", 0, None),
        ("bytes=-5", 0, None),
    ],
)
def test_range_within_an_object(text: str, size: int, expected: tuple[int, int] | None) -> None:
    asked = request.parse_range(text)
    assert asked is not None
    if expected is not None:
        assert asked.within(size) == expected
        return
    with pytest.raises(S3Error) as caught:
        asked.within(size)
    assert caught.value.code is Code.INVALID_RANGE
    assert caught.value.status == 416
    assert caught.value.fields["actual_object_size"] == size


@pytest.mark.parametrize(
    "text",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=1-2,4-5", "items=1-2", "bytes=1-2-3",
     "bytes=--1", "bytes=+1-2", "bytes=\u0661-\u0662", "bytes=1-" + "9" * 31],
)  # fmt: skip
def test_range_that_is_none_asks_for_everything(text: str | None) -> None:
    assert request.parse_range(text) is None


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d{0,5}-\d{0,5}", fullmatch=True), st.integers(0, 10**5))
def test_range_is_within_the_object_or_refused(text: str, size: int) -> None:
    asked = request.parse_range(text)
    if asked is None:
        return
    assert request.parse_range(str(asked)) == asked
    try:
        start, end = asked.within(size)
    except S3Error:
        return
    assert 0 <= start < end <= size


@pytest.mark.parametrize("text", ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5", "bytes=3-2", "bytes=-3"])  # fmt: skip
def test_copy_source_range_improper(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        request.copy_source_range({"x-amz-copy-source-range": text})
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_copy_source_range_may_not_reach_beyond_the_source() -> None:
    asked = request.copy_source_range({"x-amz-copy-source-range": "bytes=0-20"})
    assert asked == ByteRange(0, 20)
    assert asked.whole_within(21) == (0, 21)
    with pytest.raises(S3Error) as caught:
        asked.whole_within(20)
    assert caught.value.code is Code.INVALID_RANGE
    assert request.copy_source_range({}) is None


def test_read_conditions() -> None:
    headers = {
        "if-match": '"a", "b",c',
        "if-none-match": 'W/"x", *',
        "if-modified-since": DATE,
        "if-unmodified-since": "not a date",
    }
    assert request.read_conditions(headers) == ReadConditions(("a", "b", "c"), ("x", "*"), DATE_MS, None)
    assert request.read_conditions({"host": "h"}) is NO_READ_CONDITIONS
    assert request.read_conditions({"if-match": 'W/"a"'}).if_match == ('W/"a',), "a weak tag equals no ETag"


def test_copy_source_and_write_conditions() -> None:
    headers = {"x-amz-copy-source-if-match": '"a"', "x-amz-copy-source-if-modified-since": DATE, "if-none-match": "*"}
    assert request.copy_source_conditions(headers) == ReadConditions(("a",), (), DATE_MS, None)
    assert request.write_conditions(headers) == WriteConditions((), ("*",))
    assert request.write_conditions({"if-match": '"a"'}) == WriteConditions(("a",), ())
    assert request.write_conditions({}) is NO_WRITE_CONDITIONS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bucket/key", CopySource("bucket", b"key")),
        ("/bucket/key", CopySource("bucket", b"key")),
        ("bucket//key", CopySource("bucket", b"/key")),
        ("bucket/a%20b%3Fc%25", CopySource("bucket", b"a b?c%")),
        ("bucket/a+b", CopySource("bucket", b"a+b")),
        ("bucket/\u00e4", CopySource("bucket", b"\xc3\xa4")),
        ("bucket/a/b?versionId=v1", CopySource("bucket", b"a/b", "v1")),
        ("bucket%2Fa%2Fb", CopySource("bucket", b"a/b")),
        ("bucket/k?versionId=", CopySource("bucket", b"k")),
    ],
)
def test_copy_source(text: str, expected: CopySource) -> None:
    assert request.parse_copy_source({"x-amz-copy-source": text}) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.INVALID_ARGUMENT),
        ("bucket", Code.INVALID_ARGUMENT),
        ("bucket/", Code.INVALID_ARGUMENT),
        ("/", Code.INVALID_ARGUMENT),
        ("bucket/a?b", Code.INVALID_ARGUMENT),
        ("bucket/%ff", Code.INVALID_ARGUMENT),
        ("bucket/%zz", Code.INVALID_ARGUMENT),
        ("bucket/\udcff", Code.INVALID_ARGUMENT),
        ("../key", Code.INVALID_BUCKET_NAME),
        ("BUCKET/key", Code.INVALID_BUCKET_NAME),
    ],
)
def test_copy_source_refuses(text: str, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        request.parse_copy_source({"x-amz-copy-source": text})
    assert caught.value.code is code


@given(st.text(max_size=60))
def test_copy_source_raises_nothing_but_s3_errors(text: str) -> None:
    try:
        found = request.parse_copy_source({"x-amz-copy-source": text})
    except S3Error:
        return
    assert found.key


def test_user_metadata_keeps_raw_text() -> None:
    headers = {"x-amz-meta-a": "\u00e4\u20ac", "x-amz-meta-": "", "x-amz-meta-b": "", "content-type": "t"}
    assert request.user_metadata(headers) == {"a": "\u00e4\u20ac", "": "", "b": ""}
    assert request.user_metadata({"content-type": "t"}) == {}


@pytest.mark.parametrize("name", ["x-amz-meta-a", "content-disposition"])
def test_kept_headers_that_are_no_utf8_are_refused(name: str) -> None:
    read = request.user_metadata if name.startswith("x-amz-meta-") else request.content_headers
    with pytest.raises(S3Error) as caught:
        read({name: "caf\udce9"})
    assert (caught.value.code, caught.value.fields) == (Code.INVALID_ARGUMENT, {"argument_name": name})
    assert read({name: "caf\u00e9"})


def test_removal_conditions() -> None:
    assert request.removal_conditions({}) is NO_REMOVAL_CONDITIONS
    headers = {
        "if-match": '"a"',
        "x-amz-if-match-size": "7",
        "x-amz-if-match-last-modified-time": "Thu, 01 Jan 1970 00:00:02 GMT",
    }
    assert request.removal_conditions(headers) == RemovalConditions(("a",), 2000, 7)
    iso = {"x-amz-if-match-last-modified-time": "1970-01-01T00:00:02Z"}
    assert request.removal_conditions(iso) == RemovalConditions((), 2000, None)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("if-none-match", "*", Code.NOT_IMPLEMENTED),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:02 GMT", Code.NOT_IMPLEMENTED),
        ("x-amz-if-match-size", "-1", Code.INVALID_ARGUMENT),
        ("x-amz-if-match-size", "9" * 19, Code.INVALID_ARGUMENT),
        ("x-amz-if-match-last-modified-time", "yesterday", Code.INVALID_ARGUMENT),
    ],
)
def test_removal_conditions_refused(name: str, value: str, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        request.removal_conditions({name: value})
    assert caught.value.code is code


def test_user_metadata_counts_names_and_values_in_utf8() -> None:
    assert request.user_metadata({"x-amz-meta-ab": "\u00e4" * 1023})
    with pytest.raises(S3Error) as caught:
        request.user_metadata({"x-amz-meta-abc": "\u00e4" * 1023})
    assert caught.value.code is Code.METADATA_TOO_LARGE


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [("gzip", "gzip"), ("aws-chunked", None), ("gzip, aws-chunked", "gzip"), ("AWS-Chunked,gzip,br", "gzip,br")],
)
def test_content_headers_leave_the_transfer_encoding_out(encoding: str, stored: str | None) -> None:
    found = request.content_headers({"content-type": "t", "content-encoding": encoding, "content-length": "3"})
    assert found == {"content-type": "t"} | ({"content-encoding": stored} if stored else {})


def test_storage_class() -> None:
    assert request.storage_class({}) == "STANDARD"
    assert request.storage_class({"x-amz-storage-class": "STANDARD_IA"}) == "STANDARD_IA"
    for name, code in (("SNOW", Code.INVALID_STORAGE_CLASS), ("standard", Code.INVALID_STORAGE_CLASS)):
        with pytest.raises(S3Error) as caught:
            request.storage_class({"x-amz-storage-class": name})
        assert caught.value.code is code


def test_replaces_metadata() -> None:
    assert not request.replaces_metadata({})
    assert request.replaces_metadata({"x-amz-metadata-directive": "REPLACE"})
    with pytest.raises(S3Error):
        request.replaces_metadata({"x-amz-metadata-directive": "MERGE"})


def test_wanted_attributes() -> None:
    assert request.wanted_attributes({"x-amz-object-attributes": "ETag, ObjectSize"}) == {"ETag", "ObjectSize"}
    for headers in ({}, {"x-amz-object-attributes": " , "}, {"x-amz-object-attributes": "ETag,Colour"}):
        with pytest.raises(S3Error) as caught:
            request.wanted_attributes(headers)
        assert caught.value.status == 400
