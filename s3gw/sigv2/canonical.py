"""The text that Signature Version 2 signs (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html

Of the query only the parameters named here are signed. Every sub-resource that selects an operation must be among them:
else who caught a signed request could turn it into another one by adding a parameter.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from s3gw.sigv4.view import RequestView, header

_SIGNED_TEXT = """
    abac accelerate acl analytics annotation annotationName attributes cors delete encryption id intelligent-tiering
    inventory legal-hold lifecycle location logging max-directory-buckets metadataAnnotationTable metadataConfiguration
    metadataInventoryTable metadataJournalTable metadataTable metrics notification object-lock ownershipControls
    partNumber policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select
    select-type session storageClass tagging torrent uploadId uploads versionId versioning versions website
    response-cache-control response-content-disposition response-content-encoding response-content-language
    response-content-type response-expires
"""
SIGNED_PARAMETERS = frozenset(_SIGNED_TEXT.split())
_AMZ = "x-amz-"


def strings_to_sign(
    view: RequestView, date: str, host_bucket: str | None, hoisted: Mapping[str, str]
) -> tuple[str, ...]:
    """What may have been signed: clients sign a bucket that their path names with and without a slash behind it.

    `date` is the Date header, empty beside an x-amz-date, or a presigned URL's Expires; `hoisted` are x-amz-
    parameters of its query, which count as headers."""
    md5, kind = header(view.headers, "content-md5") or "", header(view.headers, "content-type") or ""
    start = f"{view.method}\n{md5}\n{kind}\n{date}\n{_amz_headers(view, hoisted)}"
    path = view.raw_path if host_bucket is None else f"/{host_bucket}{view.raw_path}"
    parameters = _signed_parameters(view.raw_query)
    names_bucket = "/" not in path[1:] and len(path) > 1
    return tuple([f"{start}{each}{parameters}" for each in ((path, path + "/") if names_bucket else (path,))])


def sign(secret: str, text: str) -> str:
    digest = hmac.digest(secret.encode(), text.encode("utf-8", "surrogateescape"), "sha1")
    return base64.b64encode(digest).decode()


def _amz_headers(view: RequestView, hoisted: Mapping[str, str]) -> str:
    named = {name: value for name, value in view.headers.items() if name.startswith(_AMZ)}
    named.update(hoisted)
    lines = []
    for name in sorted(named):
        value = named[name]
        text = value.strip() if isinstance(value, str) else ",".join([each.strip() for each in value])
        lines.append(f"{name}:{text}\n")
    return "".join(lines)


def _signed_parameters(raw_query: str) -> str:
    found = []
    for item in raw_query.split("&"):
        name, equals, value = item.partition("=")
        if name in SIGNED_PARAMETERS:
            found.append((name, f"{name}={unquote_plus(value, errors='surrogateescape')}" if equals else name))
    return "?" + "&".join([text for _, text in sorted(found)]) if found else ""
