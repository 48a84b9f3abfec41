"""The document that says where access logs go."""

from __future__ import annotations

import pytest

from cyxcloud.objects.access_log import BY_DELIVERY, BY_EVENT, SIMPLE, Logging
from cyxcloud.objects.acl import LOG_DELIVERY, Grant
from s3gw.configuration import logging
from s3gw.configuration.acl import GrantLine
from s3gw.configuration.logging import LoggingDocument
from s3gw.documents import Owner
from s3gw.errors import Code, S3Error

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
PARTITIONED = "<TargetObjectKeyFormat><PartitionedPrefix>{}</PartitionedPrefix></TargetObjectKeyFormat>"
SOURCE = "<PartitionDateSource>{}</PartitionDateSource>"


def document(rest: str, target: str = "<TargetBucket>logs</TargetBucket><TargetPrefix>a/</TargetPrefix>") -> bytes:
    return f"<BucketLoggingStatus><LoggingEnabled>{target}{rest}</LoggingEnabled></BucketLoggingStatus>".encode()


def grant(grantee: str, permission: str) -> str:
    return (
        f"<TargetGrants><Grant><Grantee {XSI} xsi:type='CanonicalUser'>{grantee}</Grantee>"
        f"<Permission>{permission}</Permission></Grant></TargetGrants>"
    )


@pytest.mark.parametrize(
    ("rest", "date_source"),
    [
        ("", SIMPLE),
        ("<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>", SIMPLE),
        (PARTITIONED.format(""), BY_DELIVERY),
        (PARTITIONED.format(SOURCE.format("EventTime")), BY_EVENT),
    ],
)
def test_format_of_keys_is_read(rest: str, date_source: str) -> None:
    assert logging.parse(document(rest)) == LoggingDocument("logs", "a/", date_source)


def test_status_without_more_switches_logging_off() -> None:
    assert logging.parse(b"<BucketLoggingStatus/>") is None
    assert b"<LoggingEnabled>" not in logging.render(None, lambda _: Owner("", ""))


def test_grants_are_read() -> None:
    found = logging.parse(document(grant("<ID>me</ID><DisplayName>I</DisplayName>", "READ")))
    assert found is not None
    assert found.grants == (GrantLine("id", "me", "READ"),)


@pytest.mark.parametrize(
    "bad",
    [
        document("", target="<TargetBucket>logs</TargetBucket>"),
        document("", target="<TargetPrefix>a/</TargetPrefix>"),
        document("<TargetObjectKeyFormat/>"),
        document(PARTITIONED.format(SOURCE.format("kaboom"))),
        document(grant("<ID>me</ID>", "READ_ACP")),
        document(grant("", "READ")),
        b"<LoggingEnabled/>",
    ],
)
def test_document_that_s3_refuses(bad: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        logging.parse(bad)
    assert caught.value.code is Code.MALFORMED_XML


def test_configuration_is_written() -> None:
    configured = Logging("logs", "a&b/", BY_EVENT, (Grant("me", "READ"), Grant(LOG_DELIVERY, "WRITE")))
    written = logging.render(configured, lambda grant: Owner(grant.grantee, "I" if grant.grantee == "me" else ""))
    assert (
        b"<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>a&amp;b/</TargetPrefix><TargetGrants>"
        b'<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>me</ID>'
        b"<DisplayName>I</DisplayName></Grantee><Permission>READ</Permission></Grant>"
    ) in written
    assert b"<PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource></PartitionedPrefix>" in written
    assert b"<SimplePrefix/>" in logging.render(Logging("logs", ""), lambda _: Owner("", ""))
