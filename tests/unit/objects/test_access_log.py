"""Lines and keys of access logs."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects.access_log import BY_DELIVERY, BY_EVENT, SIMPLE, Line, Logging, object_key, operation_of
from cyxcloud.objects.delivery_rights import Source

MOMENT = 1_549_411_238_000  # 6 February 2019, 00:00:38
LEAST = Line("owner", "bucket", MOMENT, "192.0.2.3", "", "3E57", "REST.GET.OBJECT", None, "GET /bucket HTTP/1.1", 200)


def test_line_with_everything_in_it() -> None:
    line = LEAST._replace(
        requester="caller",
        key=b"a b/\xc3\xa4",
        error="NoSuchKey",
        bytes_sent=242,
        object_size=7,
        total_ms=11,
        turnaround_ms=9,
        referrer="http://there/",
        user_agent="S3Console/0.4",
        version="3/L4kqtJ",
        signature="SigV4",
        cipher="TLS_AES_128_GCM_SHA256",
        authentication="AuthHeader",
        host="bucket.example:9000",
        tls="TLSv1.3",
        acl_required=True,
    )
    assert line.text() == (
        b"owner bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 caller 3E57 REST.GET.OBJECT a%20b/%C3%A4 "
        b'"GET /bucket HTTP/1.1" 200 NoSuchKey 242 7 11 9 "http://there/" "S3Console/0.4" 3/L4kqtJ - SigV4 '
        b"TLS_AES_128_GCM_SHA256 AuthHeader bucket.example:9000 TLSv1.3 - Yes"
    )


def test_line_of_what_is_not_known_has_dashes() -> None:
    assert LEAST._replace(address="", bytes_sent=0).text() == (
        b'owner bucket [06/Feb/2019:00:00:38 +0000] - - 3E57 REST.GET.OBJECT - "GET /bucket HTTP/1.1" 200 - - - 0 0 '
        b'"-" "-" - - - - - - - - -'
    )


_wire = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(_wire, _wire, _wire, st.binary(max_size=20))
def test_line_cannot_be_forged_by_a_client(agent: str, referrer: str, host: str, key: bytes) -> None:
    line = LEAST._replace(user_agent=agent, referrer=referrer, host=host, key=key, request=f"GET /{agent} HTTP/1.1")
    text = line.text()
    assert b"\n" not in text
    assert b"\r" not in text
    plain = text.decode().replace("[06/Feb/2019:00:00:38 +0000]", "time", 1)
    assert len(shlex.split(plain.replace("'", "_"))) == 26


@pytest.mark.parametrize(
    ("method", "name", "operation"),
    [
        ("PUT", "PutObject", "REST.PUT.OBJECT"),
        ("PUT", "CopyObject", "REST.PUT.OBJECT"),
        ("GET", "ListObjectsV2", "REST.GET.BUCKET"),
        ("POST", "CreateMultipartUpload", "REST.POST.UPLOADS"),
        ("POST", "CompleteMultipartUpload", "REST.POST.UPLOAD"),
        ("PUT", "UploadPart", "REST.PUT.PART"),
        ("POST", "DeleteObjects", "REST.POST.DELETE_MULTI_OBJECT"),
        ("GET", "GetBucketPolicy", "REST.GET.BUCKETPOLICY"),
        ("GET", "GetBucketVersioning", "REST.GET.VERSIONING"),
        ("PUT", "PutBucketLifecycleConfiguration", "REST.PUT.LIFECYCLE"),
        ("PUT", "PutObjectLegalHold", "REST.PUT.LEGAL_HOLD"),
        ("GET", "GetBucketLogging", "REST.GET.LOGGING_STATUS"),
        ("GET", "GetBucketAcl", "REST.GET.ACL"),
    ],
)
def test_operation_is_method_and_resource(method: str, name: str, operation: str) -> None:
    assert operation_of(method, name) == operation


@pytest.mark.parametrize(
    ("date_source", "key"),
    [
        (SIMPLE, "log/2019-02-06-00-00-38-XYZ"),
        (BY_DELIVERY, "log/123/us-east-1/web/2019/02/06/2019-02-06-00-00-38-XYZ"),
        (BY_EVENT, "log/123/us-east-1/web/2019/02/06/2019-02-06-00-00-00-XYZ"),
    ],
)
def test_key_of_a_log(date_source: str, key: str) -> None:
    source = Source("123", "us-east-1", "web")
    assert object_key(Logging("logs", "log/", date_source), source, MOMENT, "XYZ") == key
