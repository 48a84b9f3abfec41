"""What a form's fields mean: who signed it, and the headers that a PUT of the same object would have (pure).

Everything after this reads headers, so that tags, encryption, locks and checksums of a form are judged by the code that
judges them of a PUT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from s3gw import sigv2
from s3gw.configuration import tagging
from s3gw.errors import Code, S3Error
from s3gw.parameters import is_header
from s3gw.sigv2 import FormSignature
from s3gw.sigv4.forms import FIELDS as V4_FIELDS
from s3gw.sigv4.forms import FormSignatureV4, parse_form

_FILENAME = "${filename}"
_V2_FIELDS = {"awsaccesskeyid": "AWSAccessKeyId", "signature": "signature"}
# What makes a form an attempt to sign, which is then whole or refused.
_SIGNING = frozenset((*_V2_FIELDS, *V4_FIELDS, "policy"))
_PLAIN_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
)
_SIGNATURE_HEADERS = frozenset((*V4_FIELDS, "x-amz-security-token"))


def merge_fields(pairs: Iterable[tuple[str, str]], file_name: str) -> dict[str, str]:
    """By lower-case name, the file's name filled in. Raises InvalidArgument for a field that comes twice."""
    fields: dict[str, str] = {}
    for raw_name, value in pairs:
        name = raw_name.lower()
        if name in fields:
            raise S3Error(Code.INVALID_ARGUMENT, "A form field is given more than once", argument_name=raw_name)
        fields[name] = value.replace(_FILENAME, file_name)
    return fields


def check_present(fields: Mapping[str, str], *, has_file: bool) -> None:
    if not has_file:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "POST requires exactly one file upload per request.",
            argument_name="file",
            argument_value="0",
        )
    if "key" not in fields:
        raise missing("key")
    if not fields["key"]:
        raise S3Error(
            Code.INVALID_ARGUMENT, "User key must have a length greater than 0.", argument_name="key", argument_value=""
        )


def missing(name: str) -> S3Error:
    return S3Error(
        Code.INVALID_ARGUMENT,
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields.",
        argument_name=name,
        argument_value="",
    )


def signature_of(fields: Mapping[str, str], region: str) -> FormSignature | FormSignatureV4 | None:
    """None for a form that makes no attempt to be signed."""
    if _SIGNING.isdisjoint(fields):
        return None
    by_v2 = [name for name in _V2_FIELDS if name in fields]
    by_v4 = [name for name in V4_FIELDS if name in fields]
    if by_v2 and by_v4:
        raise S3Error(Code.INVALID_ARGUMENT, "Only one auth mechanism allowed", argument_name=by_v2[0])
    if "policy" not in fields:
        raise missing("policy")
    if by_v4:
        for name in V4_FIELDS:
            if name not in fields:
                raise missing(name)
        return parse_form(fields, region)
    for name, shown in _V2_FIELDS.items():
        if name not in fields:
            raise missing(shown)
    return sigv2.parse_form(fields)


def headers_of(fields: Mapping[str, str]) -> dict[str, str]:
    """What a header cannot carry is refused: it would come back as one, and a line break in it as two."""
    headers = {name: fields[name] for name in _PLAIN_HEADERS if name in fields}
    headers |= {
        name: value for name, value in fields.items() if name.startswith("x-amz-") and name not in _SIGNATURE_HEADERS
    }
    if fields.get("acl"):
        headers["x-amz-acl"] = fields["acl"]
    for name, value in headers.items():
        if not is_header(name, value):
            raise S3Error(Code.INVALID_ARGUMENT, argument_name=name, argument_value=value)
    if fields.get("tagging"):
        headers["x-amz-tagging"] = _tagging(fields["tagging"])
    return {name: value.strip(" \t") for name, value in headers.items()}


def _tagging(document: str) -> str:
    """A form's tags are the XML document of PutObjectTagging, a header's a query string."""
    return urlencode(list(tagging.parse(document.strip().encode())))
