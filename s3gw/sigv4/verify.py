"""Who sent a request: Signature Version 4 verified over what came in, or nobody (pure).

`claim` checks all that needs no secret, `check` the signature itself, so that the caller may fetch the secret in
between; `verify` is both. Nothing of a claim may be acted on before `check`. The body is not read here: what is known
of it afterwards is its `payload`, and the body's reader holds it to that before anything is committed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from s3gw.sigv4.authorization import (
    MISMATCH,
    Credential,
    find_presigned,
    is_version_2,
    parse_authorization,
    parse_presigned,
    refuse_version_2,
)
from s3gw.sigv4.canonical import canonical_headers, canonical_pairs, canonical_path, join_pairs
from s3gw.sigv4.errors import SignatureError, SignatureFault
from s3gw.sigv4.payload import CONTENT_SHA256, UNSIGNED, Payload, parse_payload
from s3gw.sigv4.signing import ChunkChain, SigningKey, derive_signing_key, string_to_sign
from s3gw.sigv4.timestamps import amz_date, iso_date, parse_amz_date, parse_http_date
from s3gw.sigv4.view import RequestView, header

# S3 allows a client's clock to be wrong by a quarter of an hour.
MAX_SKEW_MS = 15 * 60 * 1000
# One signing key a day and access key, 32 bytes each; more active keys than this only cost four HMACs a request again.
SIGNING_KEYS_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No attempt to sign was made; what an anonymous caller may do is for the policies to say."""

    payload: Payload


