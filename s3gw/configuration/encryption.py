"""ServerSideEncryptionConfiguration (pure).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
"""

from __future__ import annotations

from cyxcloud.objects.encryption import AES256, KMS, BucketEncryption
from s3gw import xml
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.xml_reader import TEXT, Many, Struct, Value, boolean, items, malformed, read, text_of

MAX_BYTES = 64 << 10
_ROOT = "ServerSideEncryptionConfiguration"
_DEFAULT = "ApplyServerSideEncryptionByDefault"
_BLOCKED = "BlockedEncryptionTypes"
_SSE_C, _NONE = "SSE-C", "NONE"
_RULE = Struct(
    {
        _DEFAULT: Struct({"SSEAlgorithm": TEXT, "KMSMasterKeyID": TEXT}),
        "BucketKeyEnabled": TEXT,
        _BLOCKED: Struct({"EncryptionType": Many(TEXT, 4)}),
    }
)
# One rule is all that S3 takes; a second is read to be refused.
_SHAPE = Struct({"Rule": Many(_RULE, 2)})


def parse(body: bytes) -> BucketEncryption:
    """The key is not looked for: S3 does not either, and the objects to come are refused where there is none."""
    rules = items(read(body, _ROOT, _SHAPE, MAX_BYTES), "Rule")
    if len(rules) != 1:
        raise malformed()
    rule = rules[0]
    algorithm, key = _by_default(rule)
    wish = text_of(rule, "BucketKeyEnabled")
    return BucketEncryption(algorithm, key, None if wish is None else boolean(wish), _blocks_customer_keys(rule))


def _by_default(rule: dict[str, Value]) -> tuple[str, str]:
    if _DEFAULT not in rule:
        return AES256, ""
    wanted = rule[_DEFAULT]
    assert isinstance(wanted, dict)
    algorithm, key = text_of(wanted, "SSEAlgorithm"), text_of(wanted, "KMSMasterKeyID")
    if algorithm == f"{KMS}:dsse":
        raise not_implemented(f"The encryption {algorithm} is not implemented")
    if algorithm not in (AES256, KMS):
        raise malformed()
    if key is not None and algorithm != KMS:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            argument_name=_DEFAULT,
        )
    return algorithm, key or ""


def _blocks_customer_keys(rule: dict[str, Value]) -> bool:
    blocked = rule.get(_BLOCKED, {})
    assert isinstance(blocked, dict)
    kinds = blocked.get("EncryptionType", [])
    if any(kind not in (_SSE_C, _NONE) for kind in kinds) or len(kinds) > 1:
        raise malformed()
    return _SSE_C in kinds


def render(encryption: BucketEncryption) -> bytes:
    key = xml.optional("KMSMasterKeyID", xml.escape(encryption.key))
    default = f"<{_DEFAULT}><SSEAlgorithm>{encryption.algorithm}</SSEAlgorithm>{key}</{_DEFAULT}>"
    bucket_key = f"<BucketKeyEnabled>{'true' if encryption.bucket_key else 'false'}</BucketKeyEnabled>"
    kind = f"<EncryptionType>{_SSE_C}</EncryptionType>" if encryption.blocks_customer_keys else ""
    return xml.document(_ROOT, f"<Rule>{default}{bucket_key}{xml.optional(_BLOCKED, kind)}</Rule>")
