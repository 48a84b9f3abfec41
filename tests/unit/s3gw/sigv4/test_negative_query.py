"""The negative matrix of presigned URLs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.sigv4 import PayloadKind, RequestView, SignatureError, SignatureFault, Verified, Verifier
from s3gw.sigv4.timestamps import parse_amz_date, parse_http_date
from tests.unit.s3gw.sigv4.signer import ACCESS_KEY, EMPTY, NOW_MS, by_query, lookup, verified, verify

F = SignatureFault
QUERY_ERROR = F.AUTHORIZATION_QUERY_PARAMETERS
PRESIGNED = by_query("PUT", "/bucket/key", "uploadId=abc&partNumber=1", {"x-amz-acl": "private"})


def refusal(view: RequestView, now_ms: int = NOW_MS) -> SignatureError:
    with pytest.raises(SignatureError) as refused:
        verify(view, now_ms)
    return refused.value


def with_query(query: str) -> RequestView:
    return RequestView(PRESIGNED.method, PRESIGNED.raw_path, query, PRESIGNED.headers)


def replaced(old: str, new: str) -> RequestView:
    assert old in PRESIGNED.raw_query
    return with_query(PRESIGNED.raw_query.replace(old, new))


CHANGES = {
    "algorithm unknown": ("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5", QUERY_ERROR),
    "algorithm ECDSA": ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", F.NOT_IMPLEMENTED),
    "algorithm missing": ("X-Amz-Algorithm", "X-Amz-Algo", QUERY_ERROR),
    "credential missing": ("X-Amz-Credential", "Credential", QUERY_ERROR),
    "credential unknown": (ACCESS_KEY, "AKIAI44QH8DHBEXAMPLE", F.INVALID_ACCESS_KEY_ID),
    "credential empty": (ACCESS_KEY, "", QUERY_ERROR),
    "scope short": ("%2Fus-east-1", "", QUERY_ERROR),
    "scope of another region": ("us-east-1", "eu-west-1", QUERY_ERROR),
    "scope of another service": ("%2Fs3%2F", "%2Fsts%2F", QUERY_ERROR),
    "scope of another terminal": ("aws4_request", "aws5_request", QUERY_ERROR),
    "scope of another day": ("%2F20130524%2F", "%2F20130525%2F", QUERY_ERROR),
    "scope with a long day": ("%2F20130524%2F", "%2F020130524%2F", QUERY_ERROR),
    "signature missing": ("X-Amz-Signature", "X-Amz-Sig", QUERY_ERROR),
    "signature short": ("X-Amz-Signature=", "X-Amz-Signature=ab&x=", F.SIGNATURE_DOES_NOT_MATCH),
    "signature name escaped and emptied": ("X-Amz-Signature=", "X%2DAmz-Signature=&x=", F.SIGNATURE_DOES_NOT_MATCH),
    "date missing": ("X-Amz-Date", "Date", QUERY_ERROR),
    "date nonsense": ("20130524T000000Z", "20130524", QUERY_ERROR),
    "date of another minute": ("20130524T000000Z", "20130524T000100Z", F.SIGNATURE_DOES_NOT_MATCH),
    "signed headers missing": ("X-Amz-SignedHeaders", "SignedHeaders", QUERY_ERROR),
    "signed headers empty": ("X-Amz-SignedHeaders=", "X-Amz-SignedHeaders=&x=", QUERY_ERROR),
    "signed headers without host": ("SignedHeaders=host%3B", "SignedHeaders=", F.ACCESS_DENIED),
    "signed headers without the amz one": ("host%3Bx-amz-acl", "host", F.ACCESS_DENIED),
    "expiry missing": ("X-Amz-Expires", "Expires", QUERY_ERROR),
    "expiry longer than signed": ("X-Amz-Expires=900", "X-Amz-Expires=901", F.SIGNATURE_DOES_NOT_MATCH),
    "expiry above a week": ("X-Amz-Expires=900", "X-Amz-Expires=604801", QUERY_ERROR),
    "expiry of many digits": ("X-Amz-Expires=900", "X-Amz-Expires=" + "9" * 5000, QUERY_ERROR),
    "expiry negative": ("X-Amz-Expires=900", "X-Amz-Expires=-1", QUERY_ERROR),
    "expiry nothing": ("X-Amz-Expires=900", "X-Amz-Expires=0", F.ACCESS_DENIED),
    "expiry empty": ("X-Amz-Expires=900", "X-Amz-Expires=", QUERY_ERROR),
    "expiry no number": ("X-Amz-Expires=900", "X-Amz-Expires=1h", QUERY_ERROR),
    "expiry in other digits": ("X-Amz-Expires=900", "X-Amz-Expires=%D9%A3", QUERY_ERROR),
    "parameter twice": ("X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900", QUERY_ERROR),
    "parameter added": ("X-Amz-Expires=900", "X-Amz-Expires=900&versionId=1", F.SIGNATURE_DOES_NOT_MATCH),
    "parameter altered": ("partNumber=1", "partNumber=2", F.SIGNATURE_DOES_NOT_MATCH),
    "parameter dropped": ("uploadId=abc", "", F.SIGNATURE_DOES_NOT_MATCH),
    "token added": ("X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Security-Token=t", F.SIGNATURE_DOES_NOT_MATCH),
    "payload hash added": (
        "X-Amz-Expires=900",
        f"X-Amz-Expires=900&X-Amz-Content-Sha256={EMPTY}",
        F.SIGNATURE_DOES_NOT_MATCH,
    ),
    "payload nonsense": ("X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Content-Sha256=x", F.INVALID_ARGUMENT),
}


@pytest.mark.parametrize("name", CHANGES)
def test_verify_query_negative(name: str) -> None:
    old, new, fault = CHANGES[name]
    assert refusal(replaced(old, new)).fault is fault


def test_verify_query_unchanged() -> None:
    answer = verified(PRESIGNED)
    assert (answer.access_key, answer.presigned) == (ACCESS_KEY, True)
    assert answer.payload.kind is PayloadKind.UNSIGNED


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("x-amz-acl", "public-read", F.SIGNATURE_DOES_NOT_MATCH),
        ("x-amz-tagging", "a=b", F.ACCESS_DENIED),
        ("x-amz-content-sha256", EMPTY, F.ACCESS_DENIED),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", F.ACCESS_DENIED),
        ("host", "evil.example", F.SIGNATURE_DOES_NOT_MATCH),
        ("authorization", "", F.INVALID_ARGUMENT),
        ("authorization", "Bearer abc", F.INVALID_ARGUMENT),
    ],
)
def test_verify_query_with_another_header(name: str, value: str, fault: SignatureFault) -> None:
    view = RequestView("PUT", "/bucket/key", PRESIGNED.raw_query, {**PRESIGNED.headers, name: value})
    assert refusal(view).fault is fault


@pytest.mark.parametrize(("method", "path"), [("GET", "/bucket/key"), ("PUT", "/bucket/kez"), ("PUT", "/buckeu/key")])
def test_verify_query_of_another_target(method: str, path: str) -> None:
    view = RequestView(method, path, PRESIGNED.raw_query, PRESIGNED.headers)
    assert refusal(view).fault is F.SIGNATURE_DOES_NOT_MATCH


def test_verify_query_wrong_secret() -> None:
    assert refusal(by_query(secret="another")).fault is F.SIGNATURE_DOES_NOT_MATCH


def test_verify_query_expires_to_the_second() -> None:
    assert verified(PRESIGNED, NOW_MS + 899_999).presigned
    error = refusal(PRESIGNED, NOW_MS + 900_000)
    assert (error.fault, error.message) == (F.ACCESS_DENIED, "Request has expired")
    assert error.fields["Expires"] == "2013-05-24T00:15:00Z"


def test_verify_query_of_the_future() -> None:
    assert verified(PRESIGNED, NOW_MS - 900_000).presigned
    error = refusal(PRESIGNED, NOW_MS - 901_000)
    assert (error.fault, error.message) == (F.ACCESS_DENIED, "Request is not yet valid")


def test_verify_query_wrong_region_names_the_right_one() -> None:
    error = refusal(replaced("us-east-1", "mars-1"))
    assert error.fields == {"Region": "us-east-1"}
    assert error.message.endswith("the region 'mars-1' is wrong; expecting 'us-east-1'")


@pytest.mark.parametrize("query", [f"AWSAccessKeyId={ACCESS_KEY}&Expires=1&Signature=x", "Signature=x"])
def test_verify_query_version_2(query: str) -> None:
    assert refusal(RequestView("GET", "/bucket/key", query, {"host": "a"})).fault is F.INVALID_REQUEST


def test_verify_query_payload_hash_may_be_in_the_query() -> None:
    # Newer SDKs move the header into the URL; the canonical request ends with it all the same.
    view = by_query("PUT", "/bucket/key", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")
    assert verified(view).payload.kind is PayloadKind.UNSIGNED


@pytest.mark.parametrize("query", ["X-Amz-Security-Token=t", "X-Amz-Content-Sha256=x", "x-amz-signature=0"])
def test_verify_query_that_is_no_signature(query: str) -> None:
    assert not isinstance(verify(RequestView("GET", "/", query, {"host": "a"})), Verified)


def test_check_uses_the_secret_of_now() -> None:
    verifier = Verifier()
    assert isinstance(verifier.verify(PRESIGNED, lookup, NOW_MS), Verified)
    with pytest.raises(SignatureError) as refused:
        verifier.verify(PRESIGNED, lambda _: "rotated", NOW_MS)
    assert refused.value.fault is F.SIGNATURE_DOES_NOT_MATCH
    with pytest.raises(SignatureError) as refused:
        verifier.verify(PRESIGNED, lambda _: None, NOW_MS)
    assert refused.value.fields == {"AWSAccessKeyId": ACCESS_KEY}


def test_verified_does_not_print_its_key() -> None:
    assert "signing_key" not in repr(verified(PRESIGNED))


PIECES = st.sampled_from(
    [
        "X-Amz-",
        "Signature",
        "Credential",
        "=",
        "&",
        "%",
        "2F",
        "/",
        "AWS4-HMAC-SHA256",
        "host",
        ";",
        ",",
        " ",
        "\udcff",
        "é",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    TEXTS, TEXTS, st.dictionaries(st.sampled_from(["authorization", "host", "date", "x-amz-date"]), TEXTS, max_size=4)
)
def test_verify_fuzz_never_fails_otherwise(path: str, query: str, headers: dict[str, str]) -> None:
    answer = None
    with contextlib.suppress(SignatureError):
        answer = verify(RequestView("GET", path, query, headers))
    assert not isinstance(answer, Verified)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"[0-9]{8}T[0-9]{6}Z", fullmatch=True))
def test_parse_dates_fuzz(text: str) -> None:
    for parsed in (parse_amz_date(text), parse_http_date(text)):
        assert parsed is None or isinstance(parsed, int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Fri, 99 May 2013 00:00:00 GMT",
        "Fri, 24 May 99999 00:00:00 GMT",
        "Fri, 24 May 2013 00:00:00 +9999999999",
    ],
)
def test_parse_http_date_impossible(text: str) -> None:
    assert parse_http_date(text) is None
