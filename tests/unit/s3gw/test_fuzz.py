"""What strangers send is read or refused in S3's words, whatever it is (R28): nothing else is ever raised."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw import xml_reader
from s3gw.aws_chunked import AwsChunkedDecoder
from s3gw.body_errors import BodyError
from s3gw.configuration import (
    acl,
    cors,
    notification,
    object_lock,
    ownership,
    public_access,
    request_payment,
    restore,
    tagging,
    versioning,
    website,
)
from s3gw.errors import S3Error
from s3gw.post.multipart import boundary_of
from s3gw.request import parse_range
from s3gw.resolve import Resolver
from s3gw.signatures import Door
from s3gw.sigv4 import Anonymous, RequestView, SignatureError
from s3gw.sigv4.signing import ChunkChain, derive_signing_key
from tests.unit.s3gw.sigv4.signer import ACCESS_KEY, NOW_MS, SCOPE, SECRET, TIMESTAMP, lookup

DOOR, RESOLVER = Door("us-east-1", lambda _host: None), Resolver(("s3.test",))


def joined(pieces: Iterable[str]) -> st.SearchStrategy[str]:
    """Texts of pieces that mean something, in any order, with noise between them."""
    return st.lists(st.sampled_from(sorted(pieces)) | st.text(max_size=3), max_size=12).map("".join)


CREDENTIAL = f"{ACCESS_KEY}/{SCOPE}"
AUTHORIZATIONS = joined(
    [
        "AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", "AWS ", f"{ACCESS_KEY}:", "Credential=", "SignedHeaders=", "Signature=",
        CREDENTIAL, "host;x-amz-date", "0" * 64, ", ", ",", "=", "/", " ",
    ]
)  # fmt: skip
QUERIES = joined(
    [
        "X-Amz-Algorithm=", "X-Amz-Credential=", "X-Amz-Signature=", "X-Amz-Date=", "X-Amz-SignedHeaders=", "X-Amz-Expires=",
        "AWSAccessKeyId=", "Signature=", "Expires=", "AWS4-HMAC-SHA256", CREDENTIAL, TIMESTAMP, "host", "0" * 64, "9" * 20, "-1",
        "&", "=", "%", "%2", "%ff", "%00", "+", "uploads", "versionId=", "x-amz-acl=",
    ]
)  # fmt: skip
DATES = st.sampled_from([TIMESTAMP, "Fri, 24 May 2013 00:00:00 GMT", ""]) | st.text(max_size=30)
SHA256 = st.sampled_from(["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64]) | st.text(max_size=5)


def is_let_in(view: RequestView) -> bool:
    """Whether it is taken for signed. Anonymous is only what makes no attempt to sign."""
    claim = DOOR.claim(view, NOW_MS)
    if isinstance(claim, Anonymous):
        assert "authorization" not in view.headers
        return False
    DOOR.check(claim, lookup(claim.access_key))
    return True


@given(AUTHORIZATIONS, DATES, SHA256)
def test_fuzzed_authorization_is_refused(authorization: str, date: str, sha256: str) -> None:
    headers: dict[str, str | list[str]] = {"host": "h", "authorization": authorization, "x-amz-date": date}
    with pytest.raises(SignatureError):
        is_let_in(RequestView("GET", "/b/k", "", headers | {"x-amz-content-sha256": sha256}))


@given(QUERIES, st.text(max_size=20))
def test_fuzzed_query_signature_is_refused(query: str, path: str) -> None:
    with contextlib.suppress(SignatureError):
        assert not is_let_in(RequestView("GET", "/" + path, query, {"host": "h"}))


@given(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "X"]), joined(["/", "%", "%2F", "%ff", "..", "b", "?", "#"]), QUERIES, st.text(max_size=9))  # fmt: skip
def test_fuzzed_target_is_resolved_or_refused(method: str, path: str, query: str, host: str) -> None:
    with contextlib.suppress(S3Error):
        RESOLVER.resolve(method, "/" + path, query, host, {"x-amz-acl"})


CHUNKS = st.lists(
    st.sampled_from(
        [
            b"0\r\n", b"5\r\n", b"10\r\n", b"ffffffffffffffff\r\n", b"\r\n", b"\n", b"hello", b";chunk-signature=", b"0" * 64,
            b"x-amz-checksum-crc32:AAAAAA==", b"x-amz-trailer-signature:", b"\r", b":",
        ]
    )
    | st.binary(max_size=4),
    max_size=14,
)  # fmt: skip


@given(CHUNKS, st.integers(1, 9), st.integers(0, 1), st.integers(0, 1), st.sampled_from([0, 5, 10, 16]))
def test_fuzzed_chunks_are_decoded_or_refused(
    pieces: list[bytes], step: int, signed: int, trailer: int, size: int
) -> None:
    body = b"".join(pieces)
    chain = (
        ChunkChain(derive_signing_key(SECRET, "20130524", "us-east-1"), TIMESTAMP, SCOPE, "0" * 64) if signed else None
    )
    decoder = AwsChunkedDecoder(size, chain, ("x-amz-checksum-crc32",) if trailer else ())
    content = b""
    try:
        for start in range(0, len(body), step):
            content += b"".join(decoder.feed(body[start : start + step]))
        decoder.finish()
    except (BodyError, SignatureError):
        assert len(content) <= size
        return
    assert len(content) == size
    assert not signed or not size, "nobody can guess a chunk's signature"


PARSERS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "Delete": ("Object Key VersionId Quiet", xml_reader.parse_delete),
    "CompleteMultipartUpload": ("Part PartNumber ETag ChecksumCRC32", xml_reader.parse_complete_multipart),
    "CreateBucketConfiguration": ("LocationConstraint Tags Tag Key Value", xml_reader.parse_create_bucket),
    "AccessControlPolicy": ("Owner ID AccessControlList Grant Grantee Permission URI", acl.parse),
    "CORSConfiguration": ("CORSRule AllowedMethod AllowedOrigin MaxAgeSeconds", cors.parse),
    "NotificationConfiguration": ("TopicConfiguration Topic Event Id Filter", notification.parse),
    "ObjectLockConfiguration": (
        "ObjectLockEnabled Rule DefaultRetention Mode Days Years",
        object_lock.parse_configuration,
    ),
    "Retention": ("Mode RetainUntilDate", object_lock.parse_retention),
    "LegalHold": ("Status", object_lock.parse_legal_hold),
    "OwnershipControls": ("Rule ObjectOwnership", ownership.parse),
    "PublicAccessBlockConfiguration": ("BlockPublicAcls IgnorePublicAcls", public_access.parse),
    "RequestPaymentConfiguration": ("Payer", request_payment.parse),
    "RestoreRequest": ("Days GlacierJobParameters Tier", restore.parse),
    "Tagging": ("TagSet Tag Key Value", tagging.parse),
    "VersioningConfiguration": ("Status MfaDelete", versioning.parse),
    "WebsiteConfiguration": (
        "IndexDocument Suffix RoutingRules RoutingRule Redirect Condition HostName",
        website.parse,
    ),
}
TEXTS = st.sampled_from(
    ["", "1", "-1", "99999999999999999999", "true", "Enabled", "GOVERNANCE", "GET", "*", "2020-01-01T00:00:00Z"]
)


def trees(names: list[str]) -> st.SearchStrategy[str]:
    name = st.sampled_from(names)
    return st.recursive(
        TEXTS | st.text(max_size=3),
        lambda inner: st.builds(
            lambda tags: "".join(f"<{tag}>{text}</{tag}>" for tag, text in tags),
            st.lists(st.tuples(name, inner), min_size=1, max_size=4),
        ),
        max_leaves=8,
    )


@settings(deadline=None)
@given(st.sampled_from(sorted(PARSERS)), st.data())
def test_fuzzed_document_is_parsed_or_refused(root: str, data: st.DataObject) -> None:
    names, parse = PARSERS[root]
    body = data.draw(
        trees(names.split()) | joined(["<", ">", "/", f"<{root}>", "<!DOCTYPE a>", "<![CDATA[", "]]>", "&a;", "&#0;"])
    )
    with contextlib.suppress(S3Error):
        parse(f"<{root}>{body}</{root}>".encode("utf-8", "replace"))
    with contextlib.suppress(S3Error):
        parse(body.encode("utf-8", "replace"))


@given(
    joined(["bytes", "=", "-", ",", "0", "9" * 40, " "]) | st.from_regex(r"bytes=\d{0,3}-\d{0,3}", fullmatch=True),
    st.integers(0, 200),
)
def test_fuzzed_range_is_within_the_object(text: str, size: int) -> None:
    wanted = parse_range(text)
    if wanted is None:
        return
    with contextlib.suppress(S3Error):
        start, end = wanted.within(size)
        assert 0 <= start < end <= size


@given(joined(["multipart/form-data", "boundary=", ";", '"', "abc", " "]))
def test_fuzzed_form_type_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(S3Error):
        assert 1 <= len(boundary_of(text)) <= 70
