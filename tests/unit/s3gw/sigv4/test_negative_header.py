"""The negative matrix of header signatures: each line is one thing wrong, and the code S3 gives for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from s3gw.sigv4 import (
    Anonymous,
    Claim,
    PayloadKind,
    RequestView,
    SignatureError,
    SignatureFault,
    Verifier,
    fold_headers,
)
from tests.unit.s3gw.sigv4.signer import ACCESS_KEY, EMPTY, NOW_MS, by_header, verified, verify

Headers = Mapping[str, str | list[str]]
Change = Callable[[Headers], Headers]

REQUESTS = {
    "put": by_header("PUT", "/bucket/key", "", {"x-amz-acl": "private", "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
    "upload part": by_header("PUT", "/bucket/key", "partNumber=2&uploadId=abc", {"x-amz-acl": "private"}, b"part"),
    "complete": by_header("POST", "/bucket/key", "uploadId=abc", {"x-amz-acl": "private"}, b"<x/>"),
    "copy": by_header("PUT", "/bucket/key", "", {"x-amz-copy-source": "/other/key", "x-amz-acl": "private"}),
    "delete": by_header("DELETE", "/bucket/key", "versionId=1", {"x-amz-acl": "private"}),
    "delete several": by_header("POST", "/bucket", "delete=", {"x-amz-acl": "private"}, b"<Delete/>"),
}


def refusal(view: RequestView, now_ms: int = NOW_MS) -> SignatureError:
    with pytest.raises(SignatureError) as refused:
        verify(view, now_ms)
    return refused.value


def changed(view: RequestView, change: Change) -> RequestView:
    return RequestView(view.method, view.raw_path, view.raw_query, change(view.headers))


def put(name: str, value: str | list[str]) -> Change:
    return lambda headers: {**headers, name: value}


def drop(name: str) -> Change:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def in_authorization(old: str, new: str) -> Change:
    def change(headers: Headers) -> Headers:
        value = headers["authorization"]
        assert isinstance(value, str)
        assert old in value
        return {**headers, "authorization": value.replace(old, new)}

    return change


F = SignatureFault
MALFORMED = F.AUTHORIZATION_HEADER_MALFORMED
MISMATCH = F.SIGNATURE_DOES_NOT_MATCH

CHANGES: dict[str, tuple[Change, SignatureFault]] = {
    "signature cut": (in_authorization("Signature=", "Signature=0"), MALFORMED),
    "names upper-case": (lambda h: put("authorization", str(h["authorization"]).upper())(h), MALFORMED),
    "signature of zeros": (
        lambda h: put("authorization", str(h["authorization"]).rpartition("=")[0] + "=" + "0" * 64)(h),
        MISMATCH,
    ),
    "signature not hexadecimal": (
        lambda h: put("authorization", str(h["authorization"]).rpartition("=")[0] + "=" + "g" * 64)(h),
        MALFORMED,
    ),
    "signature missing": (lambda h: put("authorization", str(h["authorization"]).rpartition(",")[0])(h), MALFORMED),
    "signature empty": (lambda h: put("authorization", str(h["authorization"]).rpartition("=")[0] + "=")(h), MALFORMED),
    "component unknown": (in_authorization("SignedHeaders=", "Signed="), MALFORMED),
    "component without value": (in_authorization("SignedHeaders=", "SignedHeaders"), MALFORMED),
    "component twice": (in_authorization("Credential=", "Signature=0, Credential="), MALFORMED),
    "access key unknown": (in_authorization(ACCESS_KEY, "AKIAI44QH8DHBEXAMPLE"), F.INVALID_ACCESS_KEY_ID),
    "access key missing": (in_authorization(ACCESS_KEY, ""), MALFORMED),
    "access key with a slash": (in_authorization(ACCESS_KEY, f"{ACCESS_KEY}/more"), F.INVALID_ACCESS_KEY_ID),
    "scope short": (in_authorization("/us-east-1", ""), MALFORMED),
    "scope of another region": (in_authorization("us-east-1", "eu-west-1"), MALFORMED),
    "scope of another service": (in_authorization("/s3/", "/ec2/"), MALFORMED),
    "scope of another terminal": (in_authorization("aws4_request", "aws4_reques"), MALFORMED),
    "scope of another day": (in_authorization("/20130524/", "/20130525/"), MALFORMED),
    "scope with a short day": (in_authorization("/20130524/", "/2013/"), MALFORMED),
    "host not signed": (in_authorization("host;", ""), F.ACCESS_DENIED),
    "host missing": (drop("host"), F.ACCESS_DENIED),
    "host another": (put("host", "evil.example"), MISMATCH),
    "amz header not signed": (in_authorization(";x-amz-acl", ""), F.ACCESS_DENIED),
    "amz header added": (put("x-amz-tagging", "a=b"), F.ACCESS_DENIED),
    "amz header altered": (put("x-amz-acl", "public-read-write"), MISMATCH),
    "amz header dropped": (drop("x-amz-acl"), MISMATCH),
    "amz header twice": (put("x-amz-acl", ["private", "public-read"]), MISMATCH),
    "signed headers reordered": (
        lambda h: put(
            "authorization", str(h["authorization"]).replace("host;", "").replace(", Signature", ";host, Signature")
        )(h),
        MISMATCH,
    ),
    "payload hash altered": (put("x-amz-content-sha256", "0" * 64), MISMATCH),
    "payload unsigned instead": (put("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), MISMATCH),
    "payload in unsigned chunks instead": (put("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), MISMATCH),
    "payload in signed chunks instead": (put("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), MISMATCH),
    "payload hash missing": (drop("x-amz-content-sha256"), F.INVALID_REQUEST),
    "payload hash nonsense": (put("x-amz-content-sha256", "sha256"), F.INVALID_ARGUMENT),
    "payload hash twice": (put("x-amz-content-sha256", [EMPTY, EMPTY]), F.INVALID_ARGUMENT),
    "payload under ECDSA": (put("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"), F.NOT_IMPLEMENTED),
    "date missing": (drop("x-amz-date"), F.ACCESS_DENIED),
    "date nonsense": (put("x-amz-date", "yesterday"), F.ACCESS_DENIED),
    "date of no calendar": (put("x-amz-date", "20130532T000000Z"), F.ACCESS_DENIED),
    "date with letters": (put("x-amz-date", "2013W524T000000Z"), F.ACCESS_DENIED),
    "date twice": (put("x-amz-date", ["20130524T000000Z", "20130524T000000Z"]), F.ACCESS_DENIED),
    "date a second later": (put("x-amz-date", "20130524T000001Z"), MISMATCH),
    "date header instead of a signed one": (
        lambda h: put("date", "Fri, 24 May 2013 00:10:00 GMT")(drop("x-amz-date")(h)),
        MISMATCH,
    ),
    "date header nonsense": (lambda h: put("date", "soon")(drop("x-amz-date")(h)), F.ACCESS_DENIED),
    "authorization empty": (put("authorization", ""), F.ACCESS_DENIED),
    "authorization blank": (put("authorization", "  "), F.ACCESS_DENIED),
    "authorization twice": (put("authorization", ["AWS4-HMAC-SHA256 a", "AWS4-HMAC-SHA256 b"]), F.INVALID_ARGUMENT),
    "authorization without components": (put("authorization", "AWS4-HMAC-SHA256"), MALFORMED),
    "authorization basic": (put("authorization", "Basic dXNlcjpwYXNz"), F.INVALID_ARGUMENT),
    "authorization bearer": (put("authorization", "Bearer abc"), F.INVALID_ARGUMENT),
    "authorization version 2": (put("authorization", f"AWS {ACCESS_KEY}:signature="), F.INVALID_REQUEST),
    "authorization version 2 malformed": (put("authorization", "AWS HAHAHA"), F.INVALID_ARGUMENT),
    "authorization ECDSA": (in_authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), F.NOT_IMPLEMENTED),
    "algorithm unknown": (in_authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5"), F.INVALID_ARGUMENT),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("name", CHANGES)
def test_verify_header_negative(name: str, request_name: str) -> None:
    change, fault = CHANGES[name]
    assert refusal(changed(REQUESTS[request_name], change)).fault is fault


@pytest.mark.parametrize("request_name", REQUESTS)
def test_verify_header_unchanged(request_name: str) -> None:
    assert verified(REQUESTS[request_name]).access_key == ACCESS_KEY


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/bucket/key2", ""),
        ("/bucket//key", ""),
        ("/bucket/./key", ""),
        ("/bucket/x/../key", ""),
        ("/bucket/key/", ""),
        ("/Bucket/key", ""),
        ("/bucket/key%00", ""),
        ("/bucket/key", "acl"),
        ("/bucket/key", "versionId=1"),
        ("/bucket/key", "x-id=PutObject"),
    ],
)
def test_verify_header_of_another_target(path: str, query: str) -> None:
    view = REQUESTS["put"]
    assert refusal(RequestView(view.method, path, query, view.headers)).fault is MISMATCH


@pytest.mark.parametrize("method", ["GET", "POST", "put", ""])
def test_verify_header_of_another_method(method: str) -> None:
    view = REQUESTS["put"]
    assert refusal(RequestView(method, view.raw_path, view.raw_query, view.headers)).fault is MISMATCH


@pytest.mark.parametrize("query", ["uploadId=abc&partNumber=3", "uploadId=abc", "partNumber=2&uploadId=abd"])
def test_verify_header_of_another_part(query: str) -> None:
    view = REQUESTS["upload part"]
    assert refusal(RequestView(view.method, view.raw_path, query, view.headers)).fault is MISMATCH


@pytest.mark.parametrize("seconds", [901, -901, 86400, -86400])
def test_verify_header_skewed(seconds: int) -> None:
    error = refusal(REQUESTS["put"], NOW_MS + seconds * 1000)
    assert error.fault is F.REQUEST_TIME_TOO_SKEWED
    assert error.fields["RequestTime"] == "20130524T000000Z"
    assert error.fields["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("seconds", [900, -900])
def test_verify_header_skewed_within_limits(seconds: int) -> None:
    assert verified(REQUESTS["put"], NOW_MS + seconds * 1000).access_key == ACCESS_KEY


def test_verify_header_wrong_region_names_the_right_one() -> None:
    error = refusal(by_header(region="eu-central-1"))
    assert error.message == (
        "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting 'us-east-1'"
    )
    assert error.fields == {"Region": "us-east-1"}


def test_verify_header_names_what_was_not_signed() -> None:
    error = refusal(changed(REQUESTS["put"], put("x-amz-tagging", "a=b")))
    assert error.message == "There were headers present in the request which were not signed"
    assert error.fields == {"HeadersNotSigned": "x-amz-tagging"}


@pytest.mark.parametrize(
    "query", ["X-Amz-Signature=0", "X-Amz-Credential=a", "X-Amz-Algorithm=b", "AWSAccessKeyId=c", "Signature=d"]
)
def test_verify_header_and_query_together(query: str) -> None:
    error = refusal(by_header("PUT", "/bucket/key", query))
    assert error.fault is F.INVALID_ARGUMENT
    assert error.message.startswith("Only one auth mechanism allowed;")


def test_verify_header_components_in_another_order() -> None:
    view = REQUESTS["put"]
    value = view.headers["authorization"]
    assert isinstance(value, str)
    credential, signed, signature = value.removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    reordered = f"AWS4-HMAC-SHA256   {signature} ,{signed},\t{credential} "
    assert verified(changed(view, put("authorization", reordered))).access_key == ACCESS_KEY


def test_verify_header_date_may_be_in_both_headers() -> None:
    assert verified(changed(REQUESTS["put"], put("date", ""))).timestamp == "20130524T000000Z"


@pytest.mark.parametrize("date", ["20130524T000000Z", "Fri, 24 May 2013 00:00:00 -0000", "24 May 2013 02:00:00 +0200"])
def test_claim_date_header_forms(date: str) -> None:
    claim = Verifier().claim(changed(REQUESTS["put"], lambda h: put("date", date)(drop("x-amz-date")(h))), NOW_MS)
    assert isinstance(claim, Claim)
    assert claim.timestamp == "20130524T000000Z"


@pytest.mark.parametrize("declared", [None, "UNSIGNED-PAYLOAD", EMPTY, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_verify_anonymous(declared: str | None) -> None:
    headers: Headers = {"host": "a"} if declared is None else {"host": "a", "x-amz-content-sha256": declared}
    answer = verify(RequestView("PUT", "/bucket/key", "", headers))
    assert isinstance(answer, Anonymous)
    assert answer.payload.declared == (declared or "UNSIGNED-PAYLOAD")
    assert answer.payload.kind.chunked is (answer.payload.kind is PayloadKind.UNSIGNED_CHUNKS_TRAILER)


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", F.ACCESS_DENIED),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", F.ACCESS_DENIED),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", F.NOT_IMPLEMENTED),
        ("nonsense", F.INVALID_ARGUMENT),
    ],
)
def test_verify_anonymous_with_a_payload_that_needs_a_key(declared: str, fault: SignatureFault) -> None:
    assert refusal(RequestView("PUT", "/bucket/key", "", {"x-amz-content-sha256": declared})).fault is fault


def test_fold_headers() -> None:
    folded = fold_headers([("Host", "a"), ("X-Amz-Meta-A", "1"), ("x-amz-meta-a", "2"), ("X-AMZ-META-A", "3")])
    assert folded == {"host": "a", "x-amz-meta-a": ["1", "2", "3"]}
