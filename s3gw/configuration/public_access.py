"""PublicAccessBlockConfiguration and PolicyStatus (pure).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
"""

from __future__ import annotations

from cyxcloud.objects.access_block import PublicAccessBlock
from s3gw import xml
from s3gw.errors import Code, S3Error
from s3gw.xml_reader import TEXT, Struct, boolean, read, text_of

MAX_BYTES = 4 << 10
_ROOT = "PublicAccessBlockConfiguration"
_FIELDS = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}
_SHAPE = Struct(dict.fromkeys(_FIELDS, TEXT))


def parse(document: bytes) -> PublicAccessBlock:
    """What is not named is off, but something must be. Raises MalformedXML, InvalidRequest."""
    found = read(document, _ROOT, _SHAPE, MAX_BYTES)
    if not found:
        raise S3Error(Code.INVALID_REQUEST, "Must specify at least one configuration.")
    given = {field: text_of(found, name) for name, field in _FIELDS.items()}
    return PublicAccessBlock(**{field: boolean(text) for field, text in given.items() if text is not None})


def render(block: PublicAccessBlock) -> bytes:
    settings = "".join([f"<{name}>{str(getattr(block, field)).lower()}</{name}>" for name, field in _FIELDS.items()])
    return xml.document(_ROOT, settings)


def render_status(*, is_public: bool) -> bytes:
    return xml.document("PolicyStatus", f"<IsPublic>{str(is_public).lower()}</IsPublic>")
