"""ServerSideEncryptionConfiguration, read and written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.objects.encryption import BUCKET_ENCRYPTION, BucketEncryption
from s3gw.configuration.encryption import parse, render
from s3gw.errors import Code, S3Error

ROOT = "ServerSideEncryptionConfiguration"
AES = "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
KMS = AES.replace("AES256", "aws:kms")
KEYED = KMS.replace("</Apply", "<KMSMasterKeyID>payroll</KMSMasterKeyID></Apply")
BLOCKED = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"


def _document(*rules: str) -> bytes:
    body = "".join(f"<Rule>{rule}</Rule>" for rule in rules)
    return f'<{ROOT} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</{ROOT}>'.encode()


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (AES, BucketEncryption()),
        (KMS, BucketEncryption("aws:kms")),
        (KEYED, BucketEncryption("aws:kms", "payroll")),
        (KEYED + "<BucketKeyEnabled>true</BucketKeyEnabled>", BucketEncryption("aws:kms", "payroll", bucket_key=True)),
        (BLOCKED, BucketEncryption(blocks_customer_keys=True)),
        (AES + BLOCKED.replace("SSE-C", "NONE"), BucketEncryption()),
        (AES + BLOCKED, BucketEncryption(blocks_customer_keys=True)),
    ],
)
def test_parse_of_each_rule(rule: str, found: BucketEncryption) -> None:
    parsed = parse(_document(rule))
    assert parsed == found
    assert BUCKET_ENCRYPTION.decode(BUCKET_ENCRYPTION.encode(parsed)) == parsed
    assert replace(parse(render(parsed)), bucket_key=found.bucket_key) == found


@pytest.mark.parametrize(
    "document",
    [
        _document(),
        _document(AES, AES),
        _document(AES.replace("AES256", "AES512")),
        _document(AES.replace("AES256", "")),
        _document("<ApplyServerSideEncryptionByDefault/>"),
        _document(BLOCKED.replace("SSE-C", "SSE-S3")),
        _document(AES + "<BucketKeyEnabled>maybe</BucketKeyEnabled>"),
        b"<Encryption/>",
    ],
)
def test_parse_of_a_malformed_document(document: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse(document)
    assert caught.value.code is Code.MALFORMED_XML


def test_parse_of_a_key_without_its_algorithm() -> None:
    with pytest.raises(S3Error) as caught:
        parse(_document(KEYED.replace("aws:kms", "AES256")))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_parse_of_two_layers() -> None:
    with pytest.raises(S3Error) as caught:
        parse(_document(KMS.replace("aws:kms", "aws:kms:dsse")))
    assert caught.value.code is Code.NOT_IMPLEMENTED


def test_render_of_a_key() -> None:
    assert render(BucketEncryption("aws:kms", "a&b", bucket_key=True)) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
        b"<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>"
        b"<KMSMasterKeyID>a&amp;b</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>"
        b"<BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
    )
