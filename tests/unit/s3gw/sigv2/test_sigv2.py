"""Amazon's published examples of RESTAuthentication, and what must not verify."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from s3gw.operations import OPERATIONS
from s3gw.signatures import Door
from s3gw.sigv2 import ClaimV2, check, claim_header
from s3gw.sigv2.canonical import SIGNED_PARAMETERS, sign, strings_to_sign
from s3gw.sigv4 import RequestView, SignatureError, SignatureFault

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW_MS = 1_175_024_202_000  # Tue, 27 Mar 2007 19:36:42 +0000
BUCKET_HOST = "awsexamplebucket1.us-west-1.s3.amazonaws.com"
DOOR = Door("us-east-1", lambda host: "awsexamplebucket1" if host == BUCKET_HOST else None)


def signed(method: str, path: str, query: str = "", host: str = BUCKET_HOST, **headers: str) -> ClaimV2:
    given = {name.replace("_", "-"): value for name, value in headers.items()} | {"host": host}
    text = strings_to_sign(
        RequestView(method, path, query, given), given.get("date", ""), DOOR._bucket_of_host(host), {}
    )
    view = RequestView(method, path, query, given | {"authorization": f"AWS {KEY}:{sign(SECRET, text[0])}"})
    claim = DOOR.claim(view, NOW_MS)
    assert isinstance(claim, ClaimV2)
    return claim


@pytest.mark.parametrize(
    ("view", "date", "signature"),
    [
        (RequestView("GET", "/photos/puppy.jpg", "", {"host": BUCKET_HOST}), "Tue, 27 Mar 2007 19:36:42 +0000", "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
        (
            RequestView("PUT", "/photos/puppy.jpg", "", {"host": BUCKET_HOST, "content-type": "image/jpeg"}),
            "Tue, 27 Mar 2007 21:15:45 +0000",
            "iqRzw+ileNPu1fhspnRs8nOjjIA=",
        ),
        (
            RequestView("GET", "/", "prefix=photos&max-keys=50&marker=puppy", {"host": BUCKET_HOST}),
            "Tue, 27 Mar 2007 19:42:41 +0000",
            "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        ),
        (RequestView("GET", "/", "acl", {"host": BUCKET_HOST}), "Tue, 27 Mar 2007 19:44:46 +0000", "82ZHiFIjc+WbcwFKGUVEQspPn+0="),
    ],
)  # fmt: skip
def test_sign_published_examples(view: RequestView, date: str, signature: str) -> None:
    texts = strings_to_sign(view, date, "awsexamplebucket1", {})
    assert sign(SECRET, texts[0]) == signature


def test_every_selecting_parameter_is_signed() -> None:
    selectors = {name for row in OPERATIONS for name, _ in row.query}
    # Two forms of one listing, with the same permission.
    assert selectors - SIGNED_PARAMETERS == {"list-type"}


def test_claim_of_a_right_signature_is_verified() -> None:
    verified = check(signed("PUT", "/k", date=formatdate(NOW_MS / 1000), x_amz_acl="private"), SECRET)
    assert (verified.access_key, verified.presigned) == (KEY, False)


def test_bucket_without_a_slash_may_be_signed_with_one() -> None:
    date = formatdate(NOW_MS / 1000)
    text = f"PUT\n\n\n{date}\n/bucket/"
    view = RequestView("PUT", "/bucket", "", {"date": date, "authorization": f"AWS {KEY}:{sign(SECRET, text)}"})
    claim = DOOR.claim(view, NOW_MS)
    assert isinstance(claim, ClaimV2)
    check(claim, SECRET)


@pytest.mark.parametrize("secret", [SECRET + "x", ""])
def test_check_of_another_secret_is_refused(secret: str) -> None:
    with pytest.raises(SignatureError) as refused:
        check(signed("GET", "/k", date=formatdate(NOW_MS / 1000)), secret)
    assert refused.value.fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH


def test_check_of_an_added_sub_resource_is_refused() -> None:
    claim = signed("DELETE", "/", date=formatdate(NOW_MS / 1000))
    view = RequestView("DELETE", "/", "website", {"host": BUCKET_HOST, "date": formatdate(NOW_MS / 1000)})
    other = claim_header(view, f"AWS {KEY}:{claim.signature}", "awsexamplebucket1", NOW_MS)
    with pytest.raises(SignatureError):
        check(other, SECRET)


@pytest.mark.parametrize(
    ("date", "fault"),
    [
        ("", SignatureFault.ACCESS_DENIED),
        ("Bad Date", SignatureFault.ACCESS_DENIED),
        ("Tue, 07 Jul 1950 21:53:04 GMT", SignatureFault.ACCESS_DENIED),
        (formatdate(NOW_MS / 1000 - 901), SignatureFault.REQUEST_TIME_TOO_SKEWED),
        (formatdate(NOW_MS / 1000 + 901), SignatureFault.REQUEST_TIME_TOO_SKEWED),
    ],
)
def test_claim_at_another_time_is_refused(date: str, fault: SignatureFault) -> None:
    with pytest.raises(SignatureError) as refused:
        signed("GET", "/k", x_amz_date=date)
    assert refused.value.fault is fault


@pytest.mark.parametrize("value", ["AWS HAHAHA", "AWS :sig", "AWS key:", "AWS a:b:c", "AWS  "])
def test_claim_of_a_malformed_header_is_refused(value: str) -> None:
    with pytest.raises(SignatureError) as refused:
        DOOR.claim(RequestView("GET", "/", "", {"authorization": value, "date": formatdate(NOW_MS / 1000)}), NOW_MS)
    assert refused.value.fault is SignatureFault.INVALID_ARGUMENT


def presigned(query: str) -> ClaimV2:
    claim = DOOR.claim(RequestView("GET", "/bucket/k", query, {"host": "h"}), NOW_MS)
    assert isinstance(claim, ClaimV2)
    return claim


def test_presigned_url_is_verified_until_it_expires() -> None:
    expires = NOW_MS // 1000 + 1
    signature = (
        sign(SECRET, f"GET\n\n\n{expires}\nx-amz-acl:private\n/bucket/k").replace("+", "%2B").replace("=", "%3D")
    )
    query = f"AWSAccessKeyId={KEY}&Signature={signature}&Expires={expires}&x-amz-acl=private"
    assert check(presigned(query), SECRET).presigned
    with pytest.raises(SignatureError, match="expired"):
        DOOR.claim(RequestView("GET", "/bucket/k", query, {"host": "h"}), NOW_MS + 1000)
    with pytest.raises(SignatureError, match="does not match"):
        check(presigned(query.replace("private", "public-read")), SECRET)


@pytest.mark.parametrize(
    "query",
    [
        f"AWSAccessKeyId={KEY}",
        f"AWSAccessKeyId={KEY}&Signature=x",
        f"AWSAccessKeyId={KEY}&Expires=9999999999",
        f"AWSAccessKeyId={KEY}&Signature=x&Expires=soon",
        f"AWSAccessKeyId={KEY}&Signature=x&Signature=y&Expires=9999999999",
        f"AWSAccessKeyId={KEY}&Signature=x&Expires=9999999999&X-Amz-Signature=x",
        "Signature=x",
        f"AWSAccessKey%49d={KEY}",
    ],
)
def test_half_a_signature_is_never_anonymous(query: str) -> None:
    with pytest.raises(SignatureError):
        presigned(query)


def test_two_signatures_are_refused() -> None:
    headers = {"authorization": f"AWS {KEY}:sig", "date": formatdate(NOW_MS / 1000)}
    for query in ("X-Amz-Signature=x", f"AWSAccessKeyId={KEY}"):
        with pytest.raises(SignatureError, match="Only one auth mechanism"):
            DOOR.claim(RequestView("GET", "/", query, headers), NOW_MS)


def test_chunks_signed_by_version_4_are_refused() -> None:
    with pytest.raises(SignatureError):
        signed("PUT", "/k", date=formatdate(NOW_MS / 1000), x_amz_content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
