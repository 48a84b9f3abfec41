"""The one door for signatures: which version a request is signed by, and whose it is (pure).

Version 4 is the rule and takes everything that is not plainly version 2 (`AWS key:signature`, or `AWSAccessKeyId` in
the query), so that what neither knows ends in its refusals, never as anonymous. What is signed in two ways is refused.
"""

from __future__ import annotations

from collections.abc import Callable

from s3gw import sigv2
from s3gw.sigv2 import ClaimV2, VerifiedV2
from s3gw.sigv4 import Anonymous, Claim, RequestView, SignatureError, SignatureFault, Verified, Verifier, header
from s3gw.sigv4.authorization import find_presigned, is_version_2
from s3gw.sigv4.canonical import canonical_pairs

Proven = Verified | VerifiedV2
Caller = Proven | Anonymous

_V2_HEADER = "AWS "
_V2_PARAMETER = "AWSAccessKeyId="


class Door:
    """`bucket_of_host` tells the bucket that a Host header names, which version 2 signs as part of the path."""

    def __init__(self, region: str, bucket_of_host: Callable[[str], str | None]) -> None:
        self._version_4 = Verifier(region)
        self._bucket_of_host = bucket_of_host

    def claim(self, view: RequestView, now_ms: int) -> Claim | ClaimV2 | Anonymous:
        authorization = view.headers.get("authorization")
        if authorization is None:
            if _V2_PARAMETER in view.raw_query:
                return self._claim_query(view, now_ms)
        elif isinstance(authorization, str) and authorization.startswith(_V2_HEADER):
            if _has_query_signature(view.raw_query):
                raise _two_mechanisms(authorization)
            return sigv2.claim_header(view, authorization, self._host_bucket(view), now_ms)
        return self._version_4.claim(view, now_ms)

    def check(self, claim: Claim | ClaimV2, secret: str | None) -> Proven:
        if isinstance(claim, ClaimV2):
            return sigv2.check(claim, secret)
        return self._version_4.check(claim, secret)

    def _claim_query(self, view: RequestView, now_ms: int) -> ClaimV2:
        if find_presigned(canonical_pairs(view.raw_query)) is not None:
            raise _two_mechanisms("")
        return sigv2.claim_query(view, self._host_bucket(view), now_ms)

    def _host_bucket(self, view: RequestView) -> str | None:
        return self._bucket_of_host(header(view.headers, "host") or "")


def _has_query_signature(raw_query: str) -> bool:
    pairs = canonical_pairs(raw_query)
    return find_presigned(pairs) is not None or is_version_2(pairs)


def _two_mechanisms(authorization: str) -> SignatureError:
    return SignatureError(
        SignatureFault.INVALID_ARGUMENT,
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter "
        "or the Authorization header should be specified",
        ArgumentName="Authorization",
        ArgumentValue=authorization,
    )
