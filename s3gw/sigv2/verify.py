"""Who sent a request that is signed by Signature Version 2, in a header or in its URL (pure).

As in `sigv4`, `claim_...` checks all that needs no secret and `check` the signature itself. A signature of this version
covers no body but by Content-MD5, so the payload is unsigned, and chunks signed by version 4 are refused.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from s3gw.sigv2.canonical import sign, strings_to_sign
from s3gw.sigv4.authorization import MISMATCH
from s3gw.sigv4.errors import SignatureError, SignatureFault
from s3gw.sigv4.payload import CONTENT_SHA256, UNSIGNED, Payload, parse_payload
from s3gw.sigv4.timestamps import iso_date, parse_amz_date, parse_http_date
from s3gw.sigv4.verify import MAX_SKEW_MS, in_bytes
from s3gw.sigv4.view import RequestView, header

QUERY_COMPONENTS = ("AWSAccessKeyId", "Signature", "Expires")
_CREDENTIAL = re.compile(r"AWS +([^\s:]+):([A-Za-z0-9+/=]+)").fullmatch
_SECONDS = re.compile(r"\d{1,15}", re.ASCII).fullmatch
_HOISTED = "x-amz-"


class ClaimV2(NamedTuple):
    """A well-formed, timely signature that is not yet proven."""

    access_key: str
    signature: str
    texts: tuple[str, ...]
    payload: Payload
    presigned: bool


class VerifiedV2(NamedTuple):
    """The holder of `access_key` signed this request."""

    access_key: str
    payload: Payload
    presigned: bool


def claim_header(view: RequestView, authorization: str, host_bucket: str | None, now_ms: int) -> ClaimV2:
    match = _CREDENTIAL(authorization.strip())
    if match is None:
        raise SignatureError(
            SignatureFault.INVALID_ARGUMENT,
            "AWS authorization header is invalid. Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
            ArgumentValue=authorization,
        )
    date = _timely(view, now_ms)
    texts = strings_to_sign(view, date, host_bucket, {})
    return ClaimV2(match[1], match[2], texts, _payload(view), presigned=False)


def claim_query(view: RequestView, host_bucket: str | None, now_ms: int) -> ClaimV2:
    parameters = _parameters(view.raw_query)
    try:
        access_key, signature, expires = [parameters[name] for name in QUERY_COMPONENTS]
    except KeyError:
        raise SignatureError(
            SignatureFault.ACCESS_DENIED,
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        ) from None
    if not _SECONDS(expires):
        raise SignatureError(
            SignatureFault.ACCESS_DENIED,
            f"Invalid date (should be seconds since epoch): {expires}",
        )
    if now_ms >= int(expires) * 1000:
        raise SignatureError(
            SignatureFault.ACCESS_DENIED,
            "Request has expired",
            Expires=iso_date(int(expires) * 1000),
            ServerTime=iso_date(now_ms),
        )
    hoisted = {name.lower(): value for name, value in parameters.items() if name[:6].lower() == _HOISTED}
    texts = strings_to_sign(view, expires, host_bucket, hoisted)
    return ClaimV2(access_key, signature, texts, _payload(view), presigned=True)


def check(claim: ClaimV2, secret: str | None) -> VerifiedV2:
    if secret is None:
        raise unknown_key(claim.access_key)
    if not any(is_signed(secret, text, claim.signature) for text in claim.texts):
        raise SignatureError(
            SignatureFault.SIGNATURE_DOES_NOT_MATCH,
            MISMATCH,
            AWSAccessKeyId=claim.access_key,
            StringToSign=claim.texts[0],
            SignatureProvided=claim.signature,
            StringToSignBytes=in_bytes(claim.texts[0]),
        )
    return VerifiedV2(claim.access_key, claim.payload, claim.presigned)


def is_signed(secret: str, text: str, signature: str) -> bool:
    return hmac.compare_digest(sign(secret, text).encode(), signature.encode("utf-8", "surrogateescape"))


def unknown_key(access_key: str) -> SignatureError:
    return SignatureError(
        SignatureFault.INVALID_ACCESS_KEY_ID,
        "The AWS Access Key Id you provided does not exist in our records.",
        AWSAccessKeyId=access_key,
    )


def _timely(view: RequestView, now_ms: int) -> str:
    """The date as it stands in the signed text: nothing where x-amz-date, a signed header, says it."""
    named = header(view.headers, "x-amz-date")
    date = header(view.headers, "date") or "" if named is None else named
    moment_ms = parse_http_date(date)
    if moment_ms is None:
        moment_ms = parse_amz_date(date)
    if moment_ms is None or moment_ms < 0:
        raise SignatureError(
            SignatureFault.ACCESS_DENIED, "AWS authentication requires a valid Date or x-amz-date header"
        )
    if abs(now_ms - moment_ms) > MAX_SKEW_MS:
        raise SignatureError(
            SignatureFault.REQUEST_TIME_TOO_SKEWED,
            "The difference between the request time and the current time is too large.",
            RequestTime=date,
            ServerTime=iso_date(now_ms),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW_MS),
        )
    return date if named is None else ""


def _parameters(raw_query: str) -> dict[str, str]:
    """Each once: of two signatures nobody could say which one counts."""
    found: dict[str, str] = {}
    for item in raw_query.split("&"):
        raw_name, _, value = item.partition("=")
        name = unquote_plus(raw_name, errors="surrogateescape")
        if name in found and (name in QUERY_COMPONENTS or name[:6].lower() == _HOISTED):
            raise SignatureError(SignatureFault.ACCESS_DENIED, f"{name} must be given only once")
        found[name] = unquote_plus(value, errors="surrogateescape")
    return found


def _payload(view: RequestView) -> Payload:
    declared = header(view.headers, CONTENT_SHA256)
    payload = UNSIGNED if declared is None else parse_payload(declared)
    if payload.kind.signed_chunks:
        raise SignatureError(SignatureFault.ACCESS_DENIED, "Access Denied")
    return payload
