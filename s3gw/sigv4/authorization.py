"""Where a request carries its signature: the Authorization header, or the query of a presigned URL (pure).

Whatever looks like an attempt to sign is a `Credential` or an error, never anonymous: a half-signed request that passed
as anonymous is how stores were broken into (minio CVE-2025-31489).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

from s3gw.sigv4.canonical import QueryPairs
from s3gw.sigv4.errors import SignatureError, SignatureFault

ALGORITHM = "AWS4-HMAC-SHA256"
_USUAL = re.compile(rf"{ALGORITHM} +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([0-9a-f]{{64}})")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
_COMPONENTS = ("Credential", "SignedHeaders", "Signature")

QUERY_COMPONENTS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_V2_QUERY = frozenset({"AWSAccessKeyId", "Signature"})
# S3's limit: a presigned URL lives a week at most.
MAX_EXPIRES_SECONDS = 604800


class Credential(NamedTuple):
    """A signature as presented, its scope checked, itself not yet."""

    access_key: str
    date: str
    signed_headers: str
    signature: str


class Presigned(NamedTuple):
    credential: Credential
    timestamp: str
    expires_seconds: int
    content_sha256: str | None


def parse_authorization(value: str, region: str) -> Credential:
    usual = _USUAL.fullmatch(value)
    scope, signed_headers, signature = usual.groups() if usual else _parse_unusual(value)
    parts = scope.split("/")
    if len(parts) != 5:
        # An access key may hold a slash; the scope never does.
        parts = scope.rsplit("/", 4)
    _check_scope(parts, region, _malformed)
    return Credential(parts[0], parts[1], signed_headers, signature)


def _parse_unusual(value: str) -> tuple[str, str, str]:
    """The components in another order or with other spacing; else the refusal that fits."""
    algorithm, _, rest = value.strip().partition(" ")
    if algorithm != ALGORITHM:
        _refuse_algorithm(algorithm, rest, value)
    found: dict[str, str] = {}
    for piece in rest.split(","):
        name, separator, content = piece.strip().partition("=")
        if not separator or name not in _COMPONENTS or name in found:
            raise _malformed(
                "the authorization header requires three components: Credential, SignedHeaders, and Signature."
            )
        found[name] = content.strip()
    for name in _COMPONENTS:
        if not found.get(name):
            raise _malformed(f"the authorization component {name} is missing or empty.")
    if not _SIGNATURE.fullmatch(found["Signature"]):
        raise _malformed("the signature is not 64 lower-case hexadecimal digits.")
    return found["Credential"], found["SignedHeaders"], found["Signature"]


def _refuse_algorithm(algorithm: str, rest: str, value: str) -> NoReturn:
    if not value.strip():
        raise SignatureError(SignatureFault.ACCESS_DENIED, "Access Denied")
    if algorithm == "AWS":
        if ":" in rest:
            refuse_version_2()
        _invalid_authorization("AWS authorization header is invalid. Expected AwsAccessKeyId:signature", value)
    if algorithm == "AWS4-ECDSA-P256-SHA256":
        refuse_ecdsa()
    _invalid_authorization("Unsupported Authorization Type", value)


# A credential's text is the same all day; taking its escapes out costs as much as the HMAC.
_unquoted = lru_cache(4096)(unquote)


def find_presigned(pairs: QueryPairs) -> Mapping[str, str] | None:
    """The X-Amz-* parameters by name, decoded, when the query carries any part of a signature."""
    given = [pair for pair in pairs if pair[0].startswith("X-Amz-")]
    if not given:
        return None
    parameters: dict[str, str] = {}
    for name, value in given:
        if name in parameters:
            raise _query_error(f"{name} must be given only once")
        parameters[name] = _unquoted(value) if "%" in value else value
    return parameters if any(name in parameters for name in QUERY_COMPONENTS) else None


def is_version_2(pairs: QueryPairs) -> bool:
    return any(name in _V2_QUERY for name, _ in pairs)


def parse_presigned(parameters: Mapping[str, str], region: str) -> Presigned:
    try:
        algorithm, scope, signature, timestamp, signed_headers, expires = [parameters[n] for n in QUERY_COMPONENTS]
    except KeyError:
        raise _query_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        ) from None
    if algorithm != ALGORITHM:
        if algorithm == "AWS4-ECDSA-P256-SHA256":
            refuse_ecdsa()
        raise _query_error(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    parts = scope.rsplit("/", 4)
    _check_scope(parts, region, _bad_credential)
    if not _SIGNATURE.fullmatch(signature):
        raise SignatureError(SignatureFault.SIGNATURE_DOES_NOT_MATCH, MISMATCH, SignatureProvided=signature)
    if not signed_headers:
        raise _query_error("X-Amz-SignedHeaders must name at least the host header")
    credential = Credential(parts[0], parts[1], signed_headers, signature)
    return Presigned(credential, timestamp, _parse_expires(expires), parameters.get("X-Amz-Content-Sha256"))


def _parse_expires(text: str) -> int:
    negative = text.startswith("-")
    digits = text[1:] if negative else text
    if not (digits.isascii() and digits.isdigit()):
        raise _query_error("X-Amz-Expires should be a number")
    if negative:
        raise _query_error("X-Amz-Expires must be non-negative")
    # Length first: Python refuses to convert thousands of digits.
    if len(digits) > 9 or int(digits) > MAX_EXPIRES_SECONDS:
        raise _query_error(
            "X-Amz-Expires must be less than a week (in seconds) that is the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES_SECONDS} seconds",
        )
    return int(digits)


def _check_scope(parts: list[str], region: str, error: Callable[..., SignatureError]) -> None:
    if len(parts) != 5 or not parts[0]:
        raise error('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    _, date, given_region, service, terminal = parts
    if len(date) != 8:
        raise error(f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".')
    if terminal != "aws4_request":
        raise error(f'incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    if service != "s3":
        raise error(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if given_region != region:
        raise error(f"the region '{given_region}' is wrong; expecting '{region}'", Region=region)


def check_form_scope(parts: list[str], region: str) -> None:
    """Of a form's x-amz-credential."""
    _check_scope(parts, region, _bad_form_credential)


def _bad_form_credential(problem: str, **fields: str) -> SignatureError:
    """S3 calls the same mistake an invalid argument where a form makes it."""
    fields.pop("Region", None)
    return SignatureError(SignatureFault.INVALID_ARGUMENT, problem, ArgumentName="x-amz-credential", **fields)


def _malformed(problem: str, **fields: str) -> SignatureError:
    return SignatureError(
        SignatureFault.AUTHORIZATION_HEADER_MALFORMED,
        f"The authorization header is malformed; {problem}",
        **fields,
    )


def _invalid_authorization(message: str, value: str) -> NoReturn:
    raise SignatureError(SignatureFault.INVALID_ARGUMENT, message, ArgumentName="Authorization", ArgumentValue=value)


def refuse_version_2() -> NoReturn:
    raise SignatureError(
        SignatureFault.INVALID_REQUEST,
        f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.",
    )


def refuse_ecdsa() -> NoReturn:
    raise SignatureError(
        SignatureFault.NOT_IMPLEMENTED,
        "A header you provided implies functionality that is not implemented",
        Header="Authorization",
    )


def _bad_credential(problem: str, **fields: str) -> SignatureError:
    return SignatureError(
        SignatureFault.AUTHORIZATION_QUERY_PARAMETERS,
        f"Error parsing the X-Amz-Credential parameter; {problem}",
        **fields,
    )


def _query_error(message: str) -> SignatureError:
    return SignatureError(SignatureFault.AUTHORIZATION_QUERY_PARAMETERS, message)
