from __future__ import annotations

import pytest

from s3gw.errors import Code, S3Error
from s3gw.post.fields import check_present, headers_of, merge_fields, signature_of
from s3gw.sigv2 import FormSignature
from s3gw.sigv2.canonical import sign
from s3gw.sigv4 import SignatureError
from s3gw.sigv4.forms import FormSignatureV4

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
POLICY = (
    "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2"
    "NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMt"
    "cmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29t"
    "L3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4"
    "LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0s"
    "DQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZP"
    "RE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1B"
    "Qy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
V4 = {
    "policy": POLICY,
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
    "x-amz-date": "20151229T000000Z",
    "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
}
V2 = {"policy": "cG9saWN5", "awsaccesskeyid": "KEY", "signature": "sig"}


def test_signature_of_the_published_form_is_right() -> None:
    found = signature_of(V4, "us-east-1")
    assert isinstance(found, FormSignatureV4)
    assert found.access_key == "AKIAIOSFODNN7EXAMPLE"
    assert found.is_signed_by(SECRET)
    assert not found.is_signed_by(SECRET + "x")
    assert not found._replace(text=POLICY + "A").is_signed_by(SECRET)


def test_signature_of_version_2() -> None:
    found = signature_of(V2 | {"signature": sign("secret", V2["policy"])}, "us-east-1")
    assert isinstance(found, FormSignature)
    assert found.is_signed_by("secret")
    assert not found.is_signed_by("secret2")


def test_form_without_any_signing_field_is_anonymous() -> None:
    assert signature_of({"key": "k", "acl": "private"}, "us-east-1") is None


@pytest.mark.parametrize("name", sorted(V4))
def test_half_signed_form_is_never_anonymous(name: str) -> None:
    with pytest.raises(S3Error, match="must contain a field"):
        signature_of({each: value for each, value in V4.items() if each != name}, "us-east-1")


@pytest.mark.parametrize("name", sorted(V2))
def test_half_signed_form_of_version_2_is_never_anonymous(name: str) -> None:
    with pytest.raises(S3Error, match="must contain a field"):
        signature_of({each: value for each, value in V2.items() if each != name}, "us-east-1")


@pytest.mark.parametrize(
    "change",
    [
        {"x-amz-algorithm": "AWS4-HMAC-SHA1"},
        {"x-amz-algorithm": "AWS4-ECDSA-P256-SHA256"},
        {"x-amz-date": "2015-12-29"},
        {"x-amz-date": "20151230T000000Z"},
        {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request"},
        {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE"},
    ],
)
def test_form_signed_for_something_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        signature_of(V4 | change, "us-east-1")


def test_form_signed_twice_is_refused() -> None:
    with pytest.raises(S3Error, match="Only one auth mechanism"):
        signature_of(V4 | V2, "us-east-1")


def test_fields_are_merged_by_name_in_any_case_with_the_file_name_filled_in() -> None:
    fields = merge_fields([("kEy", "user/${filename}"), ("x-amz-meta-Name", "${filename}")], "a.txt")
    assert fields == {"key": "user/a.txt", "x-amz-meta-name": "a.txt"}
    with pytest.raises(S3Error, match="more than once"):
        merge_fields([("acl", "private"), ("ACL", "public-read")], "")


@pytest.mark.parametrize(("fields", "has_file"), [({}, True), ({"key": ""}, True), ({"key": "k"}, False)])
def test_form_without_key_or_file_is_refused(fields: dict[str, str], *, has_file: bool) -> None:
    with pytest.raises(S3Error) as refused:
        check_present(fields, has_file=has_file)
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_headers_of_a_form_are_those_of_a_put() -> None:
    tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>"
    fields = {
        "key": "k",
        "acl": "public-read",
        "tagging": tagging,
        "content-type": "text/plain",
        "x-amz-meta-a": "b",
        "x-amz-storage-class": "STANDARD_IA",
        "success_action_status": "201",
        **V4,
    }
    assert headers_of(fields) == {
        "content-type": "text/plain",
        "x-amz-acl": "public-read",
        "x-amz-meta-a": "b",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-tagging": "a+b=1%262",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-a", "one\r\nSet-Cookie: two"),
        ("x-amz-meta-a", "one\ntwo"),
        ("x-amz-meta-a", "\x00"),
        ("content-type", "text/plain\r\n"),
        ("x-amz-meta-a: b", "c"),
        ("x-amz-meta-a\r\nb", "c"),
        ("acl", "private\r\nx: y"),
    ],
)
def test_field_that_no_header_can_carry_is_refused(name: str, value: str) -> None:
    with pytest.raises(S3Error) as refused:
        headers_of({name: value})
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_tagging_that_is_no_document_is_refused() -> None:
    with pytest.raises(S3Error):
        headers_of({"tagging": "a=b"})