class Claim(NamedTuple):
    """A well-formed, timely signature that is not yet proven."""

    access_key: str
    date: str
    timestamp: str
    signature: str
    payload: Payload
    presigned: bool
    canonical_request: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The holder of `access_key` signed this request."""

    access_key: str
    payload: Payload
    presigned: bool
    signing_key: SigningKey = field(repr=False)
    timestamp: str
    scope: str
    signature: str

    def chunk_chain(self) -> ChunkChain:
        return ChunkChain(self.signing_key, self.timestamp, self.scope, self.signature)


class Verifier:
    """Verifies for one region; holds nothing but the derived keys of late."""

    def __init__(self, region: str = "us-east-1") -> None:
        self._region = region
        self._signing_key = lru_cache(SIGNING_KEYS_CACHED)(derive_signing_key)

    def verify(
        self, view: RequestView, lookup_secret: Callable[[str], str | None], now_ms: int
    ) -> Verified | Anonymous:
        claim = self.claim(view, now_ms)
        if isinstance(claim, Anonymous):
            return claim
        return self.check(claim, lookup_secret(claim.access_key))

    def claim(self, view: RequestView, now_ms: int) -> Claim | Anonymous:
        pairs = canonical_pairs(view.raw_query)
        presigned = find_presigned(pairs)
        authorization = view.headers.get("authorization")
        if authorization is None:
            if presigned is not None:
                return self._claim_query(view, pairs, presigned, now_ms)
            if is_version_2(pairs):
                refuse_version_2()
            return _anonymous(view)
        if presigned is not None or isinstance(authorization, list) or is_version_2(pairs):
            raise SignatureError(
                SignatureFault.INVALID_ARGUMENT,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                ArgumentName="Authorization",
                ArgumentValue=header(view.headers, "authorization") or "",
            )
        return self._claim_header(view, join_pairs(pairs), authorization, now_ms)

    def check(self, claim: Claim, secret: str | None) -> Verified:
        if secret is None:
            raise SignatureError(
                SignatureFault.INVALID_ACCESS_KEY_ID,
                "The AWS Access Key Id you provided does not exist in our records.",
                AWSAccessKeyId=claim.access_key,
            )
        scope = f"{claim.date}/{self._region}/s3/aws4_request"
        key = self._signing_key(secret, claim.date, self._region)
        text = string_to_sign(claim.timestamp, scope, claim.canonical_request)
        if not hmac.compare_digest(key.sign(text), claim.signature):
            raise SignatureError(
                SignatureFault.SIGNATURE_DOES_NOT_MATCH,
                MISMATCH,
                AWSAccessKeyId=claim.access_key,
                StringToSign=text,
                SignatureProvided=claim.signature,
                StringToSignBytes=in_bytes(text),
                CanonicalRequest=claim.canonical_request,
                CanonicalRequestBytes=in_bytes(claim.canonical_request),
            )
        return Verified(claim.access_key, claim.payload, claim.presigned, key, claim.timestamp, scope, claim.signature)

    def _claim_header(self, view: RequestView, query: str, authorization: str, now_ms: int) -> Claim:
        credential = parse_authorization(authorization, self._region)
        timestamp, moment_ms = _signed_at(view)
        if timestamp[:8] != credential.date:
            raise SignatureError(
                SignatureFault.AUTHORIZATION_HEADER_MALFORMED,
                f'The authorization header is malformed; Invalid credential date "{credential.date}". '
                f'This date is not the same as X-Amz-Date: "{timestamp[:8]}".',
            )
        if abs(now_ms - moment_ms) > MAX_SKEW_MS:
            raise SignatureError(
                SignatureFault.REQUEST_TIME_TOO_SKEWED,
                "The difference between the request time and the current time is too large.",
                RequestTime=timestamp,
                ServerTime=iso_date(now_ms),
                MaxAllowedSkewMilliseconds=str(MAX_SKEW_MS),
            )
        declared = header(view.headers, CONTENT_SHA256)
        if declared is None:
            raise SignatureError(
                SignatureFault.INVALID_REQUEST, "Missing required header for this request: x-amz-content-sha256"
            )
        return _claim(view, credential, timestamp, query, parse_payload(declared), presigned=False)

    def _claim_query(
        self, view: RequestView, pairs: list[tuple[str, str]], parameters: Mapping[str, str], now_ms: int
    ) -> Claim:
        presigned = parse_presigned(parameters, self._region)
        moment_ms = parse_amz_date(presigned.timestamp)
        if moment_ms is None:
            raise SignatureError(
                SignatureFault.AUTHORIZATION_QUERY_PARAMETERS,
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            )
        if presigned.timestamp[:8] != presigned.credential.date:
            raise SignatureError(
                SignatureFault.AUTHORIZATION_QUERY_PARAMETERS,
                f'Invalid credential date "{presigned.credential.date}". '
                f'This date is not the same as X-Amz-Date: "{presigned.timestamp[:8]}".',
            )
        if moment_ms - now_ms > MAX_SKEW_MS:
            raise SignatureError(
                SignatureFault.ACCESS_DENIED,
                "Request is not yet valid",
                **{"X-Amz-Date": presigned.timestamp, "ServerTime": iso_date(now_ms)},
            )
        expires_ms = moment_ms + presigned.expires_seconds * 1000
        if now_ms >= expires_ms:
            raise SignatureError(
                SignatureFault.ACCESS_DENIED,
                "Request has expired",
                **{
                    "X-Amz-Expires": str(presigned.expires_seconds),
                    "Expires": iso_date(expires_ms),
                    "ServerTime": iso_date(now_ms),
                },
            )
        # A signed header says more than the query; an unsigned one is refused with all unsigned x-amz-* headers.
        declared = header(view.headers, CONTENT_SHA256) or presigned.content_sha256
        payload = UNSIGNED if declared is None else parse_payload(declared)
        query = join_pairs([pair for pair in pairs if pair[0] != "X-Amz-Signature"])
        return _claim(view, presigned.credential, presigned.timestamp, query, payload, presigned=True)


def in_bytes(text: str) -> str:
    """As S3 shows what it signed, for those who look for a character that cannot be seen."""
    return text.encode("utf-8", "surrogateescape").hex(" ")


def _claim(
    view: RequestView, credential: Credential, timestamp: str, query: str, payload: Payload, *, presigned: bool
) -> Claim:
    names = credential.signed_headers.split(";")
    _require_signed(view, names)
    lines = canonical_headers(view.headers, names)
    request = (
        f"{view.method}\n{canonical_path(view.raw_path)}\n{query}\n{lines}\n"
        f"{credential.signed_headers}\n{payload.declared}"
    )
    return Claim(credential.access_key, credential.date, timestamp, credential.signature, payload, presigned, request)


def _require_signed(view: RequestView, names: list[str]) -> None:
    """What changes a request's meaning must be under its signature."""
    unsigned = [name for name in view.headers if name.startswith("x-amz-") and name not in names]
    if "host" not in names or "host" not in view.headers:
        unsigned.append("host")
    if unsigned:
        raise SignatureError(
            SignatureFault.ACCESS_DENIED,
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned),
        )


def _signed_at(view: RequestView) -> tuple[str, int]:
    """The moment of signing, as it stands in the string to sign and in milliseconds."""
    timestamp = header(view.headers, "x-amz-date")
    if timestamp is not None:
        moment_ms = parse_amz_date(timestamp)
        if moment_ms is not None:
            return timestamp, moment_ms
    else:
        date = header(view.headers, "date") or ""
        moment_ms = parse_amz_date(date)
        if moment_ms is None:
            moment_ms = parse_http_date(date)
        if moment_ms is not None:
            return amz_date(moment_ms), moment_ms
    raise SignatureError(SignatureFault.ACCESS_DENIED, "AWS authentication requires a valid Date or x-amz-date header")


def _anonymous(view: RequestView) -> Anonymous:
    declared = header(view.headers, CONTENT_SHA256)
    payload = UNSIGNED if declared is None else parse_payload(declared)
    if payload.kind.signed_chunks:
        raise SignatureError(SignatureFault.ACCESS_DENIED, "Access Denied")
    return Anonymous(payload)
